//! Tokens that name an event of a stream: where the log has it is asked of the store that decided it.
//!
//! A decision that is answered before the log has it can name no place in the log. The store writes the
//! place down once the log has acknowledged the event, and from then on the need is one like any other.

use std::sync::Arc;
use std::time::Duration;

use consistency_token::{Entry, Token};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use crate::lookups::{Lookup, LookupError, Lookups};
use crate::positions::map::{LogPartition, Need, StreamEvent};
use crate::positions::{Positions, Unreached};

/// Pause before an event that the log does not have is asked for again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// The streams whose decided events a view shows.
#[derive(Clone, Copy)]
pub(crate) struct Decisions<'a> {
    /// What their names begin with, before the first `-`.
    pub(crate) kind: &'static str,
    /// Where the log has their events.
    pub(crate) places: &'a Places,
}

/// What the token asks of streams of this kind.
pub(super) fn of_kind(token: &Token, kind: &str) -> Vec<StreamEvent> {
    let is_ours = |id: &str| id.split_once('-').is_some_and(|(of, _)| of == kind);
    let entries = token.entries().filter_map(|entry| match entry {
        Entry::Stream { id, version } if is_ours(id) => {
            Some(StreamEvent { stream_id: id.to_owned(), version })
        }
        Entry::Stream { .. } | Entry::Log { .. } => None,
    });
    entries.collect()
}

/// What is known of where the log has an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is no such event.
    Nowhere,
    /// It is decided, and not acknowledged yet.
    NotYet,
    /// Here, in the present life of its topic.
    At {
        /// The partition.
        partition: u32,
        /// The offset.
        offset: u64,
    },
}

/// Whoever knows where the log has an event.
pub(crate) trait FindPlace {
    /// As of some moment after the call.
    fn find_place(
        &self,
        event: &StreamEvent,
    ) -> impl Future<Output = Result<Place, LookupError>> + Send;
}

/// Where the log has decided events, as the store tells it.
pub(crate) struct Places {
    /// The table of decided events, with its schema.
    events: Arc<str>,
    lookups: Lookups<PlaceLookup>,
}

impl Places {
    /// Of the store in this Postgres schema.
    pub(crate) fn new(event_store: &str, lookups: Lookups<PlaceLookup>) -> Self {
        Self { events: format!("{event_store}.events").into(), lookups }
    }
}

impl FindPlace for Places {
    async fn find_place(&self, event: &StreamEvent) -> Result<Place, LookupError> {
        self.lookups.find(PlaceKey { events: self.events.clone(), event: event.clone() }).await
    }
}

/// The need that an event is to a reader, once the log has it.
///
/// # Errors
/// [`Unreached::NoSuchEvent`] at once; [`Unreached::NotLogged`] where the log does not have it in time.
pub(super) async fn need_of(
    event: StreamEvent,
    topic: &str,
    places: &(impl FindPlace + Sync),
    positions: &Positions,
    until: Instant,
) -> Result<Need, Unreached> {
    let (mut waiting, mut pause) = (None, FIRST_PAUSE);
    loop {
        let place = places.find_place(&event).await.map_err(unknown)?;
        let unreached = match (place, positions.epoch_now(topic)) {
            (Place::At { partition, offset }, Some(epoch)) => {
                let log = LogPartition { topic: topic.to_owned(), epoch, partition };
                return Ok(Need { log, offset });
            }
            (Place::At { .. }, None) => Unreached::Unknown,
            (Place::NotYet, _) => Unreached::NotLogged,
            (Place::Nowhere, _) => return Err(Unreached::NoSuchEvent(event)),
        };
        let now = Instant::now();
        if now >= until {
            return Err(unreached);
        }
        if waiting.is_none() {
            waiting = Some(positions.join_waiting()?);
        }
        tokio::time::sleep_until((now + pause).min(until)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn unknown(error: LookupError) -> Unreached {
    match error {
        LookupError::Busy => Unreached::TooManyWaiting,
        LookupError::Unavailable => Unreached::Unknown,
    }
}

/// An event, and the table in which it is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlaceKey {
    events: Arc<str>,
    event: StreamEvent,
}

/// Places of events.
pub(crate) struct PlaceLookup;

impl Lookup for PlaceLookup {
    const OF: &'static str = "places of decisions";
    type Key = PlaceKey;
    type Found = Place;

    async fn find(
        connection: &mut PgConnection,
        keys: &[PlaceKey],
    ) -> Result<Vec<Place>, sqlx::Error> {
        // All of one deployment, and so in one table.
        let Some(PlaceKey { events, .. }) = keys.first() else { return Ok(Vec::new()) };
        let statement = format!(
            "SELECT n.number, e.published_partition, e.published_offset
             FROM UNNEST($1::int[], $2::text[], $3::bigint[]) AS n(number, stream_id, version)
             JOIN {events} e ON e.stream_id = n.stream_id AND e.stream_version = n.version"
        );
        // No stream has a version beyond what the database's numbers hold.
        let version = |key: &PlaceKey| i64::try_from(key.event.version).unwrap_or(i64::MAX);
        let lines: Vec<(i32, Option<i32>, Option<i64>)> = sqlx::query_as(AssertSqlSafe(statement))
            .bind((0_i32..).take(keys.len()).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| key.event.stream_id.as_str()).collect::<Vec<_>>())
            .bind(keys.iter().map(version).collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
        let mut places = vec![Place::Nowhere; keys.len()];
        for (number, partition, offset) in lines {
            let place = usize::try_from(number).ok().and_then(|number| places.get_mut(number));
            if let Some(place) = place {
                *place = published(partition, offset);
            }
        }
        Ok(places)
    }
}

/// The database's numbers are signed; none of these is ever below zero.
fn published(partition: Option<i32>, offset: Option<i64>) -> Place {
    match (partition, offset) {
        (Some(partition), Some(offset)) => {
            Place::At { partition: partition.unsigned_abs(), offset: offset.unsigned_abs() }
        }
        _ => Place::NotYet,
    }
}

#[cfg(test)]
mod tests;
