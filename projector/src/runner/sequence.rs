//! The order of decided streams: plain data, without I/O or clock.
//!
//! A decided event says which version of its stream it is and which event stands before it. So what
//! may be folded next is known from what was folded, however often, how late and in which batches
//! records come: the next version that names the last event is folded; what was folded already is
//! absorbed; what comes too early waits; and what contradicts the stream is a fork.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::Event;

/// What a decided event says of its place in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Its number in the stream, from 1.
    pub version: u64,
    /// The event before it; `None` only for the first.
    pub previous_id: Option<Uuid>,
}

/// A decided event, by its place in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) version: u64,
    pub(crate) event_id: Uuid,
    pub(crate) previous_id: Option<Uuid>,
}

impl Link {
    /// Of an event; a fact has none.
    pub(crate) fn of(event: &impl Event) -> Option<Self> {
        let Sequence { version, previous_id } = event.sequence()?;
        Some(Self { version, event_id: event.event_id(), previous_id })
    }

    /// As it was stored.
    pub(crate) fn stored(version: i64, event_id: Uuid, previous_id: Option<Uuid>) -> Self {
        Self { version: version.try_into().unwrap_or_default(), event_id, previous_id }
    }

    /// The version as the database holds it.
    pub(crate) fn stored_version(&self) -> i64 {
        i64::try_from(self.version).unwrap_or(i64::MAX)
    }
}

/// What an event is to what was folded of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The one to be folded.
    Next,
    /// It was folded.
    Duplicate,
    /// It would be the one to be folded, had its letter not been discarded under another record: it is
    /// passed over.
    Discarded,
    /// Another event was folded in its place, or before it.
    Fork,
    /// It comes too early: a version before it is missing.
    Gap,
}

/// Judges an event by the newest event of its stream that was folded, and by the one that was folded
/// under its own version.
pub(crate) fn judge(last: Option<(u64, Uuid)>, same: Option<Uuid>, event: &Link) -> Verdict {
    let (version, id) = last.map_or((0, None), |(version, id)| (version, Some(id)));
    if event.version <= version {
        let is_same = same == Some(event.event_id);
        return if is_same { Verdict::Duplicate } else { Verdict::Fork };
    }
    match (event.version - version, event.previous_id == id) {
        (1, true) => Verdict::Next,
        (1, false) => Verdict::Fork,
        _ => Verdict::Gap,
    }
}

/// What was folded of some streams, as far as their events are to be judged by it.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    streams: HashMap<String, BTreeMap<u64, Uuid>>,
    discarded: HashSet<(String, u64, Uuid)>,
}

impl Chains {
    /// Adds an event that was folded: the newest of its stream, or one that is asked for.
    pub(crate) fn add(&mut self, stream_id: &str, version: u64, event_id: Uuid) {
        match self.streams.get_mut(stream_id) {
            Some(chain) => drop(chain.insert(version, event_id)),
            None => {
                let chain = BTreeMap::from([(version, event_id)]);
                self.streams.insert(stream_id.to_owned(), chain);
            }
        }
    }

    /// Adds an event a letter of which was discarded.
    pub(crate) fn add_discarded(&mut self, stream_id: String, version: u64, event_id: Uuid) {
        self.discarded.insert((stream_id, version, event_id));
    }

    /// The newest event of a stream that was folded.
    pub(crate) fn last(&self, stream_id: &str) -> Option<(u64, Uuid)> {
        let (version, id) = self.streams.get(stream_id)?.last_key_value()?;
        Some((*version, *id))
    }

    /// Judges an event of a stream.
    pub(crate) fn judge(&self, stream_id: &str, event: &Link) -> Verdict {
        let chain = self.streams.get(stream_id);
        let same = chain.and_then(|chain| chain.get(&event.version)).copied();
        match judge(self.last(stream_id), same, event) {
            Verdict::Next if self.is_discarded(stream_id, event) => Verdict::Discarded,
            verdict => verdict,
        }
    }

    fn is_discarded(&self, stream_id: &str, event: &Link) -> bool {
        // There are hardly ever any.
        !self.discarded.is_empty()
            && self.discarded.contains(&(stream_id.to_owned(), event.version, event.event_id))
    }
}

/// The way from the last event of a stream that was folded to an event that comes too early, where it
/// leads over discarded events alone: nobody will ever fold these.
pub(crate) fn bridge(
    last: Option<(u64, Uuid)>,
    event: &Link,
    discarded: &[Link],
) -> Option<Vec<Link>> {
    let (from, id) = last.map_or((0, None), |(version, id)| (version, Some(id)));
    let mut passed = Vec::new();
    let mut step = *event;
    while step.version.checked_sub(1)? > from {
        let is_before = |link: &&Link| {
            link.version + 1 == step.version && Some(link.event_id) == step.previous_id
        };
        step = *discarded.iter().find(is_before)?;
        passed.push(step);
    }
    passed.reverse();
    (step.previous_id == id).then_some(passed)
}

