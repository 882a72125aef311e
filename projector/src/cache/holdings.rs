//! Which partitions this process vouches for, and whether it reaches Redis: plain data, without I/O
//! or clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use read_cache::{TrustClock, WithoutRedis};
use uuid::Uuid;

/// How long Redis is left alone after a call failed; doubled each time that it was soon lost again.
const HOLD_OFF: Duration = Duration::from_secs(1);
const LONGEST_HOLD_OFF: Duration = Duration::from_secs(30);

/// A Redis that was reached for so long is lost for a new reason.
const A_GOOD_WHILE: Duration = Duration::from_secs(60);

/// How soon a batch asks again whose Redis is being agreed upon.
const AGREEING: Duration = Duration::from_millis(10);

/// How a batch may commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// With tombstones before and bodies after.
    Announced,
    /// Without a word to Redis: nobody trusts it. The cache generation rises.
    Unannounced,
    /// Not before then: somebody may still trust what the batch makes old.
    Wait {
        /// When to ask again.
        until: Instant,
    },
}

/// Whether Redis is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// As far as is known; since then.
    Up { since: Instant },
    /// It is not asked before then.
    Lost { look_at: Instant },
    /// The cache is switched off: it is never asked.
    Off,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    assignment: Uuid,
    clock: TrustClock,
    /// Readers trust another Redis than the one that is reached, until the two are agreed upon anew.
    is_elsewhere: bool,
}

/// The partitions that are ours, with the account of who may trust their bodies.
#[derive(Debug)]
pub(super) struct Holdings {
    held: BTreeMap<i32, Held>,
    link: Link,
    /// Times that Redis was lost without a good while in between.
    losses: u32,
    /// Unannounced commits under way: no trust is renewed before they are over.
    unannounced: usize,
    /// Redis is reached again, and renewals still rest because of them.
    is_resting: bool,
}

impl Holdings {
    pub(super) fn new(is_on: bool, now: Instant) -> Self {
        let link = if is_on { Link::Up { since: now } } else { Link::Off };
        Self { held: BTreeMap::new(), link, losses: 0, unannounced: 0, is_resting: false }
    }

    /// A partition is ours since before `now`.
    pub(super) fn took(&mut self, partition: i32, assignment: Uuid, now: Instant) {
        let mut clock = TrustClock::owner_since(now);
        if !self.is_up() || self.is_resting {
            clock.stop();
        }
        self.held.insert(partition, Held { assignment, clock, is_elsewhere: false });
    }

    /// An assignment is over; one that followed it is not touched.
    pub(super) fn gave_up(&mut self, partition: i32, assignment: Uuid) {
        if self.held.get(&partition).is_some_and(|held| held.assignment == assignment) {
            self.held.remove(&partition);
        }
    }

    /// How a batch of these partitions may commit. An unannounced one is to be [ended](Self::ended).
    pub(super) fn access(&mut self, partitions: &[i32], now: Instant, look: Duration) -> Access {
        if self.is_up() {
            let mut held = partitions.iter().filter_map(|partition| self.held.get(partition));
            return match held.any(|held| held.is_elsewhere) {
                true => Access::Wait { until: now + AGREEING },
                false => Access::Announced,
            };
        }
        let mut until = None;
        for partition in partitions {
            let wait = match self.held.get(partition).map(|held| held.clock.without_redis(now)) {
                Some(WithoutRedis::Safe) => None,
                Some(WithoutRedis::Wait { until }) => Some(until),
                // It was given up a moment ago: its lane hears of it soon.
                Some(WithoutRedis::StillRenewing) | None => Some(now + look),
            };
            until = until.max(wait);
        }
        match until {
            // Redis may be back before.
            Some(until) => Access::Wait { until: until.min(now + look) },
            None => {
                self.unannounced += 1;
                Access::Unannounced
            }
        }
    }

    /// An unannounced commit is over, or its partitions were given up.
    pub(super) fn ended(&mut self) {
        self.unannounced = self.unannounced.saturating_sub(1);
        if self.is_resting && self.unannounced == 0 {
            self.resume();
        }
    }

