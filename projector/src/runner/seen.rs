//! Events that clients named: a second one with the same identity has no effect.
//!
//! An identity is remembered for [`REMEMBERED`] of log time, counted between the log times of the
//! two records, so that a rebuild forgets exactly what the live fold forgot.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use domain::Timestamp;
use domain::device::BodyHash;
use read_models::recorded::Recorded;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Event;
use super::positions::Scope;

/// How long an identity is remembered.
pub(super) const REMEMBERED: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// A batch without what was seen before.
pub(crate) struct Distinct<'a, E> {
    pub(crate) events: Vec<&'a Recorded<E>>,
    pub(crate) duplicates: usize,
}

/// Why a batch cannot be folded as it is.
pub(crate) enum SeenError {
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
pub(crate) async fn distinct<'a, E: Event>(
    connection: &mut PgConnection,
    scope: &Scope,
    batch: &[&'a Recorded<E>],
) -> Result<Distinct<'a, E>, SeenError> {
    let mut dropped = HashSet::new();
    let mut waiting = named(batch);
    // One round, unless a batch spans more log time than an identity is remembered for.
    while !waiting.is_empty() {
        let firsts = first_of_each(&waiting);
        let new = remember(connection, scope, &firsts).await?;
        let known = known(connection, scope, &firsts, &new).await?;
        let mut later = Vec::new();
        for named in waiting {
            match known.get(&named.record.event.event_id()).map(|known| known.judge(&named)) {
                Some(Verdict::First) | None => {}
                Some(Verdict::Repeated) => drop(dropped.insert(place(named.record))),
                Some(Verdict::AnotherBody) => return Err(id_reused(named.record)),
                Some(Verdict::Forgotten) => later.push(named),
            }
        }
        waiting = later;
    }
    let events: Vec<_> =
        batch.iter().copied().filter(|record| !dropped.contains(&place(*record))).collect();
    Ok(Distinct { duplicates: batch.len() - events.len(), events })
}

/// The same of one event that was a letter: later events with its identity may have been folded, so
/// its body is compared whichever came first, and beyond [`REMEMBERED`] it is an event of its own.
pub(crate) async fn distinct_late<'a, E: Event>(
    connection: &mut PgConnection,
    scope: &Scope,
    record: &'a Recorded<E>,
) -> Result<Distinct<'a, E>, SeenError> {
    let alone = Distinct { events: vec![record], duplicates: 0 };
    let waiting = named(&[record]);
    let firsts = first_of_each(&waiting);
    let Some((id, named)) = firsts.first_key_value() else { return Ok(alone) };
    let new = remember(connection, scope, &firsts).await?;
    let known = known(connection, scope, &firsts, &new).await?;
    let Some(known) = known.get(id).filter(|_| !new.contains(id)) else { return Ok(alone) };
    let age = record.log_time.micros().abs_diff(known.log_time.micros());
    if i64::try_from(age).is_ok_and(|age| age <= REMEMBERED.num_microseconds().unwrap_or(i64::MAX))
    {
        if known.body_hash[..] != named.body_hash[..] {
            return Err(id_reused(record));
        }
        return Ok(Distinct { events: Vec::new(), duplicates: 1 });
    }
    Ok(alone)
}

/// A record whose client named it.
struct Named<'a, E> {
    record: &'a Recorded<E>,
    body_hash: BodyHash,
}

/// The event that an identity stands for now.
struct Known {
    body_hash: Vec<u8>,
    log_time: Timestamp,
    /// Where it stands if it is of this batch.
    place: Option<Place>,
}

/// What a record is to the event that its identity stands for.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// That event.
    First,
    /// A repetition of it, or delivered again.
    Repeated,
    /// Something else under its identity.
    AnotherBody,
    /// So much later that the identity is free again.
    Forgotten,
}

/// Where a record of the batch stands.
type Place = (i32, i64);

fn place<E>(record: &Recorded<E>) -> Place {
    (record.partition, record.position.offset)
}

impl Known {
    fn judge<E>(&self, named: &Named<'_, E>) -> Verdict {
        let age = named.record.log_time.micros().saturating_sub(self.log_time.micros());
        if self.place == Some(place(named.record)) {
            Verdict::First
        } else if age > REMEMBERED.num_microseconds().unwrap_or(i64::MAX) {
            Verdict::Forgotten
        } else if age >= 0 && self.body_hash[..] != named.body_hash[..] {
            Verdict::AnotherBody
        } else {
            // An older record than the one that is known was judged when it was folded first.
            Verdict::Repeated
        }
    }
}

