//! Sorting decided events: a stream whose records come late, twice, or contradicting it, cut into any
//! batches, is folded in the order of its versions, and wholly once everything has come.

use proptest::prelude::*;
use proptest::sample::Index;

use super::placed::{Placed, STREAM, forked, real, recorded};
use super::stream_model::Tables;
use super::*;

/// Records of one stream in the order of a log: all of it, in any order, with repetitions and forks.
fn log() -> impl Strategy<Value = Vec<Link>> {
    let shuffled = (1u64..12).prop_flat_map(|n| Just((1..=n).collect::<Vec<_>>()).prop_shuffle());
    let again = prop::collection::vec((any::<Index>(), any::<Index>()), 0..8);
    let forks = prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 0..4);
    (shuffled, again, forks).prop_map(|(versions, again, forks)| {
        let mut log: Vec<Link> = versions.iter().copied().map(real).collect();
        for (which, at) in again {
            log.insert(at.index(log.len() + 1), real(versions[which.index(versions.len())]));
        }
        for (stranger, (which, at, names_the_right_one)) in (0..).zip(forks) {
            let version = versions[which.index(versions.len())];
            // Who comes first with the right one before it is not the stranger.
            let from = log.iter().position(|link| *link == real(version)).unwrap();
            let from = if names_the_right_one { from + 1 } else { 0 };
            let at = from + at.index(log.len() + 1 - from);
            log.insert(at, forked(version, stranger, names_the_right_one));
        }
        log
    })
}

