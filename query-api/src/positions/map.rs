//! How far each projection has come, as data.

use std::collections::HashMap;
use std::time::Duration;

/// A partition in one life of its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LogPartition {
    pub(crate) topic: String,
    pub(crate) epoch: u32,
    pub(crate) partition: u32,
}

/// What a reader must see: the record at this offset and all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) log: LogPartition,
    pub(crate) offset: u64,
}

/// A decided event, by its place in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamEvent {
    pub(crate) stream_id: String,
    pub(crate) version: u64,
}

/// Where a projection stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// Every record below is folded and visible.
    pub(crate) next_offset: u64,
    /// Age of the newest folded record when the position was read; at least that where it has moved
    /// since. `None` where none was folded.
    pub(crate) age: Option<Duration>,
}

/// The build of a projection that readers see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ActiveBuild {
    pub(crate) generation: i32,
    /// Why the projection stopped itself, if it did.
    pub(crate) brake: Option<String>,
    pub(crate) positions: HashMap<LogPartition, Position>,
    /// Where no letter was open when the database was asked: the position at that moment, moved on by
    /// notices that say that no letter came since.
    pub(crate) clear_below: HashMap<LogPartition, u64>,
}

/// All that the database says of positions at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PositionMap {
    /// Partitions of each topic's life, as created.
    pub(crate) topics: HashMap<(String, u32), u32>,
    /// By projection.
    pub(crate) active: HashMap<String, ActiveBuild>,
}

/// A projector's notice that positions moved; sent after the commit that moved them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) projection: String,
    pub(crate) generation: i32,
    pub(crate) topic: String,
    pub(crate) epoch: u32,
    /// Where to.
    pub(crate) at: Vec<Moved>,
}

/// Where one partition has moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) partition: u32,
    pub(crate) next_offset: u64,
    /// Offset of its newest letter ever, below 0 if there was none; `None` where that is not known.
    pub(crate) newest_letter: Option<i64>,
}

/// Why a view does not show what a reader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shortfall {
    /// No topic has such a partition.
    NoSuchPartition(LogPartition),
    /// The view has not come so far.
    Behind {
        need: Need,
        position: Position,
        /// Why the projection stopped itself, if it did.
        brake: Option<String>,
    },
}

impl PositionMap {
    /// Moves what the notice says has moved. Never back: notices may come late, and what was
    /// visible stays visible. One of another build than the active one says nothing here.
    pub(crate) fn advance(&mut self, advance: &Advance) -> bool {
        let Some(build) = self.active.get_mut(&advance.projection) else { return false };
        if build.generation != advance.generation {
            return false;
        }
        let mut has_moved = false;
        for Moved { partition, next_offset, newest_letter } in &advance.at {
            let (topic, epoch) = (advance.topic.clone(), advance.epoch);
            let log = LogPartition { topic, epoch, partition: *partition };
            // All below was clear, and no letter came since.
            if let (Some(newest), Some(below)) = (newest_letter, build.clear_below.get_mut(&log))
                && u64::try_from(*newest).map_or(true, |newest| newest < *below)
            {
                *below = (*below).max(*next_offset);
            }
            let position = build.positions.entry(log).or_default();
            has_moved |= *next_offset > position.next_offset;
            position.next_offset = position.next_offset.max(*next_offset);
        }
        has_moved
    }

    /// Takes what the database says now in the place of all that was known, then the notices that
    /// came while it was asked.
    pub(crate) fn replace(&mut self, now: Self, meanwhile: &[Advance]) {
        *self = now;
        for advance in meanwhile {
            self.advance(advance);
        }
    }

    /// The first thing that the projection's view does not show, if any.
    pub(crate) fn shortfall(&self, projection: &str, needs: &[Need]) -> Option<Shortfall> {
        needs.iter().find_map(|need| {
            let log = &need.log;
            let partitions = self.topics.get(&(log.topic.clone(), log.epoch)).copied();
            if partitions.is_none_or(|partitions| log.partition >= partitions) {
                return Some(Shortfall::NoSuchPartition(log.clone()));
            }
            let position = self.position(projection, log);
            (position.next_offset <= need.offset).then(|| Shortfall::Behind {
                need: need.clone(),
                position,
                brake: self.active.get(projection).and_then(|build| build.brake.clone()),
            })
        })
    }