fn named<'a, E: Event>(batch: &[&'a Recorded<E>]) -> Vec<Named<'a, E>> {
    let named =
        |record: &&'a Recorded<E>| Some(Named { record, body_hash: record.event.client_named()? });
    batch.iter().filter_map(named).collect()
}

/// The first record of each identity, in the order of identities.
fn first_of_each<'a, 'n, E: Event>(
    waiting: &'n [Named<'a, E>],
) -> BTreeMap<Uuid, &'n Named<'a, E>> {
    let mut firsts = BTreeMap::new();
    for named in waiting {
        firsts.entry(named.record.event.event_id()).or_insert(named);
    }
    firsts
}

fn id_reused<E>(record: &Recorded<E>) -> SeenError {
    SeenError::IdReused { partition: record.partition, offset: record.position.offset }
}

/// Remembers identities, in their order, and returns those that were not remembered before.
async fn remember<E>(
    connection: &mut PgConnection,
    scope: &Scope,
    firsts: &BTreeMap<Uuid, &Named<'_, E>>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = firsts.keys().copied().collect();
    let partitions: Vec<i32> = firsts.values().map(|first| first.record.partition).collect();
    let hashes: Vec<&[u8]> = firsts.values().map(|first| &first.body_hash[..]).collect();
    let times: Vec<DateTime<Utc>> =
        firsts.values().map(|first| to_datetime(first.record.log_time)).collect();
    let new: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO seen AS s (projection, generation, event_id, partition, body_hash, log_time)
         SELECT $1, $2, * FROM UNNEST($3::uuid[], $7::int[], $4::bytea[], $5::timestamptz[])
         ON CONFLICT (projection, generation, event_id) DO UPDATE
             SET partition = excluded.partition, body_hash = excluded.body_hash,
                 log_time = excluded.log_time
             WHERE s.log_time < excluded.log_time - $6
         RETURNING event_id",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(ids)
    .bind(hashes)
    .bind(times)
    .bind(interval())
    .bind(partitions)
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().collect())
}

/// What each identity stands for now: the record just remembered, or what was stored before.
async fn known<E>(
    connection: &mut PgConnection,
    scope: &Scope,
    firsts: &BTreeMap<Uuid, &Named<'_, E>>,
    new: &HashSet<Uuid>,
) -> Result<BTreeMap<Uuid, Known>, sqlx::Error> {
    let (new, old): (Vec<_>, Vec<_>) = firsts.iter().partition(|(id, _)| new.contains(id));
    let of_batch = |(id, first): (&Uuid, &&Named<'_, E>)| {
        let body_hash = first.body_hash.to_vec();
        let place = Some(place(first.record));
        (*id, Known { body_hash, log_time: first.record.log_time, place })
    };
    let mut known: BTreeMap<_, _> = new.into_iter().map(of_batch).collect();
    if !old.is_empty() {
        let old: Vec<Uuid> = old.into_iter().map(|(id, _)| *id).collect();
        let stored: Vec<(Uuid, Vec<u8>, DateTime<Utc>)> = sqlx::query_as(
            "SELECT event_id, body_hash, log_time FROM seen
             WHERE projection = $1 AND generation = $2 AND event_id = ANY($3)",
        )
        .bind(scope.projection)
        .bind(scope.generation)
        .bind(old)
        .fetch_all(connection)
        .await?;
        known.extend(stored.into_iter().map(|(id, body_hash, time)| {
            let log_time = Timestamp(time.timestamp_micros());
            (id, Known { body_hash, log_time, place: None })
        }));
    }
    Ok(known)
}

/// Forgets identities that no record still to come can repeat within [`REMEMBERED`]: those older by
/// more than that than what their own partition, where every record of theirs stands, was folded
/// to, and than its oldest open letter. Returns how many, at most `limit`.
pub(super) async fn forget(
    connection: &mut PgConnection,
    scope: &Scope,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query(
        "DELETE FROM seen WHERE ctid = ANY (ARRAY (
             SELECT s.ctid FROM seen s JOIN positions p USING (projection, generation, partition)
             WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $5 AND p.epoch = $6
               AND s.log_time < p.last_log_time - $3
               AND s.log_time < coalesce((
                   SELECT min(l.log_time) FROM letters l
                   WHERE l.projection = p.projection AND l.generation = p.generation
                     AND l.topic = p.topic AND l.epoch = p.epoch AND l.partition = p.partition
                     AND l.settled_at IS NULL), p.last_log_time) - $3
             LIMIT $4))",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(interval())
    .bind(limit)
    .bind(&scope.topic)
    .bind(scope.epoch)
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

/// A time as Postgres' client takes it.
pub(crate) fn to_datetime(time: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.micros()).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