fn records(log: &[Link]) -> Vec<Recorded<Placed>> {
    (0..).zip(log).map(|(offset, link)| recorded(*link, offset)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn however_a_stream_comes_it_is_folded_once_and_in_order(
        log in log(),
        cuts in prop::collection::vec((1usize..6, any::<bool>()), 1..40),
        bad in prop::option::of(1u64..12),
    ) {
        let n = log.iter().filter(|link| link.event_id.as_u128() < 1_000).map(|l| l.version).max();
        let forks = log.iter().filter(|link| link.event_id.as_u128() >= 1_000).count();
        let records = records(&log);
        let mut tables = Tables { bad, ..Tables::default() };
        let (mut left, mut cuts) = (&records[..], cuts.iter().cycle());
        while !left.is_empty() {
            let (size, is_replayed) = cuts.next().unwrap();
            let (batch, rest) = left.split_at((*size).min(left.len()));
            left = rest;
            tables.batch(batch, &Past::default());
            tables.check();
            // The schedule may be slower than the log.
            if *is_replayed {
                tables.replay();
                tables.check();
            }
        }
        let mut discarded = 0;
        tables.replay();
        while tables.discard_what_is_stuck() {
            discarded += 1;
            tables.replay();
            tables.check();
        }
        prop_assert_eq!(tables.folded_versions(), (1..=n.unwrap_or(0)).collect::<Vec<_>>());
        prop_assert!(tables.open().is_empty() && tables.head.is_none());
        prop_assert_eq!(discarded, forks);
        let letters = tables.letters.iter().filter(|l| l.state == LetterState::Discarded).count();
        let all = tables.folded.len() + tables.absorbed + letters;
        prop_assert_eq!(all, log.len(), "a record has no fate, or two");
    }

    /// What cannot be decoded, or is refused for ever, is discarded at some time or other.
    #[test]
    fn whatever_is_discarded_the_rest_of_a_stream_is_folded_once_and_in_order(
        log in log(),
        cuts in prop::collection::vec((1usize..6, any::<bool>(), any::<bool>()), 1..40),
        refused in prop::option::of(1u64..12),
        garbled in prop::collection::vec(any::<Index>(), 0..5),
    ) {
        // A fork may follow what was folded once the event that it contradicts is discarded.
        let log: Vec<Link> =
            log.into_iter().filter(|link| link.event_id.as_u128() < 1_000).collect();
        let garbled: BTreeSet<i64> =
            garbled.iter().map(|at| i64::try_from(at.index(log.len())).unwrap()).collect();
        let records = records(&log);
        let mut tables = Tables { refused, garbled: garbled.clone(), ..Tables::default() };
        let (mut left, mut cuts) = (&records[..], cuts.iter().cycle());
        while !left.is_empty() {
            let (size, is_replayed, is_discarded) = cuts.next().unwrap();
            let (batch, rest) = left.split_at((*size).min(left.len()));
            left = rest;
            tables.batch(batch, &Past::default());
            tables.check();
            if *is_replayed {
                tables.replay();
                tables.check();
            }
            if *is_discarded && tables.discard_what_is_stuck() {
                tables.check();
            }
        }
        tables.replay();
        while tables.discard_what_is_stuck() {
            tables.check();
            tables.replay();
            tables.check();
        }
        let n = log.iter().map(|link| link.version).max().unwrap_or(0);
        let counted: Vec<u64> = tables.chain.keys().copied().collect();
        let discarded: BTreeSet<u64> = tables.discarded().map(|l| l.told.version).collect();
        prop_assert!(tables.open().is_empty() && tables.head.is_none());
        // A discarded version at the end is passed over by the next one that comes.
        let last = counted.len() as u64;
        prop_assert!((last + 1..=n).all(|version| discarded.contains(&version)));
        prop_assert_eq!(counted, (1..=last).collect::<Vec<_>>());
        let folded = tables.folded_versions();
        prop_assert!(refused.is_none_or(|refused| !folded.contains(&refused)));
        let by_body = |version: &u64| {
            tables.discarded().any(|l| l.link.is_some_and(|link| link.version == *version))
        };
        prop_assert!(!folded.iter().any(by_body), "what was discarded was folded");
        let all = folded.len() + tables.absorbed + tables.discarded().count();
        prop_assert_eq!(all, log.len(), "a record has no fate, or two");
    }

    /// A position set back delivers everything again: letters are known by their places, all else is
    /// absorbed.
    #[test]
    fn what_is_delivered_again_changes_nothing(log in log(), size in 1usize..8) {
        let records = records(&log);
        let mut tables = Tables::default();
        records.chunks(size).for_each(|batch| tables.batch(batch, &Past::default()));
        tables.replay();
        let before = (tables.folded.clone(), tables.letters.len(), tables.head);
        let letters = tables.letters.iter().map(|letter| (0, letter.offset)).collect();
        let folded_to = BTreeMap::from([(0, i64::try_from(log.len()).unwrap())]);
        let past = Past { letters, folded_to };
        records.chunks(size + 1).for_each(|batch| tables.batch(batch, &past));
        prop_assert_eq!((tables.folded.clone(), tables.letters.len(), tables.head), before);
    }
}

#[test]
fn the_version_that_is_missing_is_folded_past_the_gap_and_wakes_it() {
    let mut tables = Tables::default();
    tables.batch(
        &[recorded(real(1), 0), recorded(real(3), 1), recorded(real(4), 2)],
        &Past::default(),
    );
    assert_eq!(tables.folded_versions(), [1]);
    let states: Vec<_> = tables.letters.iter().map(|letter| letter.state).collect();
    assert_eq!(states, [LetterState::Retrying, LetterState::Blocked]);
    assert!(!tables.is_due);
    tables.batch(&[recorded(real(2), 3)], &Past::default());
    assert_eq!(tables.folded_versions(), [1, 2]);
    assert!(tables.is_due);
    tables.replay();
    assert_eq!(tables.folded_versions(), [1, 2, 3, 4]);
}

#[test]
fn of_two_that_claim_a_missing_version_the_first_of_the_log_has_it() {
    let mut tables = Tables::default();
    // 3 waits for 2; when 2 has come, another 3 must not be folded before the letter is.
    let past = Past::default();
    tables.batch(&[recorded(real(1), 0), recorded(real(3), 1)], &past);
    tables.batch(&[recorded(real(2), 2)], &past);
    tables.batch(&[recorded(forked(3, 7, true), 3)], &past);
    assert_eq!(tables.folded_versions(), [1, 2]);
    tables.replay();
    assert_eq!(tables.folded.last(), Some(&real(3)));
}

#[test]
fn a_fork_takes_the_lead_of_a_gap_and_nothing_is_folded_past_it() {
    let mut tables = Tables::default();
    let past = Past::default();
    tables.batch(&[recorded(real(1), 0), recorded(real(3), 1)], &past);
    tables.batch(&[recorded(forked(1, 7, true), 2)], &past);
    tables.batch(&[recorded(real(2), 3)], &past);
    assert_eq!(tables.folded_versions(), [1]);
    let fork = tables.letters.iter().find(|letter| letter.offset == 2).unwrap();
    assert_eq!((fork.state, tables.head), (LetterState::Parked, Some(fork.id)));
    tables.replay();
    assert_eq!(tables.folded_versions(), [1]);
    assert!(tables.discard_what_is_stuck());
    tables.replay();
    assert_eq!(tables.folded_versions(), [1, 2, 3]);
}

#[test]
fn what_cannot_be_folded_holds_its_stream_up_and_duplicates_are_absorbed_meanwhile() {
    let mut chains = Chains::default();
    chains.add(STREAM, 1, real(1).event_id);
    let poison = Item::Event(recorded(real(2), 5)).blamed(Failure::panicked());
    let (again, next) = (Item::Event(recorded(real(1), 6)), Item::Event(recorded(real(3), 7)));
    let batch = [&poison, &again, &next];
    let sorted = sort(&batch, Order::Sequenced, &Past::default(), &Parked::new(), &mut chains);
    assert!(sorted.strays.is_empty() && sorted.events.is_empty());
    let states: Vec<_> = sorted.asides.iter().map(|aside| aside.state).collect();
    assert_eq!(states, [LetterState::Retrying, LetterState::Blocked]);
    assert_eq!(sorted.absorbed, 1);
}

#[test]
fn what_no_order_is_kept_of_is_not_judged() {
    let items = [Item::Event(recorded(real(3), 0)), Item::Event(recorded(real(3), 1))];
    let batch: Vec<_> = items.iter().collect();
    let (past, mut chains) = (Past::default(), Chains::default());
    let sorted = sort(&batch, Order::Independent, &past, &Parked::new(), &mut chains);
    assert_eq!((sorted.events.len(), sorted.asides.len(), sorted.absorbed), (2, 0, 0));
}