/// The order in which letters of a stream have their turn: by version, then as the log has them. What
/// says no version, since it cannot be read or is a fact, comes first: it could be any.
pub(crate) fn turn(event: Option<&Link>, offset: i64) -> (i64, i64) {
    (event.map_or(0, Link::stored_version), offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn link(version: u64, event: u128, previous: u128) -> Link {
        let previous_id = (previous > 0).then(|| id(previous));
        Link { version, event_id: id(event), previous_id }
    }

    fn chain(ids: &[u128]) -> Chains {
        let mut chains = Chains::default();
        for (version, event) in (1..).zip(ids) {
            chains.add("s", version, id(*event));
        }
        chains
    }

    #[test]
    fn a_stream_begins_with_version_1_that_names_nobody_before_it() {
        let none = Chains::default();
        assert_eq!(none.judge("s", &link(1, 10, 0)), Verdict::Next);
        assert_eq!(none.judge("s", &link(1, 10, 9)), Verdict::Fork);
        assert_eq!(none.judge("s", &link(2, 11, 10)), Verdict::Gap);
        assert_eq!(none.judge("s", &link(0, 10, 0)), Verdict::Fork);
    }

    #[test]
    fn the_next_version_names_the_last_event() {
        let chains = chain(&[10, 11]);
        assert_eq!(chains.judge("s", &link(3, 12, 11)), Verdict::Next);
        assert_eq!(chains.judge("s", &link(3, 12, 10)), Verdict::Fork);
        assert_eq!(chains.judge("s", &link(3, 12, 0)), Verdict::Fork);
        assert_eq!(chains.judge("s", &link(4, 13, 12)), Verdict::Gap);
        assert_eq!(chains.judge("another", &link(3, 12, 11)), Verdict::Gap);
    }

    #[test]
    fn a_version_that_was_folded_is_a_duplicate_or_a_fork() {
        let chains = chain(&[10, 11]);
        assert_eq!(chains.judge("s", &link(1, 10, 0)), Verdict::Duplicate);
        assert_eq!(chains.judge("s", &link(2, 11, 10)), Verdict::Duplicate);
        assert_eq!(chains.judge("s", &link(2, 99, 10)), Verdict::Fork);
        assert_eq!(chains.judge("s", &link(1, 11, 0)), Verdict::Fork);
    }

    #[test]
    fn what_was_discarded_is_not_folded_when_its_turn_comes() {
        let mut chains = chain(&[10]);
        chains.add_discarded("s".to_owned(), 2, id(11));
        assert_eq!(chains.judge("s", &link(2, 11, 10)), Verdict::Discarded);
        assert_eq!(chains.judge("s", &link(2, 99, 10)), Verdict::Next, "another event");
        assert_eq!(chains.judge("s", &link(2, 11, 9)), Verdict::Fork);
        assert_eq!(chains.judge("another", &link(2, 11, 10)), Verdict::Gap);
        chains.add("s", 2, id(11));
        assert_eq!(chains.judge("s", &link(2, 11, 10)), Verdict::Duplicate);
    }

    #[test]
    fn a_bridge_leads_over_discarded_events_alone() {
        let last = Some((1, id(10)));
        let discarded = [link(3, 12, 11), link(2, 11, 10), link(2, 99, 10)];
        let passed = bridge(last, &link(4, 13, 12), &discarded);
        assert_eq!(passed, Some(vec![link(2, 11, 10), link(3, 12, 11)]));
        assert_eq!(bridge(last, &link(4, 13, 12), &discarded[1..]), None, "3 is missing");
        assert_eq!(bridge(last, &link(4, 13, 12), &discarded[..1]), None, "2 is missing");
        assert_eq!(bridge(Some((1, id(77))), &link(4, 13, 12), &discarded), None, "a fork");
        assert_eq!(bridge(None, &link(2, 11, 10), &[link(1, 10, 0)]), Some(vec![link(1, 10, 0)]));
    }

    #[test]
    fn letters_have_their_turn_by_version_and_what_says_none_comes_first() {
        let mut turns = [(Some(link(3, 12, 11)), 1), (None, 9), (Some(link(2, 11, 10)), 5)];
        turns.sort_by_key(|(link, offset)| turn(link.as_ref(), *offset));
        assert_eq!(turns.map(|(_, offset)| offset), [9, 5, 1]);
    }
}