    /// Whether it is known that no letter at or below the need's offset is open. Those that come
    /// are at or above the position, and one that is settled stays so.
    pub(crate) fn is_clear(&self, projection: &str, need: &Need) -> bool {
        let below = self.clear_below(projection, &need.log);
        below.is_some_and(|below| need.offset < below)
    }

    /// The offset below which it is known that no letter of the partition is open.
    pub(crate) fn clear_below(&self, projection: &str, log: &LogPartition) -> Option<u64> {
        self.active.get(projection)?.clear_below.get(log).copied()
    }

    /// How many partitions the topic has in this life.
    pub(crate) fn partitions(&self, topic: &str, epoch: u32) -> Option<u32> {
        self.topics.get(&(topic.to_owned(), epoch)).copied()
    }

    /// Which life of the topic is its present one.
    pub(crate) fn epoch_now(&self, topic: &str) -> Option<u32> {
        let lives = self.topics.keys().filter(|(name, _)| name == topic);
        lives.map(|(_, epoch)| *epoch).max()
    }

    /// How many partitions the topic has in its present life.
    pub(crate) fn partitions_now(&self, topic: &str) -> Option<u32> {
        let lives = self.topics.iter().filter(|((name, _), _)| name == topic);
        lives.max_by_key(|((_, epoch), _)| *epoch).map(|(_, partitions)| *partitions)
    }

