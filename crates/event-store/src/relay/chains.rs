//! What is under way: streams side by side, the events of each one after the other.

use std::collections::HashMap;
use std::time::Duration;

use domain::Timestamp;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::{Log, NotAppended};
use crate::event::{Event, LogPlace};

/// How long a stream waits whose event the log did not take.
const AGAIN: Duration = Duration::from_millis(200);

/// What became of a stream's events.
struct Ended {
    stream_id: String,
    published: Vec<(Event, LogPlace)>,
    /// Why the log did not take the next one.
    refused: Option<NotAppended>,
}

/// A stream that is not looked for.
struct Stream {
    /// When the first of its events happened that the log does not have.
    oldest: Timestamp,
    /// Until when it waits, after the log did not take its event.
    waits_until: Option<Instant>,
}

/// Streams under way. Of each at most one event is sent and not acknowledged.
pub(super) struct Chains<'a, L> {
    log: &'a L,
    running: FuturesUnordered<BoxFuture<'a, Ended>>,
    streams: HashMap<String, Stream>,
    /// What was published of streams that are not under way any more.
    published: Vec<(Event, LogPlace)>,
    /// Whether something was sent that may still arrive.
    pub(super) has_lost: bool,
}

impl<'a, L: Log> Chains<'a, L> {
    pub(super) fn new(log: &'a L) -> Self {
        Self {
            log,
            running: FuturesUnordered::new(),
            streams: HashMap::new(),
            published: Vec::new(),
            has_lost: false,
        }
    }

    /// How many streams are under way.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// How long to wait for whatever may come, `at_most` this long.
    pub(super) fn patience(&self, at_most: Duration) -> Duration {
        if self.streams.is_empty() { at_most } else { at_most.min(AGAIN) }
    }

    /// Streams that are under way, or wait until they are tried again.
    pub(super) fn streams(&mut self) -> Vec<String> {
        let now = Instant::now();
        self.streams.retain(|_, stream| stream.waits_until.is_none_or(|until| now < until));
        self.streams.keys().cloned().collect()
    }

    /// When the oldest event of these happened.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.streams.values().map(|stream| stream.oldest).min_by_key(|at| at.micros())
    }

    /// Sends events of streams that are not under way, each stream's in their order, and nothing of them
    /// after `until`.
    pub(super) fn send(&mut self, events: Vec<Event>, until: Instant) {
        let mut chains: HashMap<String, Vec<Event>> = HashMap::new();
        for event in events {
            let under_way = Stream { oldest: event.occurred_at, waits_until: None };
            self.streams.entry(event.stream_id.clone()).or_insert(under_way);
            chains.entry(event.stream_id.clone()).or_default().push(event);
        }
        let sent = chains.into_iter().map(|(id, events)| send(self.log, id, events, until).boxed());
        self.running.extend(sent);
    }

    /// Waits until a stream has come to its end. Cancelling it loses nothing.
    pub(super) async fn first(&mut self) {
        if let Some(ended) = self.running.next().await {
            self.end(ended);
        }
    }

    /// What was published of streams that have come to their end, or do so within a while.
    pub(super) async fn gather(&mut self, within: Duration) -> Vec<(Event, LogPlace)> {
        let until = Instant::now() + within;
        while let Ok(Some(ended)) = timeout_at(until, self.running.next()).await {
            self.end(ended);
        }
        std::mem::take(&mut self.published)
    }

    fn end(&mut self, ended: Ended) {
        match ended.refused {
            None => drop(self.streams.remove(&ended.stream_id)),
            Some(why) => {
                self.has_lost |= why == NotAppended::Unknown;
                if let Some(stream) = self.streams.get_mut(&ended.stream_id) {
                    stream.waits_until = Some(Instant::now() + AGAIN);
                }
            }
        }
        self.published.extend(ended.published);
    }
}

async fn send<L: Log>(log: &L, stream_id: String, events: Vec<Event>, until: Instant) -> Ended {
    let mut ended = Ended { stream_id, published: Vec::with_capacity(events.len()), refused: None };
    for event in events {
        if Instant::now() >= until {
            break;
        }
        match log.append(&event).await {
            Ok(place) => ended.published.push((event, place)),
            Err(refused) => {
                ended.refused = Some(refused);
                break;
            }
        }
    }
    ended
}
