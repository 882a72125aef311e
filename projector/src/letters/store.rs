//! The statements by which a lane's transaction writes letters and learns of those before it.

use std::collections::{BTreeMap, BTreeSet};

use kafka_io::record_reader::OwnedRecord;
use sqlx::PgConnection;
use uuid::Uuid;

use super::brake::{OPEN_PER_KEY, OPEN_PER_PARTITION};
use super::set_aside::SetAside;
use super::{LetterState, rest_after};
use crate::runner::to_datetime;
use crate::runner::{Move, Scope};

/// A letter to be written.
pub(crate) struct NewLetter<'a> {
    pub(crate) id: Uuid,
    pub(crate) aside: &'a SetAside,
    /// `Retrying`, `Parked` where no wait mends it, or `Blocked` behind an earlier one.
    pub(crate) state: LetterState,
    pub(crate) record: OwnedRecord,
}

/// Offsets among the records of these moves that are letters already: they have their fate.
pub(crate) async fn known(
    connection: &mut PgConnection,
    scope: &Scope,
    moves: &[Move],
) -> Result<BTreeSet<(i32, i64)>, sqlx::Error> {
    let rows: Vec<(i32, i64)> = sqlx::query_as(
        "SELECT l.partition, l.log_offset
         FROM UNNEST($5::int[], $6::bigint[], $7::bigint[]) AS m(partition, floor, next_offset)
         JOIN letters l ON l.projection = $1 AND l.generation = $2 AND l.topic = $3 AND l.epoch = $4
          AND l.partition = m.partition AND l.log_offset >= m.floor AND l.log_offset < m.next_offset",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(moves.iter().map(|m| m.partition).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.advance.from).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.advance.to).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Which of the streams wait behind a letter, locked against a replay until the transaction ends.
pub(crate) async fn parked(
    connection: &mut PgConnection,
    scope: &Scope,
    streams: &BTreeSet<(i32, &str)>,
) -> Result<BTreeMap<(i32, String), Uuid>, sqlx::Error> {
    let rows: Vec<(i32, String, Uuid)> = sqlx::query_as(
        "SELECT k.partition, k.stream_id, k.head
         FROM parked_keys k
         JOIN UNNEST($5::int[], $6::text[]) AS b(partition, stream_id) USING (partition, stream_id)
         WHERE k.projection = $1 AND k.generation = $2 AND k.topic = $3 AND k.epoch = $4
         ORDER BY k.partition, k.stream_id FOR UPDATE OF k",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(streams.iter().map(|(partition, _)| *partition).collect::<Vec<_>>())
    .bind(streams.iter().map(|(_, stream)| *stream).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(partition, stream, head)| ((partition, stream), head)).collect())
}

/// Writes letters with their first try, and notes on the position that there are letters.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    scope: &Scope,
    letters: &[NewLetter<'_>],
) -> Result<(), sqlx::Error> {
    for letter in letters {
        insert_one(&mut *connection, scope, letter).await?;
    }
    let mut newest: BTreeMap<i32, i64> = BTreeMap::new();
    for letter in letters {
        let offset = newest.entry(letter.aside.partition).or_insert(-1);
        *offset = letter.aside.position.offset.max(*offset);
    }
    sqlx::query(
        "UPDATE positions p SET last_letter = greatest(p.last_letter, n.log_offset)
         FROM UNNEST($5::int[], $6::bigint[]) AS n(partition, log_offset)
         WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $3 AND p.epoch = $4
           AND p.partition = n.partition",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(newest.keys().copied().collect::<Vec<_>>())
    .bind(newest.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

async fn insert_one(
    connection: &mut PgConnection,
    scope: &Scope,
    letter: &NewLetter<'_>,
) -> Result<(), sqlx::Error> {
    let NewLetter { id, aside, state, record } = letter;
    let (names, values): (Vec<&str>, Vec<Option<&[u8]>>) =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).unzip();
    // A letter that waits behind another has not been tried.
    let attempts = i32::from(*state != LetterState::Blocked);
    let rest = rest_after(attempts).filter(|_| *state == LetterState::Retrying);
    sqlx::query(
        "WITH letter AS (
             INSERT INTO letters (id, projection, generation, topic, epoch, partition, log_offset,
                                  log_time, stream_id, key, value, header_names, header_values,
                                  state, error_class, error_code, error_message, attempts,
                                  next_try_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                     $18, now() + $19 * interval '1 second')
             RETURNING id)
         INSERT INTO letter_tries (letter_id, tried_by, outcome, error_class, error_code,
                                   error_message)
         SELECT id, 'projector', $14, $15, $16, $17 FROM letter",
    )
    .bind(id)
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(aside.partition)
    .bind(aside.position.offset)
    .bind(to_datetime(aside.log_time))
    .bind(&aside.stream_id)
    .bind(&record.key)
    .bind(&record.value)
    .bind(names)
    .bind(values)
    .bind(state.as_str())
    .bind(aside.failure.class.label())
    .bind(&aside.failure.code)
    .bind(&aside.failure.message)
    .bind(attempts)
    .bind(rest.map(|rest| rest.as_secs_f64()))
    .execute(&mut *connection)
    .await?;
    match state {
        LetterState::Parked => notice(connection, *id).await,
        _ => Ok(()),
    }
}

/// Has a letter told of on `events-dlq`, once.
pub(crate) async fn notice(connection: &mut PgConnection, letter: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO letter_notices (letter_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(letter)
        .execute(connection)
        .await
        .map(drop)
}

/// Notes for each stream that its later events wait: behind a new head, or more of them behind one
/// that is known.
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
             DO UPDATE SET letters = k.letters + excluded.letters",
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
    count_parked(connection, scope, &heads).await
}

/// What a batch adds to a stream that waits.
pub(crate) struct Waiting {
    pub(crate) head: Uuid,
    pub(crate) letters: i32,
    pub(crate) is_new: bool,
}

/// Adds to each position's count of streams that wait.
pub(crate) async fn count_parked(
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

/// Why there may be no more letters: a key or a partition has as many open as it may have, these
/// included. Ids reused do not count: they are a client's doing, and would let it stop the others.
pub(crate) async fn over_the_cap(
    connection: &mut PgConnection,
    scope: &Scope,
    partitions: &BTreeSet<i32>,
) -> Result<Option<String>, sqlx::Error> {
    for partition in partitions {
        let (open, of_one_key): (i64, Option<i64>) = sqlx::query_as(
            "WITH by_key AS (
                 SELECT stream_id, count(*) AS letters FROM letters
                 WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
                   AND partition = $5 AND settled_at IS NULL AND error_code <> 'id-reused'
                 GROUP BY stream_id)
             SELECT coalesce(sum(letters), 0)::bigint,
                    max(letters) FILTER (WHERE stream_id IS NOT NULL)
             FROM by_key",
        )
        .bind(scope.projection)
        .bind(scope.generation)
        .bind(&scope.topic)
        .bind(scope.epoch)
        .bind(partition)
        .fetch_one(&mut *connection)
        .await?;
        if of_one_key.is_some_and(|letters| letters > OPEN_PER_KEY) {
            return Ok(Some(format!(
                "a key of partition {partition} has more than {OPEN_PER_KEY} open letters"
            )));
        }
        if open > OPEN_PER_PARTITION {
            return Ok(Some(format!(
                "partition {partition} has more than {OPEN_PER_PARTITION} open letters"
            )));
        }
    }
    Ok(None)
}
