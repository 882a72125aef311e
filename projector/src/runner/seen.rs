//! Events that clients named: a second one with the same identity has no effect.
//!
//! An identity is remembered for [`REMEMBERED`] of log time, counted between the log times of the
//! two records, so that a rebuild forgets exactly what the live fold forgot.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use domain::device::BodyHash;
use read_models::recorded::Recorded;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Event;
use super::positions::Scope;

/// How long an identity is remembered.
pub(super) const REMEMBERED: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// A batch without what was seen before.
pub(super) struct Distinct<'a, E> {
    pub(super) events: Vec<&'a Recorded<E>>,
    pub(super) duplicates: usize,
}

/// Why a batch cannot be folded as it is.
pub(super) enum SeenError {
    Database(sqlx::Error),
    /// This record carries an identity whose first event had another body.
    IdReused {
        partition: i32,
        offset: i64,
    },
}

impl From<sqlx::Error> for SeenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Drops from a batch, which is in log order within each partition, every event whose identity was
/// seen, and remembers the others.
pub(super) async fn distinct<'a, E: Event>(
    connection: &mut PgConnection,
    scope: &Scope,
    batch: &[&'a Recorded<E>],
) -> Result<Distinct<'a, E>, SeenError> {
    let (named, mut dropped) = first_of_each(batch)?;
    if named.is_empty() {
        return Ok(Distinct { events: batch.to_vec(), duplicates: 0 });
    }
    let new = remember(connection, scope, &named).await?;
    let old: Vec<Uuid> = named.keys().filter(|id| !new.contains(*id)).copied().collect();
    if !old.is_empty() {
        check_bodies(connection, scope, &named, &old).await?;
        dropped.extend(old.iter().filter_map(|id| named.get(id)).map(|first| place(first.record)));
    }
    let events: Vec<_> =
        batch.iter().copied().filter(|record| !dropped.contains(&place(*record))).collect();
    Ok(Distinct { duplicates: batch.len() - events.len(), events })
}

struct Named<'a, E> {
    record: &'a Recorded<E>,
    body_hash: BodyHash,
}

/// Where a record of the batch stands.
type Place = (i32, i64);

fn place<E>(record: &Recorded<E>) -> Place {
    (record.partition, record.position.offset)
}

type FirstOfEach<'a, E> = (BTreeMap<Uuid, Named<'a, E>>, HashSet<Place>);

/// The first event of each identity in the batch, and the places of the others.
fn first_of_each<'a, E: Event>(batch: &[&'a Recorded<E>]) -> Result<FirstOfEach<'a, E>, SeenError> {
    let mut named: BTreeMap<Uuid, Named<'a, E>> = BTreeMap::new();
    let mut repeated = HashSet::new();
    for &record in batch {
        let Some(body_hash) = record.event.client_named() else { continue };
        match named.get(&record.event.event_id()) {
            Some(first) if first.body_hash != body_hash => return Err(id_reused(record)),
            Some(_) => drop(repeated.insert(place(record))),
            None => drop(named.insert(record.event.event_id(), Named { record, body_hash })),
        }
    }
    Ok((named, repeated))
}

fn id_reused<E>(record: &Recorded<E>) -> SeenError {
    SeenError::IdReused { partition: record.partition, offset: record.position.offset }
}

/// Remembers identities, in their order, and returns those that were not remembered before.
async fn remember<E>(
    connection: &mut PgConnection,
    scope: &Scope,
    named: &BTreeMap<Uuid, Named<'_, E>>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = named.keys().copied().collect();
    let hashes: Vec<&[u8]> = named.values().map(|named| &named.body_hash[..]).collect();
    let times: Vec<DateTime<Utc>> =
        named.values().map(|named| to_datetime(named.record.log_time)).collect();
    let new: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO seen AS s (projection, generation, event_id, body_hash, log_time)
         SELECT $1, $2, * FROM UNNEST($3::uuid[], $4::bytea[], $5::timestamptz[])
         ON CONFLICT (projection, generation, event_id) DO UPDATE
             SET body_hash = excluded.body_hash, log_time = excluded.log_time
             WHERE s.log_time < excluded.log_time - $6
         RETURNING event_id",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(ids)
    .bind(hashes)
    .bind(times)
    .bind(interval())
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().collect())
}

async fn check_bodies<E>(
    connection: &mut PgConnection,
    scope: &Scope,
    named: &BTreeMap<Uuid, Named<'_, E>>,
    old: &[Uuid],
) -> Result<(), SeenError> {
    let hashes: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "SELECT event_id, body_hash FROM seen
         WHERE projection = $1 AND generation = $2 AND event_id = ANY($3)",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(old)
    .fetch_all(connection)
    .await?;
    let reused = hashes
        .iter()
        .filter_map(|(id, hash)| named.get(id).filter(|named| named.body_hash[..] != hash[..]))
        .map(|named| named.record)
        .min_by_key(|record| place(*record));
    reused.map_or(Ok(()), |record| Err(id_reused(record)))
}

/// Forgets identities that no record still to come can repeat within [`REMEMBERED`]: those older by
/// more than that than the log time of every partition. Returns how many, at most `limit`.
pub(super) async fn forget(
    connection: &mut PgConnection,
    scope: &Scope,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query(
        "DELETE FROM seen WHERE ctid = ANY (ARRAY (
             SELECT s.ctid FROM seen s
             WHERE s.projection = $1 AND s.generation = $2 AND s.log_time < (
                 SELECT min(p.last_log_time) FROM positions p
                 WHERE p.projection = $1 AND p.generation = $2 AND p.last_log_time IS NOT NULL
             ) - $3
             LIMIT $4))",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(interval())
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(forgotten.rows_affected())
}

fn interval() -> sqlx::postgres::types::PgInterval {
    sqlx::postgres::types::PgInterval {
        months: 0,
        days: 0,
        microseconds: REMEMBERED.num_microseconds().unwrap_or(i64::MAX),
    }
}

pub(super) fn to_datetime(time: domain::Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.micros()).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
