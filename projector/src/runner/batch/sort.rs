//! Which records of a batch are folded and which are set aside: plain data.

mod sorted;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use read_models::recorded::Recorded;
use uuid::Uuid;

use crate::letters::LetterState;
use crate::letters::parked::Head;
use crate::letters::set_aside::{Item, SetAside};
use crate::runner::sequence::{Chains, Link, Verdict};
use crate::runner::stream_events::OfStream;
use crate::runner::{Event, Failure, Order};

pub(super) use sorted::{Aside, Sorted, Stray, waiting};

/// Streams that wait, with the letter they wait behind.
pub(super) type Parked = BTreeMap<(i32, String), Head>;

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
///
/// Decided events are also judged by what was folded of their streams. A duplicate is absorbed, wherever
/// it stands, and so is what was discarded under another record. A stream that waits for nothing but a
/// version that is missing goes on when that comes.
pub(super) fn sort<'a, E: Event>(
    batch: &[&'a Item<E>],
    order: Order,
    past: &Past,
    parked: &Parked,
    chains: &mut Chains,
) -> Sorted<'a, E> {
    let (sorted, parked) = (Sorted::for_batch(batch.len()), Cow::Borrowed(parked));
    let mut sorting = Sorting { sorted, order, parked, chains };
    for item in batch.iter().copied().filter(|item| !past.letters.contains(&place(item))) {
        sorting.take(item, past.is_folded(place(item)));
    }
    sorting.sorted
}

struct Sorting<'a, 'c, E> {
    sorted: Sorted<'a, E>,
    order: Order,
    /// Copied once the batch adds to it, which few do.
    parked: Cow<'c, Parked>,
    chains: &'c mut Chains,
}

impl<'a, E: Event> Sorting<'a, '_, E> {
    fn take(&mut self, item: &'a Item<E>, was_folded: bool) {
        // Nothing is looked up where no order is kept: there nothing ever waits.
        let is_sequenced = self.order == Order::Sequenced;
        let stream = if is_sequenced { stream_of(item) } else { None };
        let placed = stream.and_then(|(_, stream_id)| Some((stream_id, item.link()?)));
        let verdict = placed.map(|(stream_id, link)| self.chains.judge(stream_id, &link));
        if verdict == Some(Verdict::Duplicate) {
            self.sorted.absorbed += 1;
            return;
        }
        if was_folded {
            match (item, verdict) {
                (Item::Event(record), None | Some(Verdict::Next)) => {
                    self.fold(record, placed, verdict);
                }
                (Item::Event(_), _) => self.sorted.absorbed += 1,
                (Item::SetAside(..), _) => {}
            }
            return;
        }
        let stream = stream.map(|(partition, stream_id)| (partition, stream_id.to_owned()));
        let head = stream.as_ref().and_then(|stream| self.parked.get(stream));
        let link = placed.map(|(_, link)| link);
        match (item, verdict, head) {
            (Item::Event(record), Some(Verdict::Fork), _)
            | (Item::Event(record), Some(Verdict::Gap), None) => {
                self.stray(record, verdict, stream);
            }
            (Item::Event(record), None | Some(_), None) => self.fold(record, placed, verdict),
            (Item::Event(record), Some(Verdict::Next | Verdict::Discarded), Some(head))
                if head.lets_pass(link) =>
            {
                self.sorted.due.insert(head.letter);
                self.fold(record, placed, verdict);
            }
            (Item::Event(record), _, Some(head)) => {
                if verdict == Some(Verdict::Gap) && head.lets_pass(link) {
                    self.sorted.hopeful.extend(placed);
                }
                self.sorted.waiting.push(record);
                self.set_aside(Cow::Owned(SetAside::of(record, Failure::blocked())), stream, true);
            }
            (Item::SetAside(aside, event), _, _) => {
                self.sorted.waiting.extend(event);
                self.set_aside(Cow::Borrowed(aside), stream, false);
            }
        }
    }

    /// The event is folded, or passed over where that was decided of it.
    fn fold(
        &mut self,
        record: &'a Recorded<E>,
        placed: Option<OfStream<'a>>,
        verdict: Option<Verdict>,
    ) {
        if verdict == Some(Verdict::Discarded) {
            self.sorted.absorbed += 1;
            self.sorted.passed.extend(placed);
        } else {
            self.sorted.events.push(record);
        }
        if let Some((stream_id, link)) = placed {
            self.chains.add(stream_id, link.version, link.event_id);
        }
    }

    /// What follows in its stream waits meanwhile, so that one stream has one gap to tell of.
    fn stray(
        &mut self,
        record: &'a Recorded<E>,
        verdict: Option<Verdict>,
        stream: Option<(i32, String)>,
    ) {
        let Some(link) = Link::of(&record.event) else { return };
        self.sorted.strays.push(Stray {
            stream_id: record.event.stream_id(),
            link,
            place: (record.partition, record.position.offset),
            is_fork: verdict == Some(Verdict::Fork),
        });
        if let Some(stream) = stream {
            self.parked.to_mut().entry(stream).or_insert(Head { letter: Uuid::nil(), gap: None });
        }
    }

    /// Sets a record aside, at the end of its stream's line, unless it is what the stream waits behind
    /// from now on. One that is at fault itself and waits behind another says so when its turn comes.
    fn set_aside(
        &mut self,
        record: Cow<'a, SetAside>,
        stream: Option<(i32, String)>,
        is_follower: bool,
    ) {
        let id = Uuid::now_v7();
        let failure = &record.failure;
        let head = stream.as_ref().and_then(|stream| self.parked.to_mut().get_mut(stream));
        let is_first = head.is_none();
        let leads = match &head {
            None => true,
            // Whatever else is in the way comes before what only waits for a version.
            Some(head) => head.gap.is_some() && !is_follower && !failure.is_version_gap(),
        };
        let state = match leads {
            // No wait makes an id unused again, or joins what has forked.
            _ if failure.is_stream_fork() => LetterState::Parked,
            true if failure.is_id_reused() => LetterState::Parked,
            true => LetterState::Retrying,
            false => LetterState::Blocked,
        };
        let version = record.link.map(|link| link.version);
        let behind = match (head, leads) {
            (Some(head), false) => {
                head.gap.iter_mut().for_each(|versions| versions.extend(version));
                Some(head.letter)
            }
            (Some(head), true) => {
                self.sorted.overtaken.push(head.letter);
                *head = Head { letter: id, gap: None };
                Some(id)
            }
            (None, _) => stream.map(|stream| {
                let gap = failure.is_version_gap().then(|| version.into_iter().collect());
                self.parked.to_mut().insert(stream, Head { letter: id, gap });
                id
            }),
        };
        self.sorted.asides.push(Aside { id, record, state, head: behind, is_first });
    }
}

fn place<E>(item: &Item<E>) -> (i32, i64) {
    match item {
        Item::Event(record) => (record.partition, record.position.offset),
        Item::SetAside(aside, _) => (aside.partition, aside.position.offset),
    }
}

/// Whose a record is, where that is known.
pub(super) fn stream_of<E: Event>(item: &Item<E>) -> Option<(i32, &str)> {
    match item {
        Item::Event(record) => Some((record.partition, record.event.stream_id())),
        Item::SetAside(aside, _) => Some((aside.partition, aside.stream_id.as_deref()?)),
    }
}

#[cfg(test)]
mod placed;
#[cfg(test)]
mod sequence_tests;
#[cfg(test)]
mod stream_model;
#[cfg(test)]
mod tests;
