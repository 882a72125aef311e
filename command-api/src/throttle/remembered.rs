//! Attempts that came too early, remembered for a moment: whoever goes on all the same costs no look into the
//! database.
//!
//! The slots are laid out once: an attempt has four places where it may stand, and a fifth one takes the place of
//! another. So memory is bounded whatever is tried, and nothing is ever purged.

use std::time::{Duration, Instant};

use event_store::claim::Digest;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::{Attempt, Before, FailuresUnknown, LoginFailures};

/// How long a wait is believed without a look: who is let in, or whom an operator lets in, waits for no longer.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Attempts that are remembered; a power of two of them in sets.
const SETS: usize = 1_024;
const WAYS: usize = 4;

/// Failures that are kept elsewhere, and what was said last of those who have to wait.
pub struct Remembered<F> {
    failures: F,
    sets: Box<[Mutex<Set>]>,
}

#[derive(Default)]
struct Set {
    slots: [Option<Slot>; WAYS],
    /// The slot that is given up next.
    next: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    of_name: Digest,
    before: Before,
    /// When that was so.
    at: Instant,
    believed_until: Instant,
}

impl Set {
    /// What still stands in the way of the attempt, where that is remembered.
    fn get(&self, of_name: &Digest, now: Instant) -> Option<Before> {
        let slot = self.slots.iter().flatten().find(|slot| slot.of_name == *of_name)?;
        let before = slot.before.after(now.saturating_duration_since(slot.at));
        (now < slot.believed_until && !before.wait().is_zero()).then_some(before)
    }

    fn put(&mut self, of_name: Digest, before: Before, now: Instant) {
        let believed_until = now + before.wait().min(BELIEVED_FOR);
        let slot = Slot { of_name, before, at: now, believed_until };
        let own = self.slots.iter().position(|slot| slot.is_some_and(|s| s.of_name == of_name));
        let is_free =
            |slot: &Option<Slot>| slot.as_ref().is_none_or(|slot| slot.believed_until <= now);
        let place = own.or_else(|| self.slots.iter().position(is_free)).unwrap_or(self.next);
        self.next = (place + 1) % WAYS;
        self.slots[place] = Some(slot);
    }

    fn forget(&mut self, of_name: &Digest) {
        for slot in &mut self.slots {
            if slot.is_some_and(|slot| slot.of_name == *of_name) {
                *slot = None;
            }
        }
    }
}

impl<F: LoginFailures> Remembered<F> {
    /// Remembers what `failures` say.
    pub fn new(failures: F) -> Self {
        Self { failures, sets: (0..SETS).map(|_| Mutex::default()).collect() }
    }

    fn set(&self, of_name: &Digest) -> &Mutex<Set> {
        // A keyed hash: nobody chooses where they stand.
        let [a, b, ..] = *of_name;
        &self.sets[usize::from(u16::from_le_bytes([a, b])) % SETS]
    }
}

impl<F: LoginFailures> LoginFailures for Remembered<F> {
    fn before<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Before, FailuresUnknown>> {
        Box::pin(async move {
            let set = self.set(&attempt.of_name);
            let remembered = set.lock().get(&attempt.of_name, Instant::now());
            if let Some(before) = remembered {
                return Ok(before);
            }
            let before = self.failures.before(attempt).await?;
            if !before.wait().is_zero() {
                set.lock().put(attempt.of_name, before, Instant::now());
            }
            Ok(before)
        })
    }

    fn count<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
        self.failures.count(attempt)
    }

    fn let_in<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
        Box::pin(async move {
            self.failures.let_in(attempt).await?;
            self.set(&attempt.of_name).lock().forget(&attempt.of_name);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::throttle::RULE_OF_NAME;

    const SECOND: Duration = Duration::from_secs(1);

    /// Says of everybody that they have to wait for so long, and counts how often it is asked.
    struct Always(Duration, AtomicUsize);

    impl LoginFailures for Always {
        fn before<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<Before, FailuresUnknown>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(waiting(self.0)) })
        }

        fn count<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
            Box::pin(async { Ok(()) })
        }

        fn let_in<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
            Box::pin(async { Ok(()) })
        }
    }

    fn waiting(of_name: Duration) -> Before {
        Before { of_name, ..Before::default() }
    }

    fn attempt(name: u8) -> Attempt {
        let (of_name, rule) = ([name; 32], RULE_OF_NAME);
        Attempt { of_name, rule, of_address: None, of_site: None, of_account: None }
    }

    /// Waits that were told to attempts of these names, and how often it was asked for.
    async fn asked(wait: Duration, names: &[u8]) -> (Vec<Duration>, usize) {
        let remembered = Remembered::new(Always(wait, AtomicUsize::new(0)));
        let mut waits = Vec::new();
        for name in names {
            waits.push(remembered.before(&attempt(*name)).await.unwrap().wait());
        }
        (waits, remembered.failures.1.into_inner())
    }

    #[tokio::test]
    async fn whoever_has_to_wait_and_does_not_is_told_so_without_a_look() {
        let (waits, asked) = asked(60 * SECOND, &[1, 1, 1, 2]).await;
        assert_eq!(asked, 2);
        assert!(waits.iter().all(|wait| (59 * SECOND..=60 * SECOND).contains(wait)), "{waits:?}");
    }

    #[tokio::test]
    async fn whoever_need_not_wait_is_looked_at_every_time() {
        let (waits, asked) = asked(Duration::ZERO, &[1, 1, 1]).await;
        assert_eq!((waits, asked), (vec![Duration::ZERO; 3], 3));
    }

    #[tokio::test]
    async fn who_was_let_in_is_remembered_no_more() {
        let remembered = Remembered::new(Always(60 * SECOND, AtomicUsize::new(0)));
        remembered.before(&attempt(1)).await.unwrap();
        remembered.let_in(&attempt(1)).await.unwrap();
        remembered.before(&attempt(1)).await.unwrap();
        assert_eq!(remembered.failures.1.into_inner(), 2);
    }

    #[test]
    fn a_wait_is_believed_for_a_second_and_no_longer_than_it_lasts() {
        let (mut set, now) = (Set::default(), Instant::now());
        set.put([1; 32], waiting(60 * SECOND), now);
        let later = waiting(60 * SECOND - SECOND / 2);
        assert_eq!(set.get(&[1; 32], now + SECOND / 2), Some(later));
        assert_eq!(set.get(&[1; 32], now + SECOND), None);
        assert_eq!(set.get(&[2; 32], now), None);
        set.put([3; 32], waiting(SECOND / 4), now);
        assert_eq!(set.get(&[3; 32], now + SECOND / 2), None);
        // Also where strangers wait for longer.
        let of_strangers = 60 * SECOND;
        let known = Before { of_strangers, is_known: true, ..waiting(SECOND / 4) };
        set.put([4; 32], known, now);
        assert_eq!(set.get(&[4; 32], now).map(|before| before.told()), Some(of_strangers));
        assert_eq!(set.get(&[4; 32], now + SECOND / 2), None);
    }

    #[test]
    fn however_many_have_to_wait_each_set_holds_four() {
        let (mut set, now) = (Set::default(), Instant::now());
        for name in 0..=u8::MAX {
            set.put([name; 32], waiting(SECOND), now);
            set.put([name; 32], waiting(SECOND), now);
        }
        assert!((252..=255).all(|name| set.get(&[name; 32], now).is_some()));
        assert_eq!(set.get(&[251; 32], now), None);
        set.put([7; 32], waiting(SECOND), now + SECOND);
        assert!(set.get(&[7; 32], now + SECOND).is_some());
    }
}
