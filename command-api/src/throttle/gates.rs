//! How many attempts of one kind are under way at once in a process.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use event_store::claim::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many kinds are told apart; two that are not share their places.
const KINDS: usize = 1_024;

/// Places for attempts. Clones have the same ones.
#[derive(Clone)]
pub(super) struct Gates {
    kinds: Arc<[Arc<Semaphore>]>,
    hasher: RandomState,
}

impl Gates {
    /// So many places for each kind. The others look at what became of those who have them first, so that nobody
    /// tries much before the first failure is counted.
    pub(super) fn new(at_once: usize) -> Self {
        let kinds = (0..KINDS).map(|_| Arc::new(Semaphore::new(at_once))).collect();
        Self { kinds, hasher: RandomState::new() }
    }

    /// Waits for a place, which is taken until what is returned is dropped.
    pub(super) async fn of(&self, kind: &Digest) -> Option<OwnedSemaphorePermit> {
        // The remainder is below the number of kinds.
        let at = self.hasher.hash_one(kind) % KINDS as u64;
        // They are never closed.
        Arc::clone(&self.kinds[at as usize]).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_one_kind_as_many_are_under_way_at_once_as_there_are_places() {
        for at_once in [1, 3] {
            let (gates, kind) = (Gates::new(at_once), [7; 32]);
            let mut under_way = Vec::new();
            for _ in 0..at_once {
                under_way.push(gates.of(&kind).await);
            }
            for gates in [&gates, &gates.clone()] {
                assert!(timeout(Duration::from_secs(1), gates.of(&kind)).await.is_err());
            }
            drop(under_way.pop());
            assert!(timeout(Duration::from_secs(1), gates.of(&kind)).await.is_ok());
        }
    }
}