    fn position(&self, projection: &str, log: &LogPartition) -> Position {
        let build = self.active.get(projection);
        build.and_then(|build| build.positions.get(log)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(partition: u32) -> LogPartition {
        LogPartition { topic: "events-input".into(), epoch: 1, partition }
    }

    fn need(partition: u32, offset: u64) -> Need {
        Need { log: log(partition), offset }
    }

    fn at(generation: i32, positions: &[(u32, u64)]) -> PositionMap {
        let positions = positions
            .iter()
            .map(|(partition, next_offset)| {
                (log(*partition), Position { next_offset: *next_offset, age: None })
            })
            .collect();
        PositionMap {
            topics: [(("events-input".into(), 1), 4)].into(),
            active: [(
                "resource".into(),
                ActiveBuild { generation, positions, ..ActiveBuild::default() },
            )]
            .into(),
        }
    }

    fn advance(generation: i32, at: &[(u32, u64)]) -> Advance {
        Advance {
            projection: "resource".into(),
            generation,
            topic: "events-input".into(),
            epoch: 1,
            at: at.iter().map(|(partition, next)| moved(*partition, *next, None)).collect(),
        }
    }

    fn moved(partition: u32, next_offset: u64, newest_letter: Option<i64>) -> Moved {
        Moved { partition, next_offset, newest_letter }
    }

    fn shows(map: &PositionMap, need: &Need) -> bool {
        map.shortfall("resource", std::slice::from_ref(need)).is_none()
    }

    #[test]
    fn a_record_is_shown_once_the_position_is_past_it() {
        let map = at(1, &[(0, 5)]);
        assert!(shows(&map, &need(0, 4)));
        let position = Position { next_offset: 5, age: None };
        assert_eq!(
            map.shortfall("resource", &[need(0, 4), need(0, 5)]),
            Some(Shortfall::Behind { need: need(0, 5), position, brake: None })
        );
    }

    #[test]
    fn a_braked_projection_shows_what_it_folded_and_says_why_it_lacks_the_rest() {
        let mut map = at(1, &[(0, 5)]);
        let reason = Some("a test".to_owned());
        map.active.get_mut("resource").unwrap().brake.clone_from(&reason);
        assert!(shows(&map, &need(0, 4)));
        let position = Position { next_offset: 5, age: None };
        assert_eq!(
            map.shortfall("resource", &[need(0, 5)]),
            Some(Shortfall::Behind { need: need(0, 5), position, brake: reason })
        );
    }

    #[test]
    fn a_position_that_moved_by_a_notice_may_have_left_letters_behind() {
        let mut map = at(1, &[(0, 5)]);
        map.active.get_mut("resource").unwrap().clear_below.insert(log(0), 5);
        map.advance(&advance(1, &[(0, 9), (1, 9)]));
        assert!(map.is_clear("resource", &need(0, 4)));
        for unknown in [need(0, 5), need(0, 8), need(1, 0)] {
            assert!(shows(&map, &unknown) && !map.is_clear("resource", &unknown), "{unknown:?}");
        }
        assert!(!map.is_clear("another", &need(0, 4)));
    }

    #[test]
    fn a_notice_that_tells_of_no_newer_letter_moves_what_is_clear() {
        let mut map = at(1, &[(0, 5)]);
        let clear = |map: &mut PositionMap, below| {
            map.active.get_mut("resource").unwrap().clear_below.insert(log(0), below);
        };
        clear(&mut map, 5);
        let notice = |next, newest| Advance { at: vec![moved(0, next, newest)], ..advance(1, &[]) };
        map.advance(&notice(9, Some(-1)));
        assert!(map.is_clear("resource", &need(0, 8)));
        map.advance(&notice(12, Some(4)));
        assert!(map.is_clear("resource", &need(0, 11)), "letters that were settled long ago");
        map.advance(&notice(20, Some(15)));
        assert!(!map.is_clear("resource", &need(0, 19)) && map.is_clear("resource", &need(0, 11)));
        map.active.get_mut("resource").unwrap().clear_below.clear();
        map.advance(&notice(30, Some(-1)));
        assert!(!map.is_clear("resource", &need(0, 8)), "it is not known what was clear");
    }

    #[test]
    fn a_partition_that_nobody_has_folded_yet_is_behind_and_not_unknown() {
        let map = at(1, &[]);
        let position = Position::default();
        let behind = Shortfall::Behind { need: need(3, 0), position, brake: None };
        assert_eq!(map.shortfall("resource", &[need(3, 0)]), Some(behind));
    }

    #[test]
    fn a_partition_that_no_topic_has_is_unknown() {
        let map = at(1, &[]);
        let other = |epoch, topic: &str| LogPartition { topic: topic.into(), epoch, partition: 0 };
        for log in [log(4), other(2, "events-input"), other(1, "other")] {
            let need = Need { log: log.clone(), offset: 0 };
            let expected = Some(Shortfall::NoSuchPartition(log));
            assert_eq!(map.shortfall("resource", &[need]), expected);
        }
    }

    #[test]
    fn a_notice_of_another_build_says_nothing() {
        let mut map = at(2, &[(0, 5)]);
        assert!(!map.advance(&advance(1, &[(0, 100)])));
        assert_eq!(map, at(2, &[(0, 5)]));
    }

    #[test]
    fn what_the_database_says_counts_even_where_it_is_less() {
        let mut map = at(1, &[(0, 100), (1, 7)]);
        map.replace(at(1, &[(0, 3)]), &[]);
        assert_eq!(map, at(1, &[(0, 3)]));
    }

    proptest! {
        #[test]
        fn notices_in_any_order_and_number_lead_to_the_furthest(
            moves in prop::collection::vec((0_u32..4, 0_u64..50), 0..20),
            order in any::<prop::sample::Index>(),
        ) {
            let mut map = at(1, &[]);
            let start = if moves.is_empty() { 0 } else { order.index(moves.len()) };
            for step in moves[start..].iter().chain(&moves) {
                map.advance(&advance(1, &[*step]));
            }
            for partition in 0..4 {
                let furthest = moves.iter().filter(|m| m.0 == partition).map(|m| m.1).max();
                for offset in 0..50 {
                    let is_shown = furthest.is_some_and(|next| offset < next);
                    prop_assert_eq!(shows(&map, &need(partition, offset)), is_shown);
                }
            }
        }

        /// Notices reach us in the order of the commits; the answer to a question shows the commits
        /// up to some moment between the question and the answer.
        #[test]
        fn an_answer_and_the_notices_meanwhile_together_lose_no_commit(
            commits in prop::collection::vec((0_u32..3, 1_u64..5), 1..20),
            cuts in prop::array::uniform3(any::<prop::sample::Index>()),
        ) {
            let mut cuts = cuts.map(|cut| cut.index(commits.len() + 1));
            cuts.sort_unstable();
            let [asked, seen, answered] = cuts;
            let mut truth = at(1, &[]);
            let mut states = vec![truth.clone()];
            let mut notices = Vec::new();
            let mut next = [0_u64; 3];
            for (partition, records) in &commits {
                let at = &mut next[usize::try_from(*partition).unwrap()];
                *at += records;
                notices.push(advance(1, &[(*partition, *at)]));
                truth.advance(&notices[notices.len() - 1]);
                states.push(truth.clone());
            }
            let mut map = at(1, &[]);
            notices[..answered].iter().for_each(|notice| { map.advance(notice); });
            map.replace(states[seen].clone(), &notices[asked..answered]);
            prop_assert_eq!(&map, &states[answered]);
        }
    }
}
