//! How far each projection has come, known in this process without asking Postgres per request.
//!
//! One task ([`follow`]) keeps the knowledge: projectors send notices after their commits, and the
//! task also asks the database now and again, since a notice may be lost. Reads wait here until the
//! view shows what their token asks for. What is known is never ahead of what a later statement
//! sees: both notices and answers speak of commits.

pub(crate) mod follow;
pub(crate) mod map;

mod notice;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use domain::Timestamp;
use telemetry::Metric;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use map::{Need, Position, PositionMap, Shortfall, StreamEvent};

/// Without word from the database for longer than this, what is known is too old to say that a
/// view is behind.
const FRESH: Duration = Duration::from_secs(5);

/// What is known and how fresh it is.
#[derive(Debug, Default)]
struct Known {
    map: PositionMap,
    /// Questions answered so far.
    answers: u64,
    /// When the last answer came; ages are counted from here.
    answered_at: Option<Instant>,
    /// The database's time, and when it was heard.
    database_time: Option<(Timestamp, Instant)>,
}

/// The knowledge and those who wait for it to grow. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Positions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: watch::Sender<Known>,
    places: Semaphore,
    max_waiting: usize,
    /// Somebody began to wait: the task asks more often.
    demand: Notify,
}

/// Why a view does not show what a reader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// It is this far behind.
    Behind {
        /// What is needed first.
        need: Need,
        /// Where the view stands; its age counted up to now.
        position: Position,
        /// Why the projection stopped itself, if it did.
        brake: Option<String>,
    },
    /// No topic has such a partition.
    NoSuchPartition(map::LogPartition),
    /// The event is decided, and the log has not acknowledged it yet.
    NotLogged,
    /// No stream has such an event.
    NoSuchEvent(StreamEvent),
    /// The database does not say where the view stands.
    Unknown,
    /// As many reads wait as may.
    TooManyWaiting,
}

impl Positions {
    /// Nothing is known yet; at most `max_waiting` reads may wait.
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self(Arc::new(Shared {
            known: watch::Sender::new(Known::default()),
            places: Semaphore::new(max_waiting),
            max_waiting,
            demand: Notify::new(),
        }))
    }

    /// What the database said of positions, just now.
    #[cfg(test)]
    pub(crate) fn knowing(map: PositionMap, max_waiting: usize) -> Self {
        let positions = Self::new(max_waiting);
        positions.answered(follow::Answer { map, time: Timestamp(0) }, &[]);
        positions
    }

    /// Returns once the projection's view shows all that is needed, or says after `limit` why not.
    pub(crate) async fn reach(
        &self,
        projection: &str,
        needs: &[Need],
        limit: Duration,
    ) -> Result<(), Unreached> {
        let asked = self.0.known.borrow().answers;
        let Err(unreached) = self.0.known.borrow().check(projection, needs) else { return Ok(()) };
        if limit.is_zero() {
            return Err(unreached);
        }
        let _waiting = self.join_waiting()?;
        let mut known = self.0.known.subscribe();
        self.0.demand.notify_one();
        let settled = known.wait_for(|known| match known.check(projection, needs) {
            Ok(()) => true,
            // The second answer from now on was certainly asked for after the request came.
            Err(Unreached::NoSuchPartition(_)) => known.answers >= asked + 2,
            Err(_) => false,
        });
        // Whether time ran out or not, what is known now decides.
        let _ = tokio::time::timeout(limit, settled).await;
        self.0.known.borrow().check(projection, needs)
    }

    /// Joins the reads that wait, for as long as what is returned lives.
    pub(crate) fn join_waiting(&self) -> Result<Waiting<'_>, Unreached> {
        let place = self.0.places.try_acquire().map_err(|_| Unreached::TooManyWaiting)?;
        Ok(Waiting { _place: place, _gauge: WaiterGauge::enter() })
    }

    /// Whether it is known that nothing of what is needed is set aside.
    pub(crate) fn are_clear(&self, projection: &str, needs: &[Need]) -> bool {
        let known = self.0.known.borrow();
        needs.iter().all(|need| known.map.is_clear(projection, need))
    }

    /// The offset below which it is known that nothing of the partition is set aside.
    pub(crate) fn clear_below(&self, projection: &str, log: &map::LogPartition) -> Option<u64> {
        self.0.known.borrow().map.clear_below(projection, log)
    }

    /// The database's time, as it was heard last and by what has passed since; ours before.
    pub(crate) fn database_time(&self) -> Timestamp {
        let heard = self.0.known.borrow().database_time;
        let Some((time, at)) = heard else { return Timestamp(Utc::now().timestamp_micros()) };
        let since = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp(time.micros().saturating_add(since))
    }

    /// How many partitions the topic has in this life, as far as known.
    pub(crate) fn partitions(&self, topic: &str, epoch: u32) -> Option<u32> {
        self.0.known.borrow().map.partitions(topic, epoch)
    }

    /// Which life of the topic is its present one, as far as known.
    pub(crate) fn epoch_now(&self, topic: &str) -> Option<u32> {
        self.0.known.borrow().map.epoch_now(topic)
    }

    /// How many partitions the topic has in its present life, as far as known.
    pub(crate) fn partitions_now(&self, topic: &str) -> Option<u32> {
        self.0.known.borrow().map.partitions_now(topic)
    }

    fn has_waiting(&self) -> bool {
        self.0.places.available_permits() < self.0.max_waiting
    }
}

impl Known {
    fn check(&self, projection: &str, needs: &[Need]) -> Result<(), Unreached> {
        let Some(answered_at) = self.answered_at else { return Err(Unreached::Unknown) };
        match self.map.shortfall(projection, needs) {
            None => Ok(()),
            Some(_) if answered_at.elapsed() > FRESH => Err(Unreached::Unknown),
            Some(Shortfall::NoSuchPartition(log)) => Err(Unreached::NoSuchPartition(log)),
            Some(Shortfall::Behind { need, position, brake }) => {
                let age = position.age.map(|age| age + answered_at.elapsed());
                Err(Unreached::Behind { need, position: Position { age, ..position }, brake })
            }
        }
    }
}

/// A place among the reads that wait.
pub(crate) struct Waiting<'a> {
    _place: SemaphorePermit<'a>,
    _gauge: WaiterGauge,
}

/// Counts a waiting read for as long as it lives.
struct WaiterGauge;

impl WaiterGauge {
    fn enter() -> Self {
        Metric::QueryApiWaiters.gauge(&[]).increment(1.0);
        Self
    }
}

impl Drop for WaiterGauge {
    fn drop(&mut self) {
        Metric::QueryApiWaiters.gauge(&[]).decrement(1.0);
    }
}

#[cfg(test)]
mod tests;
