//! Positions in Postgres: where each partition stands, and the fence.

use std::collections::BTreeMap;

use kafka_io::ledger::{Advance, Ledger, Remembered};
use sqlx::PgConnection;
use uuid::Uuid;

/// Which positions a runner moves: one build of one projection over one life of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) projection: &'static str,
    pub(crate) generation: i32,
    pub(crate) topic: String,
    pub(crate) epoch: i32,
    /// Who moves them, for operators.
    pub(crate) owner: String,
}

/// The move of one partition, under an assignment of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) partition: i32,
    pub(crate) assignment: Uuid,
    pub(crate) advance: Advance,
}

/// What happens to the cache generation beside a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheGenerationMove {
    Stays,
    /// Bodies in the cache may be older than what is committed with this.
    Rises,
}

/// The generation that serves.
pub(super) async fn active_generation(
    connection: &mut PgConnection,
    projection: &str,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT generation FROM generations WHERE projection = $1 AND state = 'active'",
    )
    .bind(projection)
    .fetch_optional(connection)
    .await
}

/// Gives partitions that have no position yet the position 0.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    scope: &Scope,
    partitions: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO positions (projection, generation, topic, epoch, partition)
         SELECT $1, $2, $3, $4, partition FROM generate_series(0, $5 - 1) AS partition
         ON CONFLICT DO NOTHING",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(partitions)
    .execute(connection)
    .await
    .map(drop)
}

/// Makes partitions ours, each under an assignment that nobody had before, once no batch of another
/// owner is under way; from then on no batch of an earlier assignment commits. Returns the ledgers
/// that begin where the partitions stand; one without a position is missing. An owner without a cache
/// says so in the place of the home, and since when: nobody renews the trust from then on.
pub(super) async fn claim(
    connection: &mut PgConnection,
    scope: &Scope,
    assignments: &BTreeMap<i32, Uuid>,
    cache_generation: CacheGenerationMove,
    has_cache: bool,
) -> Result<BTreeMap<i32, Ledger>, sqlx::Error> {
    let rows: Vec<(i32, i64, Option<Vec<u8>>)> = sqlx::query_as(
        "WITH claimed AS (
             SELECT * FROM UNNEST($6::int[], $7::uuid[]) AS c(partition, assignment)
         ), locked AS (
             SELECT p.partition FROM positions p JOIN claimed c USING (partition)
             WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $3 AND p.epoch = $4
             ORDER BY p.partition FOR UPDATE OF p
         )
         UPDATE positions p
         SET owner = $5, assignment = c.assignment,
             cache_generation = CASE WHEN $8 THEN next_cache_generation(p.cache_generation)
                                     ELSE p.cache_generation END,
             cache_home = CASE WHEN $9 OR p.cache_home LIKE 'off %' THEN p.cache_home
                               WHEN p.cache_home IS NOT NULL THEN 'off ' || now_ms() END
         FROM claimed c JOIN locked l USING (partition)
         WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $3 AND p.epoch = $4
           AND p.partition = c.partition
         RETURNING p.partition, p.next_offset, p.last_record",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(&scope.owner)
    .bind(assignments.keys().copied().collect::<Vec<_>>())
    .bind(assignments.values().copied().collect::<Vec<_>>())
    .bind(cache_generation == CacheGenerationMove::Rises)
    .bind(has_cache)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(partition, next_offset, last)| {
            let last = last.as_deref().and_then(Remembered::from_bytes);
            (partition, Ledger::new(next_offset, last))
        })
        .collect())
}

/// What is known of a position that moved.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Moved {
    /// Streams of the partition that wait behind a letter.
    pub(super) parked_keys: i32,
    /// Offset of the newest letter, below 0 if there is none.
    pub(super) last_letter: i64,
    /// The highest offset it stood at before: above the batch's first where it was set back.
    pub(super) folded_to: i64,
    pub(super) partition: i32,
    /// The cache generation that stands beside it now.
    pub(super) cache_generation: i64,
    /// The Redis with which it was agreed.
    pub(super) cache_home: Option<String>,
}

/// Moves positions from exactly where their records begin, under the assignment that stands there,
/// locked in the order of partitions. Returns those that moved; fewer than asked means that the fence
/// is lost.
pub(super) async fn advance(
    connection: &mut PgConnection,
    scope: &Scope,
    moves: &[Move],
    cache_generation: CacheGenerationMove,
) -> Result<Vec<Moved>, sqlx::Error> {
    let column = |value: fn(&Move) -> i64| moves.iter().map(value).collect::<Vec<_>>();
    let partitions: Vec<i32> = moves.iter().map(|m| m.partition).collect();
    let last: Vec<Vec<u8>> = moves.iter().map(|m| m.advance.last.to_bytes().to_vec()).collect();
    sqlx::query_as(
        "WITH batch AS (
             SELECT * FROM UNNEST($6::int[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bigint[],
                                  $5::uuid[])
                 AS b(partition, floor, next_offset, last_record, log_time_ms, assignment)
         ), locked AS (
             SELECT p.partition, p.folded_to FROM positions p JOIN batch b USING (partition)
             WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $3 AND p.epoch = $4
             ORDER BY p.partition FOR UPDATE OF p
         )
         UPDATE positions p
         SET next_offset = b.next_offset, folded_to = greatest(p.folded_to, b.next_offset),
             last_record = b.last_record,
             cache_generation = CASE WHEN $11 THEN next_cache_generation(p.cache_generation)
                                     ELSE p.cache_generation END,
             last_log_time = to_timestamp(b.log_time_ms / 1000.0)
         FROM batch b JOIN locked l USING (partition)
         WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $3 AND p.epoch = $4
           AND p.partition = b.partition AND p.next_offset = b.floor
           AND p.assignment = b.assignment
         RETURNING p.partition, p.parked_keys, p.last_letter, l.folded_to, p.cache_generation,
                   p.cache_home",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(moves.iter().map(|m| m.assignment).collect::<Vec<_>>())
    .bind(partitions)
    .bind(column(|m| m.advance.from))
    .bind(column(|m| m.advance.to))
    .bind(last)
    .bind(column(|m| m.advance.last.timestamp_ms))
    .bind(cache_generation == CacheGenerationMove::Rises)
    .fetch_all(connection)
    .await
}

/// Whether a generation is to be folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GenerationState {
    Folded,
    Retired,
    /// The projection stopped itself, for this reason.
    Braked(String),
}

/// Locks the generation's row against promotion until the transaction ends, and says whether the
/// generation is still to be folded.
pub(super) async fn generation_state(
    connection: &mut PgConnection,
    scope: &Scope,
) -> Result<GenerationState, sqlx::Error> {
    let row: Option<(String, Option<String>)> = sqlx::query_as(
        "SELECT state, brake FROM generations WHERE projection = $1 AND generation = $2 FOR SHARE",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .fetch_optional(connection)
    .await?;
    Ok(match row {
        None => GenerationState::Retired,
        Some((state, _)) if state == "retired" => GenerationState::Retired,
        Some((_, Some(brake))) => GenerationState::Braked(brake),
        Some((_, None)) => GenerationState::Folded,
    })
}
