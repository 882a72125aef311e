//! What the projector does for the cache in front of reads, so that no read through it is older than
//! one already shown (the protocol: `read_cache` and ADR 10).
//!
//! - A batch announces itself in Redis before its commit, when it holds the locks of its rows, and
//!   gives hot keys their new bodies after it ([`Announcer`]).
//! - The owner of a partition vouches for its bodies: a task renews their trust (`keeper`).
//! - While Redis cannot be reached, trust is left to lapse; then batches commit without a word and
//!   raise the cache generation (`holdings`).

mod announcer;
mod holdings;
pub(crate) mod keeper;
mod occurrence;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use read_cache::CallError;
use tokio::sync::Notify;
use uuid::Uuid;

pub use announcer::Announcer;
pub(crate) use announcer::{Announced, Touched, generation_of};
use holdings::{Access, Holdings};
use occurrence::{BatchEnded, RedisFound, RedisLost};

/// How soon a batch that waits for trust to lapse asks again: Redis may be back.
const LOOK: Duration = Duration::from_millis(250);

/// The cache of one projection, in one run of it.
pub(crate) struct Cache {
    projection: &'static str,
    /// What its rows are called in the cache; `None` where nobody reads them there.
    noun: Option<&'static str>,
    /// `None` where the cache is switched off.
    announcer: Option<Arc<Announcer>>,
    holdings: Mutex<Holdings>,
    /// A partition was taken, or its home is another one: its bodies are to be trusted soon.
    taken: Notify,
}

/// How a batch commits.
pub(crate) enum Commit {
    /// Nothing of it is ever cached.
    Uncached,
    /// Redis is told before and after.
    Announced,
    /// Redis is not told; the cache generation rises. The guard keeps trust from being renewed.
    Unannounced { _under_way: Unannounced },
}

/// An unannounced commit under way.
pub(crate) struct Unannounced {
    cache: Arc<Cache>,
}

impl Drop for Unannounced {
    fn drop(&mut self) {
        self.cache.holdings.lock().ended();
    }
}

impl Cache {
    pub(crate) fn new(
        projection: &'static str,
        noun: Option<&'static str>,
        announcer: Option<Arc<Announcer>>,
    ) -> Self {
        let holdings = Mutex::new(Holdings::new(announcer.is_some(), Instant::now()));
        Self { projection, noun, announcer, holdings, taken: Notify::new() }
    }

    /// A partition is ours, as Postgres has confirmed.
    pub(crate) fn took(&self, partition: i32, assignment: Uuid) {
        self.holdings.lock().took(partition, assignment, Instant::now());
        self.taken.notify_one();
    }

    /// A partition is not ours any more, or it is not known what a commit of it came to: its trust is
    /// not renewed from now on.
    pub(crate) fn gave_up(&self, partition: i32, assignment: Uuid) {
        self.holdings.lock().gave_up(partition, assignment);
    }

    /// How a batch of these partitions may commit now.
    ///
    /// # Errors
    /// Not before then.
    pub(crate) fn access(self: &Arc<Self>, partitions: &[i32]) -> Result<Commit, Instant> {
        if self.noun.is_none() {
            return Ok(Commit::Uncached);
        }
        match self.holdings.lock().access(partitions, Instant::now(), LOOK) {
            Access::Announced => Ok(Commit::Announced),
            Access::Unannounced => {
                Ok(Commit::Unannounced { _under_way: Unannounced { cache: self.clone() } })
            }
            Access::Wait { until } => Err(until),
        }
    }

    /// What a batch announces with, if it is to.
    pub(crate) fn announcer(&self) -> Option<(&Announcer, &'static str)> {
        Some((self.announcer.as_deref()?, self.noun?))
    }

    /// Redis did not take the announcement of a batch of these partitions. Where it is not the Redis
    /// that readers trust, it is agreed upon anew before they commit; else batches go without it from
    /// now on.
    pub(crate) fn not_told(&self, partitions: &[i32], error: &CallError) {
        if *error == CallError::Elsewhere {
            self.holdings.lock().found_elsewhere(partitions);
            self.taken.notify_one();
        } else {
            self.lost(error);
        }
    }

    fn lost(&self, error: &CallError) {
        if self.holdings.lock().lost(Instant::now()) {
            RedisLost { projection: self.projection, error }.emit();
        }
    }

    /// A batch that was announced is committed.
    pub(crate) async fn committed(&self, announced: Announced) {
        let Some((announcer, _)) = self.announcer() else { return };
        let ended = announcer.committed(announced).await;
        BatchEnded { projection: self.projection, ended: &ended }.emit();
    }

    fn found(&self) {
        if self.holdings.lock().found(Instant::now()) {
            RedisFound { projection: self.projection }.emit();
        }
    }
}
