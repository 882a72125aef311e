//! What a batch has set in Redis before its commit, and has to end after it.

use crate::key::{CacheKey, TrustKey};
use crate::value::BatchId;

/// The tombstones and windows that one batch has set. Nobody else can fill the keys or take the
/// tombstones away; they lapse [`crate::times::TOMBSTONE`] after they were set.
#[derive(Debug)]
#[must_use = "the keys stay cold until the tombstones lapse, unless `after_commit` ends them"]
pub struct Tombstones {
    pub(crate) batch: BatchId,
    pub(crate) windows: Vec<TrustKey>,
    pub(crate) set: Vec<Tombstone>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Tombstone {
    pub(crate) key: CacheKey,
    /// When the body that it replaced would have lapsed, in Redis' milliseconds; `None` if it
    /// replaced none.
    pub(crate) lapses: Option<i64>,
}

impl Tombstones {
    /// The keys that held a body: somebody reads them, so that a new body is wanted.
    pub fn hot(&self) -> impl ExactSizeIterator<Item = &CacheKey> {
        let hot = self.set.iter().filter(|tombstone| tombstone.lapses.is_some());
        hot.map(|tombstone| &tombstone.key).collect::<Vec<_>>().into_iter()
    }

    /// The batch whose tombstones they are.
    pub fn batch(&self) -> BatchId {
        self.batch
    }

    /// How many keys have a tombstone. Those that only a window covers have none.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether no key has a tombstone. There may be windows to be ended all the same.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}
