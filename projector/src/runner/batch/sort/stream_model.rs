//! One stream and the tables about it in memory: batches are sorted as a lane does it, letters replayed
//! as the schedule does it.

use super::placed::{Placed, STREAM, real};
use super::*;
use crate::runner::sequence::{bridge, turn};

/// A letter of the stream, as the table holds it.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) id: Uuid,
    pub(super) offset: i64,
    /// What its body says; nothing where nobody can decode it.
    pub(super) link: Option<Link>,
    /// What its headers say, which is the truth.
    pub(super) told: Link,
    pub(super) state: LetterState,
    is_gap: bool,
}

/// The database, as far as one stream is concerned.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) folded: Vec<Link>,
    /// Events that count as folded: those, and what was passed over.
    pub(super) chain: BTreeMap<u64, Link>,
    pub(super) letters: Vec<Letter>,
    pub(super) head: Option<Uuid>,
    pub(super) absorbed: usize,
    /// A head was made due and no replay has run since.
    pub(super) is_due: bool,
    /// A version that the rows refuse in a batch, and take when its letter is tried again.
    pub(super) bad: Option<u64>,
    /// A version that the rows never take.
    pub(super) refused: Option<u64>,
    /// Offsets of records that nobody can decode.
    pub(super) garbled: BTreeSet<i64>,
}

impl Tables {
    fn chains(&self) -> Chains {
        let mut chains = Chains::default();
        self.chain.values().for_each(|link| chains.add(STREAM, link.version, link.event_id));
        for link in self.discarded().filter_map(|letter| letter.link) {
            chains.add_discarded(STREAM.to_owned(), link.version, link.event_id);
        }
        chains
    }

    pub(super) fn discarded(&self) -> impl Iterator<Item = &Letter> {
        self.letters.iter().filter(|letter| letter.state == LetterState::Discarded)
    }

    pub(super) fn open(&self) -> Vec<usize> {
        let mut open: Vec<usize> =
            (0..self.letters.len()).filter(|at| self.letters[*at].state.is_open()).collect();
        let key = |letter: &Letter| turn(letter.link.as_ref(), letter.offset);
        open.sort_by_key(|at| key(&self.letters[*at]));
        open
    }

    fn parked(&self) -> Parked {
        let Some(id) = self.head else { return Parked::new() };
        let head = self.letters.iter().find(|letter| letter.id == id).unwrap();
        let version = |at: usize| Some(self.letters[at].link?.version);
        let versions = || self.open().into_iter().filter_map(version).collect();
        let head = Head { letter: id, gap: head.is_gap.then(versions) };
        Parked::from([((0, STREAM.to_owned()), head)])
    }

    /// One transaction after the other until none is to be blamed any more, as a lane does it.
    pub(super) fn batch(&mut self, records: &[Recorded<Placed>], past: &Past) {
        let mut items: Vec<_> = records.iter().map(|record| self.item(record)).collect();
        loop {
            let (refs, before) = (items.iter().collect::<Vec<_>>(), self.chain.clone());
            let sorted = self.sorted(&refs, past);
            let strays = sorted.strays.iter().map(|stray| (stray.place.1, stray.failure()));
            let mut blamed: Vec<_> = strays.collect();
            if blamed.is_empty() {
                let is_bad = |record: &&&Recorded<Placed>| {
                    [self.bad, self.refused].contains(&Some(record.event.0.version))
                };
                let bad = sorted.events.iter().find(is_bad);
                blamed.extend(bad.map(|bad| (bad.position.offset, Failure::panicked())));
            }
            if blamed.is_empty() {
                return self.commit(&sorted, records);
            }
            self.chain = before;
            for (offset, failure) in blamed {
                let at = items.iter().position(|item| place(item).1 == offset).unwrap();
                let item = items.remove(at);
                assert!(item.event().is_some(), "a record is blamed twice");
                items.insert(at, item.blamed(failure));
            }
        }
    }

