//! What a lane does next: plain data, without I/O or clock.

use std::collections::BTreeMap;
use std::time::Instant;

use super::partition::Partition;
use super::positions::Move;
use super::{BatchLimits, Event};
use crate::letters::brake::LETTERS_AT_ONCE;

/// Batch ages after which records that wait are folded before full partitions.
const OVERDUE: u32 = 8;

/// The first records of a partition, to be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) count: usize,
    /// How many of them are to be set aside.
    pub(super) letters: usize,
    pub(super) moved: Move,
}

impl Part {
    pub(super) fn partition(&self) -> i32 {
        self.moved.partition
    }
}

/// What a batch has room for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) letters: usize,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Folds these, at least one, in one transaction.
    Fold(Vec<Part>),
    /// Waits for a record, or until this time.
    Wait(Option<Instant>),
}

/// When a lane folded last, and whose turn it was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last {
    pub(super) fold: Option<Instant>,
    pub(super) turn: i32,
}

/// Full partitions alone, in turns; what is smaller together, at once after a pause and else so that
/// folds are at least the batch age apart.
pub(super) fn plan<E: Event>(
    partitions: &BTreeMap<i32, Partition<E>>,
    last: Last,
    limits: &BatchLimits,
    now: Instant,
) -> Plan {
    let turns = partitions.range(last.turn + 1..).chain(partitions.range(..=last.turn));
    let ready: Vec<&Partition<E>> =
        turns.map(|(_, held)| held).filter(|held| held.can_fold(now)).collect();
    let social: Vec<_> = ready.iter().copied().filter(|held| !held.is_alone()).collect();
    let due = due(social.iter().filter_map(|held| held.oldest()).min(), last, limits, now);
    // Without this, partitions that are always full would starve the others of the lane.
    let is_overdue = due.is_some_and(|due| due + limits.age * OVERDUE <= now);
    let single = ready.iter().find(|held| held.is_full(limits) || held.is_alone());
    if let Some(held) = single.filter(|_| !is_overdue) {
        let room = Room { records: limits.records, letters: LETTERS_AT_ONCE };
        return Plan::Fold(held.batch(room, limits).into_iter().collect());
    }
    match due {
        Some(due) if due <= now => Plan::Fold(together(&social, limits)),
        due => {
            let resumes = partitions.values().filter_map(Partition::resumes_at);
            Plan::Wait(due.into_iter().chain(resumes).min())
        }
    }
}

/// When records that arrived at `oldest` are folded.
fn due(oldest: Option<Instant>, last: Last, limits: &BatchLimits, now: Instant) -> Option<Instant> {
    let next = last.fold.map_or(now, |fold| fold + limits.age);
    oldest.map(|oldest| oldest.max(next))
}

/// As many of the partitions' records as one batch may hold.
fn together<E: Event>(ready: &[&Partition<E>], limits: &BatchLimits) -> Vec<Part> {
    let mut room = Room { records: limits.records, letters: LETTERS_AT_ONCE };
    let mut parts = Vec::new();
    for held in ready {
        if let Some(part) = held.batch(room, limits) {
            room.records = room.records.saturating_sub(part.count);
            room.letters = room.letters.saturating_sub(part.letters);
            parts.push(part);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::device::DeviceEvent;
    use proptest::prelude::*;

    use super::super::partition::samples::partition_of;
    use super::*;

    const LIMITS: BatchLimits =
        BatchLimits { records: 4, bytes: 1_000_000, age: Duration::from_millis(20) };

    type Partitions = BTreeMap<i32, Partition<DeviceEvent>>;

    fn partitions(sizes: &[i64], now: Instant) -> Partitions {
        (0..).zip(sizes).map(|(id, size)| (id, partition_of(id, *size, now))).collect()
    }

    fn ids(plan: &Plan) -> Vec<i32> {
        match plan {
            Plan::Fold(parts) => parts.iter().map(Part::partition).collect(),
            Plan::Wait(_) => Vec::new(),
        }
    }

    #[test]
    fn a_single_record_after_a_pause_is_folded_at_once() {
        let now = Instant::now();
        let plan = plan(&partitions(&[0, 1], now), Last::default(), &LIMITS, now);
        assert_eq!(ids(&plan), [1]);
    }

    #[test]
    fn what_arrives_right_after_a_fold_waits_for_the_batch_age() {
        let now = Instant::now();
        let last = Last { fold: Some(now), turn: 0 };
        let plan = plan(&partitions(&[1], now), last, &LIMITS, now);
        assert_eq!(plan, Plan::Wait(Some(now + LIMITS.age)));
    }

    #[test]
    fn a_full_partition_goes_alone_and_the_next_full_one_has_its_turn_after_it() {
        let now = Instant::now();
        let held = partitions(&[9, 9, 1], now);
        let last = |turn| Last { fold: Some(now), turn };
        assert_eq!(ids(&plan(&held, last(2), &LIMITS, now)), [0]);
        assert_eq!(ids(&plan(&held, last(0), &LIMITS, now)), [1]);
    }

    #[test]
    fn small_partitions_share_a_batch() {
        let now = Instant::now();
        let plan = plan(&partitions(&[1, 2, 1], now), Last { fold: None, turn: 2 }, &LIMITS, now);
        assert_eq!(ids(&plan), [0, 1, 2]);
    }

    #[test]
    fn nothing_waits_for_nothing() {
        let now = Instant::now();
        assert_eq!(
            plan(&partitions(&[0, 0], now), Last::default(), &LIMITS, now),
            Plan::Wait(None)
        );
    }

    proptest! {
        /// Whatever waits, some are tried alone and some rest: a plan to fold is never empty and
        /// never over the limit, and a plan to wait ends in the future.
        #[test]
        fn a_plan_is_neither_empty_nor_in_the_past(
            sizes in prop::collection::vec(0i64..9, 1..6),
            alone in prop::collection::vec(any::<bool>(), 6),
            turn in -1i32..7,
            folded_ms in prop::option::of(0u64..500),
        ) {
            let start = Instant::now();
            let now = start + Duration::from_millis(500);
            let mut held = partitions(&sizes, start);
            for (partition, alone) in held.values_mut().zip(alone) {
                if alone { partition.retry_alone(); }
            }
            let fold = folded_ms.map(|ms| start + Duration::from_millis(ms));
            match plan(&held, Last { fold, turn }, &LIMITS, now) {
                Plan::Fold(parts) => {
                    let count: usize = parts.iter().map(|part| part.count).sum();
                    prop_assert!((1..=LIMITS.records).contains(&count));
                }
                Plan::Wait(until) => {
                    prop_assert!(until.is_none_or(|until| until > now));
                    prop_assert_eq!(until.is_none(), sizes.iter().all(|size| *size == 0));
                }
            }
        }

        /// However full the others are kept, a record is folded within as many folds as there are
        /// partitions once it is overdue.
        #[test]
        fn nobody_starves(full in 1i32..6, small in 0i32..6) {
            let start = Instant::now();
            let sizes: Vec<i64> = (0..=5).map(|id| if id == small { 1 } else if id <= full { 9 } else { 0 }).collect();
            let held = partitions(&sizes, start);
            let now = start + LIMITS.age * (OVERDUE + 1);
            let mut last = Last { fold: Some(start), turn: 5 };
            let mut folded = Vec::new();
            for _ in 0..6 {
                let ids = ids(&plan(&held, last, &LIMITS, now));
                last.turn = *ids.last().unwrap();
                folded.extend(ids);
            }
            prop_assert!(folded.contains(&small));
        }
    }
}
