//! Logs of streams as tests make them, and what holds of every fold of them into rows.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::Hash;

use domain::Timestamp;
use domain::decision::Decided;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::{LogPosition, Recorded};

pub(crate) type Log<E> = Vec<Recorded<Decided<E>>>;

pub(crate) fn at<E>(stream: u8, version: u64, offset: i64, event: E) -> Recorded<Decided<E>> {
    let id = |version: u64| Uuid::from_u128(u128::from(stream) << 64 | u128::from(version));
    Recorded {
        event: Decided {
            event_id: id(version),
            aggregate_id: Uuid::from_u128(stream.into()),
            version,
            previous_id: (version > 1).then(|| id(version - 1)),
            occurred_at: Timestamp(0),
            event,
        },
        partition: 0,
        position: LogPosition { epoch: 1, offset },
        log_time: Timestamp(1_000 + offset),
    }
}

/// The events of one stream, one behind the other.
pub(crate) fn stream<E>(events: Vec<E>) -> Log<E> {
    let versions = (1..).zip(events);
    versions.map(|(n, event)| at(1, n, n.cast_signed() - 1, event)).collect()
}

/// A log of some streams, each of which begins with the same event.
pub(crate) fn any_log<E: Clone + Debug>(
    first: E,
    event: impl Strategy<Value = E>,
) -> impl Strategy<Value = Log<E>> {
    vec((0_u8..4, event), 1..60).prop_map(move |events| {
        let mut versions = BTreeMap::new();
        let placed = (0..).zip(events).map(|(offset, (stream, event))| {
            let version = versions.entry(stream).or_insert(0);
            *version += 1;
            let event = if *version == 1 { first.clone() } else { event };
            at(stream, *version, offset, event)
        });
        placed.collect()
    })
}

/// The rows that batches make one after the other.
pub(crate) fn all<Id: Clone + Eq + Hash, Row: Clone, E>(
    fold: impl Fn(HashMap<Id, Row>, Log<E>) -> BTreeMap<Id, Row>,
    batches: impl IntoIterator<Item = Log<E>>,
) -> HashMap<Id, Row> {
    batches.into_iter().fold(HashMap::new(), |mut rows, batch| {
        rows.extend(fold(rows.clone(), batch));
        rows
    })
}

/// The only row that the events of one stream make.
pub(crate) fn only_row<Id: Clone + Eq + Hash, Row: Clone, E>(
    fold: impl Fn(HashMap<Id, Row>, Log<E>) -> BTreeMap<Id, Row>,
    events: Vec<E>,
) -> Row {
    let mut rows = all(fold, [stream(events)]).into_values();
    let row = rows.next().expect("a row");
    assert!(rows.next().is_none(), "more rows than one");
    row
}

/// The tests of what holds of every fold of such logs.
macro_rules! every_fold {
    ($fold:ident, $log:expr) => {
        mod every_fold {
            use proptest::collection::vec;
            use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

            use super::*;
            use $crate::recorded::tests::all;

            proptest! {
                #[test]
                fn rows_do_not_depend_on_how_the_log_was_cut(
                    log in $log, cuts in vec(any::<prop::sample::Index>(), 0..6),
                ) {
                    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(log.len())).collect();
                    ends.extend([0, log.len()]);
                    ends.sort_unstable();
                    let batches = ends.windows(2).map(|pair| log[pair[0]..pair[1]].to_vec());
                    prop_assert_eq!(all($fold, batches), all($fold, [log.clone()]));
                }

                #[test]
                fn a_position_set_back_changes_nothing(
                    log in $log, from in any::<prop::sample::Index>(),
                    to in any::<prop::sample::Index>(),
                ) {
                    let rows = all($fold, [log.clone()]);
                    let (from, to) = (from.index(log.len()), to.index(log.len()));
                    let again = log[from.min(to)..].to_vec();
                    prop_assert_eq!(all($fold, [log[..=from.max(to)].to_vec(), again]), rows.clone());
                    // Also within a batch.
                    prop_assert_eq!(all($fold, [[log.clone(), log.clone()].concat()]), rows.clone());
                    prop_assert!($fold(rows, log).is_empty(), "what changes nothing is written");
                }
            }
        }
    };
}

pub(crate) use every_fold;
