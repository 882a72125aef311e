//! Who waits until an event is in the log.
//!
//! The relay that publishes it may run in another process: then a notice of the database says that
//! something was published, and those that wait are looked up together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::event::LogPlace;
use crate::store::EventStore;

/// How long those that wait rely on notices alone.
const LOOK_UP_INTERVAL: Duration = Duration::from_millis(250);

/// How long a look waits for more that asks for it. Most of those that begin to wait are told by the relay
/// of their own process meanwhile, and the store need not be asked.
const GATHER_FOR: Duration = Duration::from_millis(5);

type Waiting = HashMap<(String, u64), Vec<oneshot::Sender<LogPlace>>>;

/// Those that wait in this process. Clones are the same.
#[derive(Clone, Default)]
pub struct Publications(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something was published, or somebody began to wait.
    stir: Notify,
}

impl Publications {
    /// Where the log holds the event, once it does; `None` where it does not by then.
    pub async fn of(&self, stream_id: &str, version: u64, until: Instant) -> Option<LogPlace> {
        let (tell, told) = oneshot::channel();
        let event = (stream_id.to_owned(), version);
        self.0.waiting.lock().entry(event).or_default().push(tell);
        self.0.stir.notify_one();
        let place = timeout_at(until, told).await.ok()?.ok();
        if place.is_none() {
            self.forget_the_gone();
        }
        place
    }

    /// These events are in the log.
    pub fn published<'a>(&self, events: impl IntoIterator<Item = (&'a str, u64, LogPlace)>) {
        let mut waiting = self.0.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        for (stream_id, version, place) in events {
            for tell in waiting.remove(&(stream_id.to_owned(), version)).into_iter().flatten() {
                // Whoever has gone needs no answer.
                let _ = tell.send(place);
            }
        }
    }

    /// Another process has published something.
    pub fn stirred(&self) {
        self.0.stir.notify_one();
    }

    /// Looks up those that wait whenever something stirs, and now and then. Never returns.
    pub async fn look_up(&self, store: &impl EventStore) {
        loop {
            let events = self.waiting();
            if events.is_empty() {
                self.stir_within(Duration::MAX).await;
                continue;
            }
            if let Ok(places) = store.places(&events).await {
                let found = events.iter().zip(places);
                self.published(found.filter_map(|((stream, version), place)| {
                    Some((stream.as_str(), *version, place?))
                }));
            }
            self.stir_within(LOOK_UP_INTERVAL).await;
        }
    }

    /// Waits for something that stirs, so long at most, and for what stirs right after it.
    async fn stir_within(&self, interval: Duration) {
        if tokio::time::timeout(interval, self.0.stir.notified()).await.is_ok() {
            tokio::time::sleep(GATHER_FOR).await;
        }
    }

    fn waiting(&self) -> Vec<(String, u64)> {
        self.forget_the_gone();
        self.0.waiting.lock().keys().cloned().collect()
    }

    fn forget_the_gone(&self) {
        self.0.waiting.lock().retain(|_, tells| {
            tells.retain(|tell| !tell.is_closed());
            !tells.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: LogPlace = LogPlace { partition: 3, offset: 7 };

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_and_whoever_left_is_forgotten() {
        let publications = Publications::default();
        let until = Instant::now() + Duration::from_secs(5);
        let (told, ()) = tokio::join!(publications.of("a", 1, until), async {
            tokio::task::yield_now().await;
            publications.published([("a", 2, PLACE), ("b", 1, PLACE), ("a", 1, PLACE)]);
        });
        assert_eq!(told, Some(PLACE));
        let soon = Instant::now() + Duration::from_millis(10);
        assert_eq!(publications.of("a", 2, soon).await, None);
        assert!(publications.waiting().is_empty());
    }
}
