use std::collections::BTreeMap;

use domain::device::DeviceEvent;
use event_schema::decode::KnownId;
use proptest::prelude::*;

use super::samples::{SCHEMA_ID, delivery, feed, good, partition_with, value};
use super::*;
use crate::runner::failure::FailureClass;

const LIMITS: BatchLimits =
    BatchLimits { records: 4, bytes: 1_000_000, age: Duration::from_millis(1) };

fn poison() -> Failure {
    Failure { class: FailureClass::Poison, code: "22P05".to_owned(), message: "refused".to_owned() }
}

fn halted_at(partition: &Partition<DeviceEvent>) -> Option<i64> {
    match partition.stop() {
        Some(Stop::Halted { offset, .. }) => *offset,
        _ => None,
    }
}

#[test]
fn a_record_that_cannot_be_decoded_halts_after_everything_before_it() {
    let mut values = good(3);
    values[2] = b"junk".to_vec();
    let mut partition = partition_with(&values);
    let now = Instant::now();
    assert!(partition.can_fold(now));
    let Part { count, moved } = partition.batch(10, &LIMITS).unwrap();
    assert_eq!((count, moved.advance.to), (2, 2));
    partition.folded(count, &moved, now);
    assert_eq!(halted_at(&partition), Some(2));
    assert!(!partition.can_fold(now));
}

#[test]
fn an_unknown_schema_id_is_asked_for_and_the_record_decoded_again() {
    let mut values = good(2);
    values[0] = value(0, 99);
    let mut partition = partition_with(&values);
    assert_eq!(partition.stop(), Some(&Stop::Asking { schema_id: 99 }));
    let known = Decoder::new([99, SCHEMA_ID].map(|schema_id| KnownId {
        schema_id,
        record_name: "millrace.device.DeviceEventReported".to_owned(),
        version: 1,
    }));
    partition.decode_again(&known, Instant::now());
    assert_eq!(partition.stop(), None);
    assert_eq!(partition.len(), 2);
}

#[test]
fn a_rest_ends_by_itself_and_grows_with_each_attempt() {
    let mut partition = partition_with(&good(1));
    let now = Instant::now();
    let failure = Failure { class: FailureClass::Contention, ..poison() };
    partition.rest(failure.clone(), now, 1.0);
    let first = partition.resumes_at().unwrap() - now;
    assert!(!partition.can_fold(now));
    assert!(partition.can_fold(now + first));
    partition.rest(failure, now, 1.0);
    assert!(partition.resumes_at().unwrap() - now > first);
}

#[test]
fn a_rest_never_exceeds_five_seconds() {
    assert_eq!(backoff(u32::MAX, 1.0), Duration::from_secs(5));
}

/// What the database would make of the batches: `None` where it refuses the batch.
fn fold_until_still(partition: &mut Partition<DeviceEvent>, bad: Option<i64>) -> Vec<i64> {
    let now = Instant::now();
    let mut folded = Vec::new();
    while partition.can_fold(now) {
        let Part { count, moved } = partition.batch(10, &LIMITS).unwrap();
        let offsets: Vec<i64> = partition.records(count).map(|r| r.position.offset).collect();
        if bad.is_some_and(|bad| offsets.contains(&bad)) {
            partition.narrow(count, &poison());
        } else {
            partition.folded(count, &moved, now);
            folded.extend(offsets);
        }
    }
    folded
}

proptest! {
    #[test]
    fn a_record_that_the_database_refuses_is_found_and_everything_before_it_folded(
        count in 1i64..40,
        bad in any::<prop::sample::Index>(),
    ) {
        let bad = i64::try_from(bad.index(count as usize)).unwrap();
        let mut partition = partition_with(&good(count));
        prop_assert_eq!(fold_until_still(&mut partition, Some(bad)), (0..bad).collect::<Vec<_>>());
        prop_assert_eq!(halted_at(&partition), Some(bad));
    }

    #[test]
    fn a_reused_id_is_halted_at_and_everything_before_it_folded(
        count in 1i64..40,
        bad in any::<prop::sample::Index>(),
    ) {
        let bad = i64::try_from(bad.index(count as usize)).unwrap();
        let mut partition = partition_with(&good(count));
        let mut folded = Vec::new();
        let now = Instant::now();
        while partition.can_fold(now) {
            let Part { count, moved } = partition.batch(10, &LIMITS).unwrap();
            if (moved.advance.from..moved.advance.to).contains(&bad) {
                partition.narrow_to(bad, "id-reused", "reused");
            } else {
                let records = partition.folded(count, &moved, now);
                folded.extend(records.iter().map(|r| r.position.offset));
            }
        }
        prop_assert_eq!(folded, (0..bad).collect::<Vec<_>>());
        prop_assert_eq!(halted_at(&partition), Some(bad));
    }

    /// Whatever is delivered, folded or refused for a while, the feed has everything back in the
    /// end: capacity does not leak away.
    #[test]
    fn capacity_is_given_back_for_every_record(count in 1i64..60, remembered in prop::option::of(0i64..30)) {
        let (feed, now) = (feed(), Instant::now());
        let last = remembered.map(|offset| Remembered { offset, timestamp_ms: offset, hash: 0 });
        let ledger = Ledger::new(remembered.map_or(0, |offset| offset + 1), last);
        let values = good(count);
        let from = ledger.assign_at();
        let mut all: Vec<_> = (0..).zip(&values).map(|(o, v)| delivery(o, v)).filter(|d| d.identity.offset >= from).collect();
        feed.append(&mut all);
        let mut partition = Partition::new(feed.clone(), ledger);
        partition.take_arrivals(now);
        let folded = fold_until_still(&mut partition, None);
        prop_assert_eq!(folded.len() as i64, (count - remembered.map_or(0, |o| o + 1)).max(0));
        prop_assert_eq!(feed.held(), (0, 0));
    }

    #[test]
    fn a_batch_keeps_its_limits_but_holds_at_least_one_record(count in 1i64..20, bytes in 1usize..400) {
        let partition = partition_with(&good(count));
        let limits = BatchLimits { bytes, ..LIMITS };
        let taken = partition.batch(10, &limits).unwrap().count;
        prop_assert!((1..=4).contains(&taken));
        let sizes: BTreeMap<_, _> = (0..count).map(|o| (o, value(o, SCHEMA_ID).len())).collect();
        let total: usize = sizes.values().take(taken).sum();
        prop_assert!(taken == 1 || total <= bytes);
    }
}
