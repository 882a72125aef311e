//! The brake: a projection that finds too much it cannot fold stops itself, instead of emptying a
//! topic into letters.
//!
//! What is usual is judged over a sliding window, by three rules: one error code on many keys at
//! once is a fault of ours or of a producer, not of a device; so is an unbroken run of bad records
//! from several keys on one partition; and so is a share of bad keys that no healthy stream has. A
//! single key, however bad, never pulls it: the cap on letters does.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::set_aside::SetAside;

/// Letters in one batch at most, so that the brake is asked in between.
pub(crate) const LETTERS_AT_ONCE: usize = 4;

/// Keys with one error code within [`CODE_WINDOW`] that pull the brake.
const KEYS_WITH_ONE_CODE: usize = 10;
const CODE_WINDOW: Duration = Duration::from_secs(60);

/// Bad records in a row on one partition that pull the brake, if they are of several keys.
const RUN: usize = 6;
const KEYS_IN_RUN: usize = 3;

/// One in so many records within [`SHARE_WINDOW`] may be bad, from so many bad keys on.
const SHARE_OF_RECORDS: u64 = 100;
const KEYS_IN_SHARE: usize = 10;
const SHARE_WINDOW: Duration = Duration::from_secs(300);

/// Letters that a key or a partition may have open.
pub(crate) const OPEN_PER_KEY: i64 = 1_000;
/// Letters that a partition may have open.
pub(crate) const OPEN_PER_PARTITION: i64 = 10_000;

/// Whether a projection may go on; shared by its lanes.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    inner: Mutex<Inner>,
    /// Woken when the brake is pulled or released.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    pulled: Option<Pulled>,
    history: History,
}

/// Why and by whom the brake was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pulled {
    pub(crate) reason: String,
    /// Whether the database knows.
    pub(crate) is_recorded: bool,
}

impl Brake {
    /// Why the projection stands still, if it does.
    pub(crate) fn pulled(&self) -> Option<Pulled> {
        self.inner.lock().pulled.clone()
    }

    /// Accounts for a committed batch of one partition, and pulls the brake where that is too much.
    pub(crate) fn committed(&self, partition: i32, folded: usize, letters: &[&SetAside]) {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        // A client's doing is not ours to stop for.
        let letters: Vec<_> =
            letters.iter().copied().filter(|letter| !letter.failure.is_id_reused()).collect();
        inner.history.committed(now, partition, folded, &letters);
        // Time alone, which forgets good records, is no reason.
        let reason = (!letters.is_empty()).then(|| inner.history.verdict(now)).flatten();
        if let Some(reason) = reason {
            drop(inner);
            self.pull(reason, false);
        }
    }