    /// Readers of these partitions trust another Redis: nothing is announced in this one before it is
    /// [agreed](Self::agreed) upon.
    pub(super) fn found_elsewhere(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(held) = self.held.get_mut(partition) {
                held.is_elsewhere = true;
            }
        }
    }

    /// The Redis that is reached is the one that readers of all partitions trust, as far as is known.
    pub(super) fn agreed(&mut self) {
        for held in self.held.values_mut() {
            held.is_elsewhere = false;
        }
    }

    fn resume(&mut self) {
        self.is_resting = false;
        for held in self.held.values_mut() {
            held.clock.resume();
        }
    }

    /// A call failed: renewals stop. Returns whether this is news.
    pub(super) fn lost(&mut self, now: Instant) -> bool {
        let Link::Up { since } = self.link else { return false };
        if now.duration_since(since) > A_GOOD_WHILE {
            self.losses = 0;
        }
        let hold_off = HOLD_OFF.saturating_mul(1 << self.losses.min(8)).min(LONGEST_HOLD_OFF);
        self.losses += 1;
        self.link = Link::Lost { look_at: now + hold_off };
        self.is_resting = false;
        for held in self.held.values_mut() {
            held.clock.stop();
        }
        true
    }

    /// Whether it is time to look whether Redis is back.
    pub(super) fn is_to_be_looked_for(&self, now: Instant) -> bool {
        matches!(self.link, Link::Lost { look_at } if look_at <= now)
    }

    /// Redis has answered. Batches are announced from now on; renewals go on once no commit is under
    /// way any more that counts on their rest. Returns whether this is news.
    pub(super) fn found(&mut self, now: Instant) -> bool {
        if !matches!(self.link, Link::Lost { .. }) {
            return false;
        }
        self.link = Link::Up { since: now };
        self.is_resting = self.unannounced > 0;
        if !self.is_resting {
            self.resume();
        }
        true
    }

    /// Whether Redis is reached, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Assignments whose trust is to be renewed.
    pub(super) fn renewable(&self) -> Vec<Uuid> {
        self.held.values().filter(|held| held.clock.renews()).map(|held| held.assignment).collect()
    }

    /// Notes that the trust of a partition is about to be renewed; whether it may be.
    #[must_use]
    pub(super) fn renewal_begins(
        &mut self,
        partition: i32,
        assignment: Uuid,
        sampled: Instant,
    ) -> bool {
        let held = self.held.get_mut(&partition).filter(|held| held.assignment == assignment);
        held.is_some_and(|held| held.clock.renewal_begins(sampled))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use read_cache::times::{MARGIN, TRUST};

    use super::*;

    const LOOK: Duration = Duration::from_millis(250);
    const LAPSED: Duration = TRUST.saturating_add(MARGIN);

    fn one(now: Instant) -> Holdings {
        let mut holdings = Holdings::new(true, now);
        holdings.took(0, Uuid::from_u128(1), now);
        holdings
    }

    #[test]
    fn a_batch_is_announced_while_redis_is_reached() {
        let now = Instant::now();
        assert_eq!(one(now).access(&[0], now, LOOK), Access::Announced);
    }

    #[test]
    fn without_redis_a_batch_waits_until_nobody_trusts() {
        let now = Instant::now();
        let mut holdings = one(now);
        assert!(holdings.lost(now));
        assert_eq!(holdings.access(&[0], now, LOOK), Access::Wait { until: now + LOOK });
        let almost = now + LAPSED - LOOK / 2;
        assert_eq!(holdings.access(&[0], almost, LOOK), Access::Wait { until: now + LAPSED });
        assert_eq!(holdings.access(&[0], now + LAPSED, LOOK), Access::Unannounced);
    }

    #[test]
    fn the_youngest_partition_decides() {
        let now = Instant::now();
        let mut holdings = one(now);
        holdings.lost(now);
        let later = now + LAPSED;
        holdings.took(1, Uuid::from_u128(2), later);
        assert!(matches!(holdings.access(&[0, 1], later, LOOK), Access::Wait { .. }));
        assert_eq!(holdings.access(&[0], later, LOOK), Access::Unannounced);
    }

    #[test]
    fn a_partition_that_is_not_held_commits_nothing_unannounced() {
        let now = Instant::now();
        let mut holdings = one(now);
        holdings.lost(now);
        holdings.gave_up(0, Uuid::from_u128(2));
        assert_eq!(holdings.access(&[0], now + LAPSED, LOOK), Access::Unannounced);
        holdings.gave_up(0, Uuid::from_u128(1));
        assert!(matches!(holdings.access(&[0], now + LAPSED, LOOK), Access::Wait { .. }));
    }

    #[test]
    fn no_renewal_begins_while_an_unannounced_commit_is_under_way() {
        let now = Instant::now();
        let mut holdings = one(now);
        holdings.lost(now);
        assert_eq!(holdings.access(&[0], now + LAPSED, LOOK), Access::Unannounced);
        assert!(holdings.found(now + LAPSED));
        assert!(holdings.renewable().is_empty());
        // A partition that comes meanwhile rests as well; batches are announced, trusted or not.
        holdings.took(1, Uuid::from_u128(2), now + LAPSED);
        assert!(holdings.renewable().is_empty());
        assert_eq!(holdings.access(&[1], now + LAPSED, LOOK), Access::Announced);
        holdings.ended();
        assert_eq!(holdings.renewable(), [1, 2].map(Uuid::from_u128));
    }

    #[test]
    fn nothing_is_announced_in_a_redis_that_is_not_agreed_upon() {
        let now = Instant::now();
        let mut holdings = one(now);
        holdings.took(1, Uuid::from_u128(2), now);
        holdings.found_elsewhere(&[0]);
        assert_eq!(holdings.access(&[0, 1], now, LOOK), Access::Wait { until: now + AGREEING });
        assert_eq!(holdings.access(&[1], now, LOOK), Access::Announced);
        // It is renewed all the same: by that it is noticed and agreed upon.
        assert_eq!(holdings.renewable().len(), 2);
        holdings.agreed();
        assert_eq!(holdings.access(&[0], now, LOOK), Access::Announced);
    }

    #[test]
    fn one_that_flaps_is_left_alone_for_longer_each_time() {
        let start = Instant::now();
        let mut holdings = one(start);
        let mut now = start;
        for hold_off in [1, 2, 4, 8, 16, 30, 30] {
            assert!(holdings.lost(now));
            let hold_off = Duration::from_secs(hold_off);
            assert!(!holdings.is_to_be_looked_for(now + hold_off - Duration::from_millis(1)));
            now += hold_off;
            assert!(holdings.is_to_be_looked_for(now) && holdings.found(now));
        }
        now += A_GOOD_WHILE + Duration::from_secs(1);
        holdings.lost(now);
        assert!(holdings.is_to_be_looked_for(now + HOLD_OFF));
    }

    #[test]
    fn a_cache_that_is_off_is_never_looked_for() {
        let now = Instant::now();
        let mut holdings = Holdings::new(false, now);
        holdings.took(0, Uuid::from_u128(1), now);
        assert!(!holdings.is_to_be_looked_for(now + LAPSED));
        assert!(matches!(holdings.access(&[0], now, LOOK), Access::Wait { .. }));
        assert_eq!(holdings.access(&[0], now + LAPSED, LOOK), Access::Unannounced);
    }

    proptest! {
        /// Over any schedule: while a commit counts on nobody's trust, no trust that a renewal set
        /// can be alive.
        #[test]
        fn no_trust_lives_beside_an_unannounced_commit(
            steps in prop::collection::vec((0_u64..900, 0_u8..6), 1..80),
        ) {
            let start = Instant::now();
            let mut holdings = one(start);
            let (mut now, mut alive_until, mut under_way) = (start, start + TRUST, 0);
            for (pause, step) in steps {
                now += Duration::from_millis(pause);
                match step {
                    0 | 1 => if holdings.renewal_begins(0, Uuid::from_u128(1), now) {
                        prop_assert_eq!(under_way, 0);
                        alive_until = alive_until.max(now + TRUST);
                    },
                    2 => drop(holdings.lost(now)),
                    3 => drop(holdings.found(now)),
                    4 => if holdings.access(&[0], now, LOOK) == Access::Unannounced {
                        prop_assert!(now >= alive_until + MARGIN);
                        under_way += 1;
                    },
                    _ => if under_way > 0 { holdings.ended(); under_way -= 1; },
                }
            }
        }
    }
}
