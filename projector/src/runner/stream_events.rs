//! What was folded of decided streams, as the database holds it. Whoever asks or writes has locked
//! the position of the streams' partition.

use std::collections::BTreeSet;

use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::positions::Scope;
use super::sequence::{Chains, Link, bridge};
use crate::letters::discarded::discarded;

/// An event of a stream.
pub(crate) type OfStream<'a> = (&'a str, Link);

/// What these events are judged by: the newest event of each of their streams, what was folded under
/// their own versions, and which of them were discarded. Nothing is asked where there are no events.
pub(crate) async fn load(
    connection: &mut PgConnection,
    scope: &Scope,
    events: &[OfStream<'_>],
) -> Result<Chains, sqlx::Error> {
    let mut chains = Chains::default();
    if events.is_empty() {
        return Ok(chains);
    }
    for row in newest_and_discarded(&mut *connection, scope, events).await? {
        let version = row.version.try_into().unwrap_or_default();
        if row.is_discarded {
            chains.add_discarded(row.stream_id, version, row.event_id);
        } else {
            chains.add(&row.stream_id, version, row.event_id);
        }
    }
    // Only what comes again is older than the newest.
    let is_old = |(stream_id, link): &&OfStream<'_>| {
        chains.last(stream_id).is_some_and(|(version, _)| link.version < version)
    };
    let old: Vec<_> = events.iter().filter(is_old).collect();
    if !old.is_empty() {
        for (stream_id, version, event_id) in older(connection, scope, &old).await? {
            chains.add(&stream_id, version.try_into().unwrap_or_default(), event_id);
        }
    }
    Ok(chains)
}

#[derive(FromRow)]
struct Known {
    stream_id: String,
    version: i64,
    event_id: Uuid,
    is_discarded: bool,
}

async fn newest_and_discarded(
    connection: &mut PgConnection,
    scope: &Scope,
    events: &[OfStream<'_>],
) -> Result<Vec<Known>, sqlx::Error> {
    let streams: BTreeSet<&str> = events.iter().map(|(stream_id, _)| *stream_id).collect();
    sqlx::query_as(
        "SELECT s.stream_id, newest.version, newest.event_id, false AS is_discarded
         FROM UNNEST($3::text[]) AS s(stream_id), LATERAL (
             SELECT e.version, e.event_id FROM stream_events e
             WHERE e.projection = $1 AND e.generation = $2 AND e.stream_id = s.stream_id
             ORDER BY e.version DESC LIMIT 1) newest
         UNION ALL
         SELECT l.stream_id, l.stream_version, l.event_id, true
         FROM UNNEST($4::text[], $5::bigint[], $6::uuid[]) AS b(stream_id, stream_version, event_id)
         JOIN letters l USING (stream_id, stream_version, event_id)
         WHERE l.projection = $1 AND l.generation = $2 AND l.state = 'discarded'",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(streams.into_iter().collect::<Vec<_>>())
    .bind(events.iter().map(|(stream_id, _)| *stream_id).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, link)| link.stored_version()).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, link)| link.event_id).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

async fn older(
    connection: &mut PgConnection,
    scope: &Scope,
    events: &[&OfStream<'_>],
) -> Result<Vec<(String, i64, Uuid)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT e.stream_id, e.version, e.event_id
         FROM UNNEST($3::text[], $4::bigint[]) AS b(stream_id, version)
         JOIN stream_events e USING (stream_id, version)
         WHERE e.projection = $1 AND e.generation = $2",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(events.iter().map(|(stream_id, _)| *stream_id).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, link)| link.stored_version()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// Writes down events that were folded, in the order of streams and versions.
pub(crate) async fn record(
    connection: &mut PgConnection,
    scope: &Scope,
    mut events: Vec<OfStream<'_>>,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    events.sort_unstable_by_key(|(stream_id, link)| (*stream_id, link.version));
    sqlx::query(
        "INSERT INTO stream_events (projection, generation, stream_id, version, event_id)
         SELECT $1, $2, * FROM UNNEST($3::text[], $4::bigint[], $5::uuid[])",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(events.iter().map(|(stream_id, _)| *stream_id).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, link)| link.stored_version()).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, link)| link.event_id).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

/// Whether only discarded letters stand between what was folded of the stream and an event that comes
/// too early. Then they are passed over: written down as if folded, so that the event is the next.
pub(crate) async fn pass_over(
    connection: &mut PgConnection,
    scope: &Scope,
    chains: &mut Chains,
    (stream_id, event): OfStream<'_>,
) -> Result<bool, sqlx::Error> {
    let last = chains.last(stream_id);
    let between = (last.map_or(0, |(version, _)| version), event.version);
    let discarded = discarded(&mut *connection, scope, stream_id, between).await?;
    let Some(passed) = bridge(last, &event, &discarded) else { return Ok(false) };
    for link in &passed {
        chains.add(stream_id, link.version, link.event_id);
    }
    record(connection, scope, passed.into_iter().map(|link| (stream_id, link)).collect()).await?;
    Ok(true)
}
