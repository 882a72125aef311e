//! Turns of those who decide about one thing.

use std::hash::{BuildHasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// How many things are told apart; two that are not share their turns.
const PLACES: usize = 1_024;

/// One turn at a time for each thing.
pub(super) struct Turns {
    places: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| Mutex::new(())).collect();
        Self { places, hasher: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the thing's turn, which lasts until what is returned is dropped.
    pub(super) async fn of(&self, id: &Uuid) -> MutexGuard<'_, ()> {
        // The remainder is below the number of places.
        let place = self.hasher.hash_one(id) % PLACES as u64;
        self.places[place as usize].lock().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_thing_has_one_turn_at_a_time() {
        let (turns, id) = (Turns::default(), Uuid::from_u128(7));
        let turn = turns.of(&id).await;
        assert!(timeout(Duration::from_secs(1), turns.of(&id)).await.is_err());
        drop(turn);
        assert!(timeout(Duration::from_secs(1), turns.of(&id)).await.is_ok());
    }
}
