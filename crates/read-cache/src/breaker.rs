//! When reads stop asking Redis, and when they ask again. Plain data; the caller brings the time.

use std::time::{Duration, Instant};

/// Calls that are remembered.
const WINDOW: u32 = 20;
/// Failures among them at which the breaker opens: half.
const FAILURES: u32 = WINDOW / 2;
/// Failures one after the other at which it opens.
const IN_A_ROW: u32 = 5;
/// How often an open breaker lets one call try.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Whether calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// They do.
    Closed,
    /// One a second does, to try.
    Open {
        /// Since when.
        since: Instant,
    },
}

/// What a breaker has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerCounts {
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that were not made.
    pub refused: u64,
    /// Times that it opened.
    pub opened: u64,
}

/// Opens after half of the last 20 calls failed, or 5 in a row; tries one call a second from then
/// on, and closes when one succeeds.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: BreakerState,
    /// The last calls, newest in the lowest bit; 1 = failed.
    window: u32,
    seen: u32,
    next_probe: Instant,
    counts: BreakerCounts,
}

impl Breaker {
    /// A closed one.
    pub fn new(now: Instant) -> Self {
        Self {
            state: BreakerState::Closed,
            window: 0,
            seen: 0,
            next_probe: now,
            counts: BreakerCounts::default(),
        }
    }

    /// Whether a call may be made. Its end is to be told, unless it is abandoned.
    #[must_use]
    pub fn allows(&mut self, now: Instant) -> bool {
        let allowed = match self.state {
            BreakerState::Closed => true,
            BreakerState::Open { .. } => now >= self.next_probe,
        };
        if !allowed {
            self.counts.refused += 1;
        } else if self.state != BreakerState::Closed {
            // By time and not by the probe's end, which may be abandoned.
            self.next_probe = now + PROBE_EVERY;
        }
        allowed
    }

    /// A call succeeded.
    pub fn succeeded(&mut self) {
        self.counts.succeeded += 1;
        if self.state == BreakerState::Closed {
            self.remember(0);
        } else {
            (self.window, self.seen) = (0, 0);
            self.state = BreakerState::Closed;
        }
    }

    /// A call failed.
    pub fn failed(&mut self, now: Instant) {
        self.counts.failed += 1;
        self.remember(1);
        let many = self.seen == WINDOW && self.window.count_ones() >= FAILURES;
        let row = self.window.trailing_ones() >= IN_A_ROW;
        if self.state == BreakerState::Closed && (many || row) {
            self.state = BreakerState::Open { since: now };
            self.next_probe = now + PROBE_EVERY;
            self.counts.opened += 1;
        }
    }

    /// Whether calls go through.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// What it has done so far.
    pub fn counts(&self) -> BreakerCounts {
        self.counts
    }

    fn remember(&mut self, bit: u32) {
        self.window = ((self.window << 1) | bit) & ((1 << WINDOW) - 1);
        self.seen = (self.seen + 1).min(WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(calls: &[bool]) -> (Breaker, Instant) {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for succeeds in calls {
            if *succeeds { breaker.succeeded() } else { breaker.failed(now) }
        }
        (breaker, now)
    }

    fn is_open(breaker: &Breaker) -> bool {
        breaker.state() != BreakerState::Closed
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_four_do_not() {
        assert!(!is_open(&after(&[false; 4]).0));
        assert!(is_open(&after(&[false; 5]).0));
    }

    #[test]
    fn half_of_the_last_twenty_open_it_and_less_does_not() {
        let half: Vec<bool> = (0..20).map(|call| call % 2 == 0).collect();
        assert!(is_open(&after(&half).0));
        assert!(!is_open(&after(&half[..19]).0));
        let mut less = half;
        less[1] = true;
        assert!(!is_open(&after(&less).0));
    }

    #[test]
    fn an_open_one_lets_one_call_a_second_try() {
        let (mut breaker, now) = after(&[false; 5]);
        assert!(!breaker.allows(now));
        assert!(breaker.allows(now + PROBE_EVERY));
        assert!(!breaker.allows(now + PROBE_EVERY));
        assert!(breaker.allows(now + 2 * PROBE_EVERY));
        assert_eq!(breaker.counts().refused, 2);
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_and_old_failures_are_forgotten() {
        let (mut breaker, now) = after(&[false; 5]);
        assert!(breaker.allows(now + PROBE_EVERY));
        breaker.succeeded();
        assert!(!is_open(&breaker));
        breaker.failed(now + PROBE_EVERY);
        assert!(!is_open(&breaker));
        assert_eq!(breaker.counts().opened, 1);
    }

    #[test]
    fn a_probe_that_fails_leaves_it_open_since_it_opened() {
        let (mut breaker, now) = after(&[false; 5]);
        assert!(breaker.allows(now + PROBE_EVERY));
        breaker.failed(now + PROBE_EVERY);
        assert_eq!(breaker.state(), BreakerState::Open { since: now });
        assert_eq!(breaker.counts().opened, 1);
    }

    proptest! {
        /// A Redis that does not answer is asked at most once a second and a few times before.
        #[test]
        fn a_dead_redis_is_hardly_asked(pauses in prop::collection::vec(0u64..300, 1..200)) {
            let start = Instant::now();
            let (mut breaker, mut now, mut asked) = (Breaker::new(start), start, 0);
            for pause in pauses {
                now += Duration::from_millis(pause);
                if breaker.allows(now) { asked += 1; breaker.failed(now); }
            }
            prop_assert!(asked <= u64::from(IN_A_ROW) + (now - start).as_secs());
        }
    }
}
