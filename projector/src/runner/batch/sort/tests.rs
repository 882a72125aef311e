//! Sorting without versions: what is bad, what waits, what was folded before.

use domain::Timestamp;
use domain::device::DeviceEvent;
use proptest::prelude::*;
use read_models::recorded::LogPosition;

use super::*;
use crate::runner::partition::samples::{SCHEMA_ID, decoder, value};

fn event(stream: u8, offset: i64) -> Item<DeviceEvent> {
    let mut event = decoder().decode(&value(offset, SCHEMA_ID)).unwrap();
    let DeviceEvent::Reported(reported) = &mut event;
    reported.device_id = domain::device::DeviceId::from_log(format!("d{stream}"));
    Item::Event(Recorded {
        event,
        partition: 0,
        position: LogPosition { epoch: 1, offset },
        log_time: Timestamp(offset),
    })
}

/// A batch of streams and whether each record is bad.
fn batch(records: &[(u8, bool)]) -> Vec<Item<DeviceEvent>> {
    let item = |(offset, (stream, is_bad)): (i64, &(u8, bool))| {
        let item = event(*stream, offset);
        if *is_bad { item.blamed(Failure::id_reused()) } else { item }
    };
    (0..).zip(records).map(item).collect()
}

fn records() -> impl Strategy<Value = Vec<(u8, bool)>> {
    prop::collection::vec((0u8..4, prop::bool::weighted(0.2)), 0..40)
}

proptest! {
    #[test]
    fn every_record_is_folded_or_set_aside_and_never_both(
        records in records(),
        known in prop::collection::btree_set(0i64..40, 0..5),
        is_sequenced: bool,
    ) {
        let items = batch(&records);
        let order = if is_sequenced { Order::Sequenced } else { Order::Independent };
        let known: BTreeSet<_> = known.into_iter().map(|offset| (0, offset)).collect();
        let refs: Vec<_> = items.iter().collect();
        let past = Past { letters: known.clone(), folded_to: BTreeMap::new() };
        let sorted = sort(&refs, order, &past, &Parked::new(), &mut Chains::default());
        let folded = sorted.events.iter().map(|record| record.position.offset);
        let aside = sorted.asides.iter().map(|aside| aside.record.position.offset);
        let mut all: Vec<_> =
            folded.chain(aside).chain(known.iter().map(|(_, offset)| *offset)).collect();
        all.retain(|offset| usize::try_from(*offset).is_ok_and(|at| at < records.len()));
        all.sort_unstable();
        prop_assert_eq!(all, (0..).take(records.len()).collect::<Vec<i64>>());
    }

    #[test]
    fn of_a_stream_nothing_is_folded_behind_a_letter(records in records(), parked: bool) {
        let items = batch(&records);
        let head = Head { letter: Uuid::now_v7(), gap: None };
        let before: Parked = parked.then(|| ((0, "d0".to_owned()), head)).into_iter().collect();
        let refs: Vec<_> = items.iter().collect();
        let sorted = sort(&refs, Order::Sequenced, &Past::default(), &before, &mut Chains::default());
        for record in &sorted.events {
            let stream = record.event.stream_id();
            let is_behind = |aside: &&Aside<'_>| {
                aside.record.stream_id.as_deref() == Some(stream)
                    && aside.record.position < record.position
            };
            prop_assert!(sorted.asides.iter().find(is_behind).is_none());
            prop_assert!(!parked || stream != "d0");
        }
        let first = sorted.asides.iter().filter(|a| a.state != LetterState::Blocked);
        let heads: Vec<_> = first.filter_map(|a| a.record.stream_id.clone()).collect();
        let distinct: BTreeSet<_> = heads.iter().collect();
        prop_assert_eq!(distinct.len(), heads.len(), "a stream has two heads");
        let counted: i32 = waiting(&sorted.asides).values().map(|w| w.letters).sum();
        prop_assert_eq!(counted as usize, sorted.asides.len());
    }

    #[test]
    fn what_was_folded_before_is_never_set_aside(
        records in records(),
        folded_to in 0i64..40,
        is_sequenced: bool,
    ) {
        let items = batch(&records);
        let order = if is_sequenced { Order::Sequenced } else { Order::Independent };
        let past = Past { folded_to: BTreeMap::from([(0, folded_to)]), ..Past::default() };
        let before = Parked::from([((0, "d0".to_owned()), Head { letter: Uuid::now_v7(), gap: None })]);
        let refs: Vec<_> = items.iter().collect();
        let sorted = sort(&refs, order, &past, &before, &mut Chains::default());
        for aside in &sorted.asides {
            prop_assert!(aside.record.position.offset >= folded_to);
        }
        let good = items.iter().filter_map(Item::event);
        let again = good.filter(|record| record.position.offset < folded_to).count();
        let kept =
            sorted.events.iter().filter(|record| record.position.offset < folded_to).count();
        prop_assert_eq!(again, kept);
    }

    #[test]
    fn without_order_nobody_waits(records in records()) {
        let items = batch(&records);
        let refs: Vec<_> = items.iter().collect();
        let sorted = sort(&refs, Order::Independent, &Past::default(), &Parked::new(), &mut Chains::default());
        prop_assert_eq!(sorted.asides.len(), records.iter().filter(|(_, bad)| *bad).count());
    }
}