    /// Pulls the brake.
    pub(crate) fn pull(&self, reason: String, is_recorded: bool) {
        let mut inner = self.inner.lock();
        match &mut inner.pulled {
            Some(pulled) => pulled.is_recorded |= is_recorded,
            None => inner.pulled = Some(Pulled { reason, is_recorded }),
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Lets the projection go on, unless the brake was pulled anew meanwhile; what was before does
    /// not count any more.
    pub(crate) fn release_recorded(&self) {
        let mut inner = self.inner.lock();
        if inner.pulled.as_ref().is_some_and(|pulled| pulled.is_recorded) {
            *inner = Inner::default();
            drop(inner);
            self.changed.notify_waiters();
        }
    }
}

/// What was found unfoldable lately.
#[derive(Debug, Default)]
struct History {
    letters: VecDeque<Bad>,
    folded: VecDeque<(Instant, u64)>,
    runs: BTreeMap<i32, Vec<(Instant, u64)>>,
}

#[derive(Debug)]
struct Bad {
    at: Instant,
    code: String,
    culprit: u64,
}

impl History {
    fn committed(&mut self, now: Instant, partition: i32, folded: usize, letters: &[&SetAside]) {
        let run = self.runs.entry(partition).or_default();
        if folded > 0 {
            run.clear();
        }
        // Among good records a few bad ones are no run, wherever they stood.
        if folded == 0 {
            run.retain(|(at, _)| now.duration_since(*at) <= CODE_WINDOW);
            run.extend(letters.iter().map(|letter| (now, letter.culprit)));
        }
        self.count(now, (folded + letters.len()) as u64);
        self.letters.extend(letters.iter().map(|letter| Bad {
            at: now,
            code: letter.failure.code.clone(),
            culprit: letter.culprit,
        }));
        self.forget(now);
    }

    /// One entry for each second, however many batches it had.
    fn count(&mut self, now: Instant, records: u64) {
        match self.folded.back_mut() {
            Some((at, count)) if now.duration_since(*at) < Duration::from_secs(1) => {
                *count += records;
            }
            _ => self.folded.push_back((now, records)),
        }
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |at: Instant| now.duration_since(at) > SHARE_WINDOW;
        while self.letters.front().is_some_and(|bad| is_old(bad.at)) {
            self.letters.pop_front();
        }
        while self.folded.front().is_some_and(|(at, _)| is_old(*at)) {
            self.folded.pop_front();
        }
    }

    fn verdict(&self, now: Instant) -> Option<String> {
        self.one_code(now).or_else(|| self.a_run()).or_else(|| self.a_share())
    }

    fn one_code(&self, now: Instant) -> Option<String> {
        let mut keys: BTreeMap<&str, HashSet<u64>> = BTreeMap::new();
        for bad in self.letters.iter().filter(|bad| now.duration_since(bad.at) <= CODE_WINDOW) {
            keys.entry(&bad.code).or_default().insert(bad.culprit);
        }
        let (code, keys) = keys.into_iter().find(|(_, keys)| keys.len() >= KEYS_WITH_ONE_CODE)?;
        let (keys, seconds) = (keys.len(), CODE_WINDOW.as_secs());
        Some(format!("{keys} keys failed with {code} within {seconds} seconds"))
    }

    fn a_run(&self) -> Option<String> {
        let is_run = |run: &Vec<(Instant, u64)>| {
            let keys: HashSet<u64> = run.iter().map(|(_, culprit)| *culprit).collect();
            run.len() >= RUN && keys.len() >= KEYS_IN_RUN
        };
        let (partition, run) = self.runs.iter().find(|(_, run)| is_run(run))?;
        let run = run.len();
        Some(format!("{run} records in a row of partition {partition} could not be folded"))
    }

    fn a_share(&self) -> Option<String> {
        let records: u64 = self.folded.iter().map(|(_, count)| count).sum();
        let keys = self.letters.iter().map(|bad| bad.culprit).collect::<HashSet<_>>().len();
        let is_too_much = keys >= KEYS_IN_SHARE && keys as u64 * SHARE_OF_RECORDS > records;
        let minutes = SHARE_WINDOW.as_secs() / 60;
        is_too_much
            .then(|| format!("{keys} keys of {records} records failed within {minutes} minutes"))
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use proptest::prelude::*;
    use read_models::recorded::LogPosition;

    use super::*;
    use crate::letters::set_aside::culprit;
    use crate::runner::{Failure, FailureClass};

    fn bad(key: Option<&str>, partition: i32, offset: i64, code: &str) -> SetAside {
        SetAside {
            partition,
            position: LogPosition { epoch: 1, offset },
            log_time: Timestamp(0),
            stream_id: key.map(str::to_owned),
            link: None,
            culprit: culprit(key.map(str::as_bytes), &LogPosition { epoch: 1, offset }),
            failure: Failure {
                class: FailureClass::Poison,
                code: code.to_owned(),
                message: String::new(),
            },
        }
    }

    #[test]
    fn a_few_bad_records_of_every_kind_among_many_good_ones_do_not_pull_it() {
        let brake = Brake::default();
        for n in 0..9 {
            let letter = bad(Some(&format!("d{n}")), n, 7, &format!("code-{n}"));
            brake.committed(n, 1_100, &[&letter]);
        }
        assert_eq!(brake.pulled(), None);
    }

    #[test]
    fn one_key_never_pulls_it() {
        let brake = Brake::default();
        for offset in 0..500 {
            brake.committed(0, 0, &[&bad(Some("d"), 0, offset, "magic")]);
        }
        assert_eq!(brake.pulled(), None);
    }

    #[test]
    fn records_without_a_key_count_each() {
        let brake = Brake::default();
        for offset in 0..6 {
            brake.committed(0, 0, &[&bad(None, 0, offset, "no-key")]);
        }
        assert!(brake.pulled().is_some());
    }

    #[test]
    fn a_client_that_reuses_ids_never_pulls_it() {
        let brake = Brake::default();
        for offset in 0..500 {
            let key = format!("d{offset}");
            brake.committed(0, 0, &[&bad(Some(&key), 0, offset, "id-reused")]);
        }
        assert_eq!(brake.pulled(), None);
    }

    #[test]
    fn one_that_was_pulled_since_is_not_released() {
        let brake = Brake::default();
        brake.pull("anew".to_owned(), false);
        brake.release_recorded();
        assert!(brake.pulled().is_some());
    }

    #[test]
    fn good_records_end_a_run() {
        let brake = Brake::default();
        for offset in 0..9 {
            let key = format!("d{offset}");
            brake.committed(0, 0, &[&bad(Some(&key), 0, offset, &key)]);
            brake.committed(0, 5_000, &[]);
        }
        assert_eq!(brake.pulled(), None);
    }

    #[test]
    fn released_it_forgets() {
        let brake = Brake::default();
        brake.pull("a test".to_owned(), true);
        brake.release_recorded();
        brake.committed(0, 1, &[&bad(Some("d"), 0, 1, "magic")]);
        assert_eq!(brake.pulled(), None);
    }

    proptest! {
        /// Where nothing can be folded, it is pulled within 20 letters, however they are spread, as
        /// long as they are of different keys; two lanes may have a batch under way.
        #[test]
        fn where_all_is_poison_it_is_pulled_within_twenty_letters(
            partitions in prop::collection::vec(0i32..12, 40),
            at_once in 1usize..=LETTERS_AT_ONCE,
        ) {
            let brake = Brake::default();
            let mut letters = 0;
            for (n, partition) in (0..).zip(partitions) {
                if brake.pulled().is_some() { break; }
                let batch: Vec<_> = (0..at_once)
                    .map(|m| bad(Some(&format!("{n}-{m}")), partition, n, "magic"))
                    .collect();
                brake.committed(partition, 0, &batch.iter().collect::<Vec<_>>());
                letters += at_once;
            }
            prop_assert!(letters + LETTERS_AT_ONCE <= 20, "{letters} letters");
        }
    }
}
