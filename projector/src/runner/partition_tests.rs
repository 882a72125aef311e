use std::collections::BTreeMap;

use domain::device::DeviceEvent;
use event_schema::decode::KnownId;
use proptest::prelude::*;

use super::samples::{SCHEMA_ID, delivery, feed, good, partition_with, value};
use super::*;
use crate::letters::brake::LETTERS_AT_ONCE;
use crate::letters::set_aside::SetAside;
use crate::runner::failure::FailureClass;

const LIMITS: BatchLimits =
    BatchLimits { records: 4, bytes: 1_000_000, age: Duration::from_millis(1) };

const ROOM: Room = Room { records: 10, letters: LETTERS_AT_ONCE };

fn poison() -> Failure {
    Failure { class: FailureClass::Poison, code: "22P05".to_owned(), message: "refused".to_owned() }
}

fn offsets<'a>(items: impl IntoIterator<Item = &'a Item<DeviceEvent>>) -> Vec<i64> {
    items.into_iter().filter_map(Item::event).map(|record| record.position.offset).collect()
}

fn set_aside<'a>(items: impl IntoIterator<Item = &'a Item<DeviceEvent>>) -> Vec<(i64, String)> {
    let aside = |aside: &SetAside| (aside.position.offset, aside.failure.code.clone());
    items.into_iter().filter_map(Item::set_aside).map(aside).collect()
}

#[test]
fn a_record_that_cannot_be_decoded_is_set_aside_among_the_others() {
    let mut values = good(3);
    values[1] = b"junk".to_vec();
    let mut partition = partition_with(&values);
    let Part { count, moved, .. } = partition.batch(ROOM, &LIMITS).unwrap();
    assert_eq!((count, moved.advance.to), (3, 3));
    let items = partition.folded(count, &moved, Instant::now());
    assert_eq!(offsets(&items), [0, 2]);
    assert_eq!(set_aside(&items), [(1, "magic".to_owned())]);
}

#[test]
fn a_batch_holds_few_letters() {
    let partition = partition_with(&vec![b"junk".to_vec(); 9]);
    let limits = BatchLimits { records: 100, ..LIMITS };
    assert_eq!(
        partition.batch(Room { records: 100, ..ROOM }, &limits).unwrap().count,
        LETTERS_AT_ONCE
    );
}

#[test]
fn a_record_whose_schema_nobody_knows_is_set_aside_and_the_others_come_after_it() {
    let mut values = good(2);
    values[0] = value(0, 99);
    let mut partition = partition_with(&values);
    partition.set_blocked_aside(Instant::now());
    assert_eq!(set_aside(partition.items(2)), [(0, "unknown-schema-id".to_owned())]);
    assert_eq!(offsets(partition.items(2)), [1]);
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

/// What the database would make of the batches: it refuses the bad record. Returns what is folded
/// and what is set aside.
fn fold_until_still(
    partition: &mut Partition<DeviceEvent>,
    bad: &[i64],
) -> (Vec<i64>, Vec<(i64, String)>) {
    let now = Instant::now();
    let (mut folded, mut aside) = (Vec::new(), Vec::new());
    while partition.can_fold(now) {
        let Part { count, moved, .. } = partition.batch(ROOM, &LIMITS).unwrap();
        let events = offsets(partition.items(count));
        if events.iter().any(|offset| bad.contains(offset)) {
            partition.narrow(count, &poison());
        } else {
            let items = partition.folded(count, &moved, now);
            aside.extend(set_aside(&items));
            folded.extend(events);
        }
    }
    (folded, aside)
}

proptest! {
    #[test]
    fn records_that_the_database_refuses_are_set_aside_and_all_others_folded(
        count in 1i64..40,
        bad in prop::collection::btree_set(0i64..40, 0..5),
    ) {
        let bad: Vec<_> = bad.into_iter().filter(|bad| *bad < count).collect();
        let mut partition = partition_with(&good(count));
        let (folded, aside) = fold_until_still(&mut partition, &bad);
        prop_assert_eq!(folded, (0..count).filter(|at| !bad.contains(at)).collect::<Vec<_>>());
        let refused: Vec<_> = bad.iter().map(|at| (*at, "22P05".to_owned())).collect();
        prop_assert_eq!(aside, refused);
    }

    #[test]
    fn a_record_that_is_blamed_by_name_is_set_aside_at_once(
        count in 1i64..40,
        bad in any::<prop::sample::Index>(),
    ) {
        let bad = i64::try_from(bad.index(count as usize)).unwrap();
        let mut partition = partition_with(&good(count));
        partition.blame(bad, &Failure::id_reused());
        let (folded, aside) = fold_until_still(&mut partition, &[bad]);
        prop_assert_eq!(folded, (0..count).filter(|at| *at != bad).collect::<Vec<_>>());
        prop_assert_eq!(aside, vec![(bad, "id-reused".to_owned())]);
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
        let mut partition = Partition::new(feed.clone(), ledger, Uuid::nil());
        partition.take_arrivals(now);
        let (folded, _) = fold_until_still(&mut partition, &[]);
        prop_assert_eq!(folded.len() as i64, (count - remembered.map_or(0, |o| o + 1)).max(0));
        prop_assert_eq!(feed.held(), (0, 0));
    }

    #[test]
    fn a_batch_keeps_its_limits_but_holds_at_least_one_record(count in 1i64..20, bytes in 1usize..400) {
        let partition = partition_with(&good(count));
        let limits = BatchLimits { bytes, ..LIMITS };
        let taken = partition.batch(ROOM, &limits).unwrap().count;
        prop_assert!((1..=4).contains(&taken));
        let sizes: BTreeMap<_, _> = (0..count).map(|o| (o, value(o, SCHEMA_ID).len())).collect();
        let total: usize = sizes.values().take(taken).sum();
        prop_assert!(taken == 1 || total <= bytes);
    }
}
