//! Failures to log in, in memory, by a clock that tests turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use command_api::throttle::{
    Attempt, Before, FailuresUnknown, KNOWN_FOR, LoginFailures, NOTED_FOR, Rule,
};
use event_store::claim::Digest;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

/// Failures in memory. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct TestFailures(Arc<Kept>);

#[derive(Default)]
struct Kept {
    rows: Mutex<BTreeMap<Digest, Row>>,
    now: Mutex<Duration>,
    is_away: AtomicBool,
    counted: AtomicUsize,
}

#[derive(Clone, Copy, Default)]
struct Row {
    failures: u32,
    failed_at: Duration,
    blocked_until: Duration,
    let_in_at: Option<Duration>,
}

impl Row {
    /// Whether they came in within this time.
    fn was_let_in(&self, within: Duration, now: Duration) -> bool {
        self.let_in_at.is_some_and(|at| now.saturating_sub(at) < within)
    }
}

impl TestFailures {
    /// So much time passes.
    pub(crate) fn pass(&self, time: Duration) {
        *self.0.now.lock() += time;
    }

    /// Whether nobody can read or count them.
    pub(crate) fn is_away(&self, is_away: bool) {
        self.0.is_away.store(is_away, Ordering::Relaxed);
    }

    /// How often one was counted.
    pub(crate) fn counted(&self) -> usize {
        self.0.counted.load(Ordering::Relaxed)
    }

    fn must_answer(&self) -> Result<(), FailuresUnknown> {
        match self.0.is_away.load(Ordering::Relaxed) {
            true => Err(FailuresUnknown(sqlx::Error::PoolTimedOut)),
            false => Ok(()),
        }
    }

    fn read(&self, attempt: &Attempt) -> Before {
        let (rows, now) = (self.0.rows.lock(), *self.0.now.lock());
        let until = |key: &Digest| rows.get(key).map_or(Duration::ZERO, |row| row.blocked_until);
        let of_name = rows.get(&attempt.of_name).copied().unwrap_or_default();
        let of_strangers = attempt.of_strangers();
        let of_strangers = of_strangers.iter().flatten().map(until).max().unwrap_or_default();
        Before {
            of_name: of_name.blocked_until.saturating_sub(now),
            of_strangers: of_strangers.saturating_sub(now),
            is_known: of_name.was_let_in(KNOWN_FOR, now),
            is_noted: of_name.failures == 0 && of_name.was_let_in(NOTED_FOR, now),
        }
    }

    fn add(&self, key: Digest, rule: &Rule) {
        let now = *self.0.now.lock();
        let mut rows = self.0.rows.lock();
        let row = rows.entry(key).or_default();
        row.failures = rule.after_one_more(row.failures, now.saturating_sub(row.failed_at));
        row.failed_at = now;
        row.blocked_until = now + rule.wait_after(row.failures);
    }
}

impl LoginFailures for TestFailures {
    fn before<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Before, FailuresUnknown>> {
        Box::pin(async move { self.must_answer().map(|()| self.read(attempt)) })
    }

    fn count<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
        Box::pin(async move {
            self.must_answer()?;
            self.0.counted.fetch_add(1, Ordering::Relaxed);
            for (key, rule) in attempt.counts() {
                self.add(key, &rule);
            }
            Ok(())
        })
    }

    fn let_in<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
        Box::pin(async move {
            self.must_answer()?;
            let let_in_at = Some(*self.0.now.lock());
            let mut rows = self.0.rows.lock();
            let row = rows.entry(attempt.of_name).or_default();
            let failures = attempt.rule.after_let_in(row.failures);
            *row = if failures > 0 { *row } else { Row::default() };
            (row.failures, row.let_in_at) = (failures, let_in_at);
            Ok(())
        })
    }
}
