//! When nobody trusts Redis any more: one partition's account, by our own monotonic clock. Plain
//! data; the caller brings the time.
//!
//! A partition's owner that cannot reach Redis may not commit while a reader could still trust an old
//! body. Trust lapses by itself [`TRUST`] after the time that its last renewal began with, whatever
//! became of that renewal. The predecessor's last renewal began before we became owner, since
//! Postgres confirmed it to be the owner after that.

use std::time::{Duration, Instant};

use crate::times::{MARGIN, TRUST};

/// Whether a commit that no tombstone announces would be safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutRedis {
    /// Renewals go on: [`TrustClock::stop`] first.
    StillRenewing,
    /// Trust may be alive until then.
    Wait {
        /// From when on it is safe.
        until: Instant,
    },
    /// Nobody trusts Redis. The commit must raise the cache generation.
    Safe,
}

/// The account of one partition that we own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustClock {
    /// From when on no reader trusts, if no renewal begins.
    lapses: Instant,
    renews: bool,
}

impl TrustClock {
    /// Begins when Postgres has confirmed that we are the owner: `now` is after its answer.
    pub fn owner_since(now: Instant) -> Self {
        Self { lapses: now + TRUST + MARGIN, renews: true }
    }

    /// Notes a renewal, before trust is set: `sampled` is a time after Redis told its own. Answers
    /// whether the renewal may go on; it may not once renewals were stopped.
    #[must_use]
    pub fn renewal_begins(&mut self, sampled: Instant) -> bool {
        if self.renews {
            self.lapses = self.lapses.max(sampled + TRUST + MARGIN);
        }
        self.renews
    }

    /// Stops renewals: Redis cannot be reached. One that began before may still set trust, and is
    /// accounted for.
    pub fn stop(&mut self) {
        self.renews = false;
    }

    /// Lets renewals go on, with the generation that was raised beside the position.
    pub fn resume(&mut self) {
        self.renews = true;
    }

    /// Whether renewals go on.
    pub fn renews(&self) -> bool {
        self.renews
    }

    /// Whether a commit without tombstones is safe now.
    pub fn without_redis(&self, now: Instant) -> WithoutRedis {
        if self.renews {
            WithoutRedis::StillRenewing
        } else if now < self.lapses {
            WithoutRedis::Wait { until: self.lapses }
        } else {
            WithoutRedis::Safe
        }
    }

    /// The wait that is left before a commit without tombstones, were renewals stopped now.
    pub fn left(&self, now: Instant) -> Duration {
        self.lapses.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Duration = TRUST.saturating_add(MARGIN);
    const TICK: Duration = Duration::from_millis(1);

    #[test]
    fn a_new_owner_waits_for_what_its_predecessor_may_have_renewed() {
        let start = Instant::now();
        let mut clock = TrustClock::owner_since(start);
        clock.stop();
        let until = start + WHOLE;
        assert_eq!(clock.without_redis(until - TICK), WithoutRedis::Wait { until });
        assert_eq!(clock.without_redis(until), WithoutRedis::Safe);
        assert_eq!(clock.left(start), WHOLE);
    }

    #[test]
    fn an_owner_that_renews_may_not_commit_without_redis_however_long_ago_it_renewed() {
        let start = Instant::now();
        let clock = TrustClock::owner_since(start);
        assert_eq!(clock.without_redis(start + 10 * WHOLE), WithoutRedis::StillRenewing);
    }

    #[test]
    fn the_last_renewal_counts_whatever_became_of_it() {
        let start = Instant::now();
        let mut clock = TrustClock::owner_since(start);
        assert!(clock.renewal_begins(start + WHOLE));
        clock.stop();
        let until = start + 2 * WHOLE;
        assert_eq!(clock.without_redis(start + WHOLE), WithoutRedis::Wait { until });
        assert_eq!(clock.without_redis(until), WithoutRedis::Safe);
    }

    #[test]
    fn no_renewal_begins_after_the_stop() {
        let start = Instant::now();
        let mut clock = TrustClock::owner_since(start);
        clock.stop();
        assert!(!clock.renewal_begins(start + WHOLE));
        assert_eq!(clock.without_redis(start + WHOLE), WithoutRedis::Safe);
        clock.resume();
        assert!(clock.renewal_begins(start + WHOLE));
        assert_eq!(clock.without_redis(start + 9 * WHOLE), WithoutRedis::StillRenewing);
    }

    proptest! {
        /// Over any schedule: when a commit is called safe, no trust that was set can be alive.
        #[test]
        fn safe_is_after_every_trust_that_may_have_been_set(
            steps in prop::collection::vec((0u64..900, 0u8..4), 1..60),
        ) {
            let start = Instant::now();
            let mut clock = TrustClock::owner_since(start);
            let (mut now, mut alive_until) = (start, start + TRUST);
            for (pause, step) in steps {
                now += Duration::from_millis(pause);
                match step {
                    0 | 1 => if clock.renewal_begins(now) { alive_until = alive_until.max(now + TRUST) },
                    2 => clock.stop(),
                    _ => clock.resume(),
                }
                match clock.without_redis(now) {
                    WithoutRedis::Safe => prop_assert!(now >= alive_until + MARGIN),
                    WithoutRedis::Wait { until } => prop_assert!(until > now && until >= alive_until),
                    WithoutRedis::StillRenewing => prop_assert!(clock.renews()),
                }
            }
        }
    }
}
