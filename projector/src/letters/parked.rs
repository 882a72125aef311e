//! Streams that wait behind a letter, as a lane's transaction reads and writes them; only of projections
//! that keep order.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::runner::sequence::Link;
use crate::runner::{Scope, VERSION_GAP};

/// The letter that a stream waits behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) letter: Uuid,
    /// Where it waits for nothing but a version that is missing: the versions among the stream's
    /// letters. One that is not there may be folded past it.
    pub(crate) gap: Option<BTreeSet<u64>>,
}

impl Head {
    /// Whether the event may be folded although the stream waits: it waits for this very version, which
    /// no letter holds. Of two that claim a version the log's first has it.
    pub(crate) fn lets_pass(&self, event: Option<Link>) -> bool {
        let is_free =
            |versions: &BTreeSet<u64>| event.is_some_and(|e| !versions.contains(&e.version));
        self.gap.as_ref().is_some_and(is_free)
    }
}

#[derive(FromRow)]
struct ParkedKey {
    partition: i32,
    stream_id: String,
    head: Uuid,
    /// The versions where the head is a gap.
    versions: Option<Vec<i64>>,
}

/// Which of the streams wait behind a letter, locked against a replay until the transaction ends.
pub(crate) async fn locked(
    connection: &mut PgConnection,
    scope: &Scope,
    streams: &BTreeSet<(i32, &str)>,
) -> Result<BTreeMap<(i32, String), Head>, sqlx::Error> {
    let rows: Vec<ParkedKey> = sqlx::query_as(
        "SELECT k.partition, k.stream_id, k.head,
                CASE WHEN h.error_code = $7 THEN ARRAY (
                    SELECT l.stream_version FROM letters l
                    WHERE l.projection = k.projection AND l.generation = k.generation
                      AND l.topic = k.topic AND l.epoch = k.epoch AND l.partition = k.partition
                      AND l.stream_id = k.stream_id AND l.settled_at IS NULL
                      AND l.stream_version IS NOT NULL) END AS versions
         FROM parked_keys k
         JOIN UNNEST($5::int[], $6::text[]) AS b(partition, stream_id) USING (partition, stream_id)
         JOIN letters h ON h.id = k.head
         WHERE k.projection = $1 AND k.generation = $2 AND k.topic = $3 AND k.epoch = $4
         ORDER BY k.partition, k.stream_id FOR UPDATE OF k",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(streams.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
    .bind(streams.iter().map(|(_, stream)| *stream).collect::<Vec<_>>())
    .bind(VERSION_GAP)
    .fetch_all(connection)
    .await?;
    let parked = |row: ParkedKey| {
        let version = |version: i64| u64::try_from(version).unwrap_or_default();
        let gap = row.versions.map(|versions| versions.into_iter().map(version).collect());
        ((row.partition, row.stream_id), Head { letter: row.head, gap })
    };
    Ok(rows.into_iter().map(parked).collect())
}

/// Has a head tried again at once, since a version that was missing is folded.
pub(crate) async fn due(
    connection: &mut PgConnection,
    heads: &BTreeSet<Uuid>,
) -> Result<(), sqlx::Error> {
    if heads.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE letters SET state = 'retrying', next_try_at = now()
         WHERE id = ANY($1) AND settled_at IS NULL",
    )
    .bind(heads.iter().copied().collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

/// Leaves letters that would be tried by themselves to their turn: another is their stream's head.
pub(crate) async fn overtaken(
    connection: &mut PgConnection,
    letters: &[Uuid],
) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE letters SET state = 'blocked', next_try_at = NULL
         WHERE id = ANY($1) AND state = 'retrying'",
    )
    .bind(letters)
    .execute(connection)
    .await
    .map(drop)
}

/// Notes for each stream that its later events wait: behind a new head, or more of them behind one
/// that is known. A head that was overtaken is none any more.
pub(crate) async fn block(
    connection: &mut PgConnection,
    scope: &Scope,
    streams: &BTreeMap<(i32, String), Waiting>,
) -> Result<(), sqlx::Error> {
    for ((partition, stream_id), waiting) in streams {
        sqlx::query(
            "INSERT INTO parked_keys AS k (projection, generation, topic, epoch, partition,
                                           stream_id, head, letters)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (projection, generation, topic, epoch, partition, stream_id)
             DO UPDATE SET letters = k.letters + excluded.letters, head = excluded.head",
        )
        .bind(scope.projection)
        .bind(scope.generation)
        .bind(&scope.topic)
        .bind(scope.epoch)
        .bind(partition)
        .bind(stream_id)
        .bind(waiting.head)
        .bind(waiting.letters)
        .execute(&mut *connection)
        .await?;
    }
    let mut heads: BTreeMap<i32, i32> = BTreeMap::new();
    for ((partition, _), waiting) in streams {
        *heads.entry(*partition).or_default() += i32::from(waiting.is_new);
    }
    count(connection, scope, &heads).await
}

/// What a batch adds to a stream that waits.
pub(crate) struct Waiting {
    /// The letter that it waits behind after the batch.
    pub(crate) head: Uuid,
    pub(crate) letters: i32,
    /// Whether it did not wait before.
    pub(crate) is_new: bool,
}

/// Adds to each position's count of streams that wait.
pub(crate) async fn count(
    connection: &mut PgConnection,
    scope: &Scope,
    change: &BTreeMap<i32, i32>,
) -> Result<(), sqlx::Error> {
    for (partition, change) in change.iter().filter(|(_, change)| **change != 0) {
        sqlx::query(
            "UPDATE positions SET parked_keys = parked_keys + $6
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5",
        )
        .bind(scope.projection)
        .bind(scope.generation)
        .bind(&scope.topic)
        .bind(scope.epoch)
        .bind(partition)
        .bind(change)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
