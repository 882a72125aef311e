//! Which positions are to be claimed anew, and when: plain data, without clock.
//!
//! Two processes that both hold a partition for theirs, until the slower one hears that it is not,
//! take it from each other. A pause that grows lets each fold something in between.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::partition::backoff;

/// A claim that lasted longer was lost for a new reason.
const A_GOOD_WHILE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Reclaims {
    waiting: Vec<Reclaim>,
    /// How often each was lost of late, and when last.
    losses: BTreeMap<i32, (u32, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Reclaim {
    due: Instant,
    partition: i32,
    epoch: u64,
}

impl Reclaims {
    /// A partition's position was not where this assignment left it: claimed anew at once, and after
    /// a pause when that happens again and again.
    pub(super) fn add(&mut self, partition: i32, epoch: u64, now: Instant) {
        let (losses, last) = self.losses.get(&partition).copied().unwrap_or((0, now));
        let losses = if now.duration_since(last) > A_GOOD_WHILE { 0 } else { losses };
        self.losses.insert(partition, (losses + 1, now));
        let pause = match losses {
            0 => Duration::ZERO,
            // Spread by partition: two processes that fight for all of them meet less often.
            many => backoff(many, f64::from(partition % 8) / 8.0),
        };
        self.waiting.retain(|reclaim| reclaim.partition != partition);
        self.waiting.push(Reclaim { due: now + pause, partition, epoch });
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.iter().map(|reclaim| reclaim.due).min()
    }

    /// Partitions that are due, each with the epoch of the assignment that was lost.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(i32, u64)> {
        let (due, waiting) = self.waiting.drain(..).partition(|reclaim| reclaim.due <= now);
        self.waiting = waiting;
        due.into_iter().map(|Reclaim { partition, epoch, .. }| (partition, epoch)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_due_at_once_and_each_after_it_later() {
        let (mut reclaims, mut now) = (Reclaims::default(), Instant::now());
        reclaims.add(3, 1, now);
        assert_eq!(reclaims.take_due(now), [(3, 1)]);
        let mut pauses = Vec::new();
        for epoch in 2..8 {
            reclaims.add(3, epoch, now);
            let due = reclaims.next().unwrap();
            assert_eq!(reclaims.take_due(now), []);
            pauses.push(due - now);
            now = due;
            assert_eq!(reclaims.take_due(now), [(3, epoch)]);
        }
        assert!(pauses.is_sorted() && pauses[5] > 4 * pauses[0], "{pauses:?}");
    }

    #[test]
    fn a_good_while_is_a_new_beginning() {
        let (mut reclaims, now) = (Reclaims::default(), Instant::now());
        reclaims.add(3, 1, now);
        reclaims.add(3, 2, now);
        let later = now + A_GOOD_WHILE + Duration::from_secs(1);
        reclaims.add(3, 3, later);
        assert_eq!(reclaims.take_due(later), [(3, 3)]);
    }

    #[test]
    fn a_partition_waits_once_with_its_newest_assignment() {
        let (mut reclaims, now) = (Reclaims::default(), Instant::now());
        reclaims.add(3, 1, now);
        reclaims.add(3, 2, now);
        assert_eq!(reclaims.take_due(now + A_GOOD_WHILE), [(3, 2)]);
        assert_eq!(reclaims.next(), None);
    }
}