    fn item(&self, record: &Recorded<Placed>) -> Item<Placed> {
        if self.garbled.contains(&record.position.offset) {
            let aside = SetAside::of(record, Failure::panicked());
            return Item::SetAside(SetAside { link: None, ..aside }, None);
        }
        Item::Event(record.clone())
    }

    fn sorted<'a>(&mut self, refs: &[&'a Item<Placed>], past: &Past) -> Sorted<'a, Placed> {
        let parked = self.parked();
        let sorted = sort(refs, Order::Sequenced, past, &parked, &mut self.chains());
        let gaps = sorted.strays.iter().filter(|stray| !stray.is_fork).map(|stray| stray.link);
        let early = gaps.chain(sorted.hopeful.iter().map(|(_, link)| *link));
        let mut is_any = false;
        for link in early {
            is_any |= self.pass_over(&link);
        }
        match is_any {
            true => sort(refs, Order::Sequenced, past, &parked, &mut self.chains()),
            false => sorted,
        }
    }

    fn bridge(&self, event: &Link) -> Option<Vec<Link>> {
        let discarded: Vec<Link> = self.discarded().map(|letter| letter.told).collect();
        bridge(self.chains().last(STREAM), event, &discarded)
    }

    fn pass_over(&mut self, event: &Link) -> bool {
        let Some(passed) = self.bridge(event) else { return false };
        passed.into_iter().for_each(|link| self.count(link));
        true
    }

    /// Counts an event as folded.
    fn count(&mut self, link: Link) {
        assert_eq!(self.chain.insert(link.version, link), None, "a version is counted twice");
    }

    fn commit(&mut self, sorted: &Sorted<'_, Placed>, records: &[Recorded<Placed>]) {
        self.folded.extend(sorted.events.iter().map(|record| record.event.0));
        let passed = sorted.passed.iter().map(|(_, link)| *link);
        let counted = sorted.events.iter().map(|record| record.event.0).chain(passed);
        counted.for_each(|link| self.count(link));
        self.absorbed += sorted.absorbed;
        for aside in &sorted.asides {
            let offset = aside.record.position.offset;
            let of = records.iter().find(|record| record.position.offset == offset).unwrap();
            self.letters.push(Letter {
                id: aside.id,
                offset,
                link: aside.record.link,
                told: of.event.0,
                state: aside.state,
                is_gap: aside.record.failure.is_version_gap(),
            });
        }
        if let Some(waiting) = waiting(&sorted.asides).get(&(0, STREAM.to_owned())) {
            assert_eq!(waiting.is_new, self.head.is_none());
            self.head = Some(waiting.head);
        }
        assert!(sorted.due.is_empty() || self.head.is_some());
        self.is_due |= !sorted.due.is_empty() || self.is_tried_first(sorted);
    }

    /// Whether a letter waits for what the batch folds beside a new head: the head's first try comes by
    /// itself, and finds it.
    fn is_tried_first(&self, sorted: &Sorted<'_, Placed>) -> bool {
        let is_new_head =
            |aside: &Aside<'_>| aside.state == LetterState::Retrying && Some(aside.id) == self.head;
        let goes_on = |at: usize| self.judge(&self.letters[at]) == Some(Verdict::Next);
        sorted.asides.iter().any(is_new_head) && self.open().into_iter().any(goes_on)
    }

    /// As a replay does it: letters in their turn, until one is stuck.
    pub(super) fn replay(&mut self) {
        self.is_due = false;
        for at in self.open() {
            let verdict = self.letters[at].link.map(|link| self.judge_and_pass_over(&link));
            let link = self.letters[at].told;
            self.letters[at].state = match verdict {
                Some(Verdict::Next) if self.refused != Some(link.version) => {
                    self.count(link);
                    self.folded.push(link);
                    LetterState::Applied
                }
                Some(Verdict::Duplicate | Verdict::Discarded) => {
                    self.absorbed += 1;
                    LetterState::Duplicate
                }
                verdict => {
                    self.letters[at].is_gap = verdict == Some(Verdict::Gap);
                    LetterState::Parked
                }
            };
            if self.letters[at].state.is_open() {
                break;
            }
        }
        self.head = self.open().first().map(|at| self.letters[*at].id);
    }

    fn judge_and_pass_over(&mut self, link: &Link) -> Verdict {
        if self.chains().judge(STREAM, link) == Verdict::Gap {
            self.pass_over(link);
        }
        let verdict = self.chains().judge(STREAM, link);
        if verdict == Verdict::Discarded {
            self.count(*link);
        }
        verdict
    }

    /// What a replay would judge, without a trace of it.
    fn judge(&self, letter: &Letter) -> Option<Verdict> {
        let link = letter.link?;
        let verdict = self.chains().judge(STREAM, &link);
        let is_next = verdict == Verdict::Gap && self.bridge(&link).is_some();
        Some(if is_next { Verdict::Next } else { verdict })
    }

    /// Discards what the stream is stuck at, if it is at something that no wait mends.
    pub(super) fn discard_what_is_stuck(&mut self) -> bool {
        let Some(at) = self.open().first().copied() else { return false };
        let letter = &self.letters[at];
        let is_stuck = match self.judge(letter) {
            None | Some(Verdict::Fork) => true,
            Some(Verdict::Next) => self.refused == Some(letter.told.version),
            Some(Verdict::Gap | Verdict::Duplicate | Verdict::Discarded) => false,
        };
        if is_stuck {
            self.discard(at);
        }
        is_stuck
    }

    /// As an operator does it: with the letters of the same event, and the next has its turn.
    fn discard(&mut self, at: usize) {
        let Letter { link, .. } = self.letters[at];
        self.letters[at].state = LetterState::Discarded;
        for letter in self.letters.iter_mut().filter(|letter| letter.state.is_open()) {
            if link.is_some() && letter.link.map(|l| l.event_id) == link.map(|l| l.event_id) {
                letter.state = LetterState::Discarded;
            }
        }
        let next = self.open().first().copied();
        self.head = next.map(|at| self.letters[at].id);
        self.is_due = next.is_some();
        if let Some(at) = next {
            self.letters[at].state = match self.letters[at].link {
                Some(_) => LetterState::Retrying,
                None => LetterState::Parked,
            };
        }
    }

    pub(super) fn folded_versions(&self) -> Vec<u64> {
        self.folded.iter().map(|link| link.version).collect()
    }

    /// What must hold after every transaction.
    pub(super) fn check(&self) {
        let counted: Vec<Link> = self.chain.values().copied().collect();
        let real: Vec<Link> = (1..).take(counted.len()).map(real).collect();
        assert_eq!(counted, real, "counted around a gap, or a stranger's");
        let told: BTreeSet<u64> = self.discarded().map(|letter| letter.told.version).collect();
        let mut in_order = counted.iter().filter(|link| !told.contains(&link.version));
        let folded = self.folded.iter().filter(|link| !told.contains(&link.version));
        assert!(folded.eq(in_order.by_ref()), "folded out of order, twice, or not at all");
        assert!(self.folded.is_sorted_by_key(|link| link.version), "folded out of order");
        self.check_turns();
    }

    fn check_turns(&self) {
        let open: Vec<_> = self.open().into_iter().map(|at| &self.letters[at]).collect();
        assert_eq!(self.head.is_some(), !open.is_empty(), "letters without a head");
        let is_tried = open.iter().any(|letter| letter.state != LetterState::Blocked);
        assert!(open.is_empty() || is_tried, "nobody tries {open:?}");
        let goes_on = |letter: &&Letter| {
            matches!(self.judge(letter), Some(Verdict::Next | Verdict::Discarded))
        };
        let is_stuck = open.first().is_some_and(|first| match self.judge(first) {
            None | Some(Verdict::Fork) => true,
            Some(_) => [self.bad, self.refused].contains(&Some(first.told.version)),
        });
        let is_waiting = open.iter().any(goes_on);
        assert!(!is_waiting || self.is_due || is_stuck, "nobody wakes {open:?}");
    }
}
