//! Which records of a batch are folded and which are set aside: plain data.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use kafka_io::record_reader::OwnedRecord;
use read_models::recorded::Recorded;
use uuid::Uuid;

use crate::letters::LetterState;
use crate::letters::set_aside::{Item, SetAside, culprit, storable};
use crate::letters::store::{NewLetter, Waiting};
use crate::runner::{Event, Failure, FailureClass, Order};

/// Streams that wait, with the letter they wait behind.
pub(super) type Parked = BTreeMap<(i32, String), Uuid>;

/// A batch, sorted.
pub(super) struct Sorted<'a, E> {
    /// To be folded, in log order.
    pub(super) events: Vec<&'a Recorded<E>>,
    /// To be set aside, in log order.
    pub(super) asides: Vec<Aside<'a>>,
}

/// A record to be set aside, as a letter in a state.
pub(super) struct Aside<'a> {
    pub(super) id: Uuid,
    pub(super) record: Cow<'a, SetAside>,
    pub(super) state: LetterState,
    /// The letter its stream waits behind, itself if it is the first.
    head: Option<Uuid>,
}

impl Aside<'_> {
    pub(super) fn letter(&self, record: OwnedRecord) -> NewLetter<'_> {
        NewLetter { id: self.id, aside: &self.record, state: self.state, record }
    }
}

/// What is known of the batch's records from before.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Records that are letters.
    pub(super) letters: BTreeSet<(i32, i64)>,
    /// Offsets below which everything else was folded, by partition.
    pub(super) folded_to: BTreeMap<i32, i64>,
}

impl Past {
    fn is_folded(&self, (partition, offset): (i32, i64)) -> bool {
        self.folded_to.get(&partition).is_some_and(|folded_to| offset < *folded_to)
    }
}

/// Sorts a batch that is in log order within each partition. Records that are letters already are
/// left out; of a projection that keeps order, every record of a stream goes behind its letter. What
/// was folded before, and comes again because a position was set back, is left to the fold, which
/// knows it, and is never set aside.
pub(super) fn sort<'a, E: Event>(
    batch: &[&'a Item<E>],
    order: Order,
    past: &Past,
    mut parked: Parked,
) -> Sorted<'a, E> {
    let mut sorted = Sorted { events: Vec::with_capacity(batch.len()), asides: Vec::new() };
    for item in batch.iter().copied().filter(|item| !past.letters.contains(&place(item))) {
        if past.is_folded(place(item)) {
            sorted.events.extend(item.event());
            continue;
        }
        let stream = stream_of(item).map(|(partition, stream)| (partition, stream.to_owned()));
        // A look-up for each record only where order is kept: elsewhere nothing is ever parked.
        let head = match order {
            Order::Independent => None,
            Order::Sequenced => stream.as_ref().and_then(|stream| parked.get(stream)).copied(),
        };
        let id = Uuid::now_v7();
        match (item, head) {
            (Item::Event(record), None) => sorted.events.push(record),
            (item, Some(head)) => sorted.asides.push(Aside {
                id,
                record: behind(item),
                state: LetterState::Blocked,
                head: Some(head),
            }),
            (Item::SetAside(aside), None) => {
                let head = stream.filter(|_| order == Order::Sequenced).map(|stream| {
                    parked.insert(stream, id);
                    id
                });
                // No wait makes an id unused again.
                let is_final = aside.failure.is_id_reused();
                let state = if is_final { LetterState::Parked } else { LetterState::Retrying };
                let record = Cow::Borrowed(aside);
                sorted.asides.push(Aside { id, record, state, head });
            }
        }
    }
    sorted
}

fn place<E>(item: &Item<E>) -> (i32, i64) {
    match item {
        Item::Event(record) => (record.partition, record.position.offset),
        Item::SetAside(aside) => (aside.partition, aside.position.offset),
    }
}

/// Whose a record is, where that is known.
pub(super) fn stream_of<E: Event>(item: &Item<E>) -> Option<(i32, &str)> {
    match item {
        Item::Event(record) => Some((record.partition, record.event.stream_id())),
        Item::SetAside(aside) => Some((aside.partition, aside.stream_id.as_deref()?)),
    }
}

/// A record that waits behind a letter; one that is at fault itself says so when its turn comes.
fn behind<E: Event>(item: &Item<E>) -> Cow<'_, SetAside> {
    match item {
        Item::SetAside(aside) => Cow::Borrowed(aside),
        Item::Event(record) => {
            let key = record.event.stream_id().as_bytes();
            Cow::Owned(SetAside {
                partition: record.partition,
                position: record.position,
                log_time: record.log_time,
                stream_id: storable(key),
                culprit: culprit(Some(key), &record.position),
                failure: Failure {
                    class: FailureClass::Poison,
                    code: "blocked".to_owned(),
                    message: "an earlier event of the stream could not be folded".to_owned(),
                },
            })
        }
    }
}

/// What the letters add to the streams that wait.
pub(super) fn waiting(asides: &[Aside<'_>]) -> BTreeMap<(i32, String), Waiting> {
    let mut streams: BTreeMap<(i32, String), Waiting> = BTreeMap::new();
    for aside in asides {
        let (Some(head), Some(stream)) = (aside.head, &aside.record.stream_id) else { continue };
        let stream = streams.entry((aside.record.partition, stream.clone())).or_insert(Waiting {
            head,
            letters: 0,
            is_new: false,
        });
        stream.letters += 1;
        stream.is_new |= head == aside.id;
    }
    streams
}

#[cfg(test)]
mod tests {
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
            let sorted = sort(&refs, order, &past, Parked::new());
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
            let head = Uuid::now_v7();
            let before: Parked = parked.then(|| ((0, "d0".to_owned()), head)).into_iter().collect();
            let refs: Vec<_> = items.iter().collect();
            let sorted = sort(&refs, Order::Sequenced, &Past::default(), before);
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
            let before = Parked::from([((0, "d0".to_owned()), Uuid::now_v7())]);
            let refs: Vec<_> = items.iter().collect();
            let sorted = sort(&refs, order, &past, before);
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
            let sorted = sort(&refs, Order::Independent, &Past::default(), Parked::new());
            prop_assert_eq!(sorted.asides.len(), records.iter().filter(|(_, bad)| *bad).count());
        }
    }
}
