use domain::session::{ClientMark, FIRST_GENERATION, evolve};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

type Rows = HashMap<SessionId, SessionRow>;
type Log = Vec<Recorded<Decided<SessionEvent>>>;

const ANN: UserId = UserId(Uuid::from_u128(7));

fn client() -> ClientMark {
    ClientMark::new("phone".to_owned()).unwrap()
}

fn logged_in() -> SessionEvent {
    let started_at = Timestamp(5);
    SessionEvent::LoggedIn { user_id: ANN, session_epoch: 2, client: client(), started_at }
}

fn refreshed(generation: u32) -> SessionEvent {
    SessionEvent::Refreshed { generation, client: client(), refreshed_at: Timestamp(6) }
}

fn reused(generation: u32) -> SessionEvent {
    SessionEvent::ReuseDetected { generation, client: Some(client()) }
}

fn at(
    session: u8,
    version: u64,
    offset: i64,
    event: SessionEvent,
) -> Recorded<Decided<SessionEvent>> {
    let id = |version: u64| Uuid::from_u128(u128::from(session) << 64 | u128::from(version));
    Recorded {
        event: Decided {
            event_id: id(version),
            aggregate_id: Uuid::from_u128(session.into()),
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

/// The events of one session, one behind the other.
fn stream(events: Vec<SessionEvent>) -> Log {
    let versions = (1..).zip(events);
    versions.map(|(n, event)| at(1, n, n.cast_signed() - 1, event)).collect()
}

fn all(batches: impl IntoIterator<Item = Log>) -> Rows {
    batches.into_iter().fold(Rows::new(), |mut rows, batch| {
        rows.extend(fold(rows.clone(), batch));
        rows
    })
}

/// The only row that these events make.
fn row(events: Vec<SessionEvent>) -> SessionRow {
    let mut rows = all([stream(events)]).into_values();
    let row = rows.next().expect("a row");
    assert!(rows.next().is_none(), "more rows than one");
    row
}

#[test]
fn a_row_holds_log_times_of_what_happened_to_the_session() {
    let found = row(vec![logged_in(), refreshed(2), refreshed(3)]);
    let expected = SessionRow {
        user_id: ANN,
        session_epoch: 2,
        started_at: Timestamp(1_000),
        last_refreshed_at: Some(Timestamp(1_002)),
        refreshes: 2,
        ended: None,
        version: 3,
        position: LogPosition { epoch: 1, offset: 2 },
    };
    assert_eq!(found, expected);
    assert_eq!(found.used_at(), Timestamp(1_002));
    let unused = row(vec![logged_in()]);
    assert_eq!((unused.last_refreshed_at, unused.used_at()), (None, Timestamp(1_000)));
}

#[test]
fn a_row_says_how_its_session_ended() {
    for (event, reason) in [
        (SessionEvent::LoggedOut, SessionEnd::LoggedOut),
        (SessionEvent::Revoked, SessionEnd::Revoked),
        (reused(1), SessionEnd::ReuseDetected),
    ] {
        let found = row(vec![logged_in(), refreshed(2), event]);
        assert_eq!(found.ended, Some(Ended { reason, at: Timestamp(1_002) }));
        assert_eq!((found.refreshes, found.version), (1, 3));
    }
}

#[test]
fn a_session_that_has_ended_stays_as_it_ended() {
    let late = vec![logged_in(), SessionEvent::LoggedOut, refreshed(2), SessionEvent::Revoked];
    let found = row(late);
    assert_eq!(found.ended, row(vec![logged_in(), SessionEvent::LoggedOut]).ended);
    assert_eq!((found.refreshes, found.last_refreshed_at, found.version), (0, None, 4));
}

#[test]
fn a_stream_that_does_not_begin_with_a_login_is_nobody_s() {
    let log = stream(vec![refreshed(2), SessionEvent::LoggedOut]);
    assert!(fold(Rows::new(), log).is_empty());
}

#[test]
fn the_position_is_the_furthest_and_not_that_of_the_newest_event() {
    // Version 3 was logged before 2, and had to wait for it.
    let log = vec![
        at(1, 1, 4, logged_in()),
        at(1, 2, 9, refreshed(2)),
        at(1, 3, 7, SessionEvent::LoggedOut),
    ];
    let rows = fold(Rows::new(), log);
    let row = &rows[&SessionId(Uuid::from_u128(1))];
    assert_eq!((row.version, row.position.offset), (3, 9));
    assert_eq!(row.ended.map(|ended| ended.at), Some(Timestamp(1_007)));
}

fn event() -> impl Strategy<Value = SessionEvent> {
    prop_oneof![
        1 => Just(logged_in()),
        6 => (1_u32..9).prop_map(refreshed),
        1 => (1_u32..9).prop_map(reused),
        1 => Just(SessionEvent::LoggedOut),
        1 => Just(SessionEvent::Revoked),
    ]
}

/// A log of some sessions, each of which begins with a login.
fn log() -> impl Strategy<Value = Log> {
    prop::collection::vec((0u8..4, event()), 1..60).prop_map(|events| {
        let mut versions = BTreeMap::new();
        let placed = (0..).zip(events).map(|(offset, (session, event))| {
            let version = versions.entry(session).or_insert(0);
            *version += 1;
            let event = if *version == 1 { logged_in() } else { event };
            at(session, *version, offset, event)
        });
        placed.collect()
    })
}

proptest! {
    #[test]
    fn rows_do_not_depend_on_how_the_log_was_cut(
        log in log(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(log.len())).collect();
        ends.extend([0, log.len()]);
        ends.sort_unstable();
        let batches = ends.windows(2).map(|pair| log[pair[0]..pair[1]].to_vec());
        prop_assert_eq!(all(batches), all([log.clone()]));
    }

    #[test]
    fn rows_are_what_the_domain_makes_of_each_stream(log in log()) {
        for (id, row) in all([log.clone()]) {
            let events = log.iter().filter(|record| record.event.aggregate_id == id.0);
            let folded = events.clone().map(|record| record.event.event.clone());
            let session = folded.fold(None, evolve).unwrap();
            prop_assert_eq!(row.version, events.count() as u64);
            prop_assert_eq!(row.refreshes, session.generation.saturating_sub(FIRST_GENERATION));
            let began = (session.user_id, session.session_epoch);
            prop_assert_eq!((row.user_id, row.session_epoch), began);
            prop_assert_eq!(row.ended.map(|ended| ended.reason), session.end);
        }
    }

    #[test]
    fn a_position_set_back_changes_nothing(
        log in log(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
    ) {
        let (from, to) = (from.index(log.len()), to.index(log.len()));
        let again = log[from.min(to)..].to_vec();
        prop_assert_eq!(all([log[..=from.max(to)].to_vec(), again]), all([log.clone()]));
        // Also within a batch.
        prop_assert_eq!(all([[log.clone(), log.clone()].concat()]), all([log.clone()]));
        let rows = all([log.clone()]);
        prop_assert!(fold(rows, log).is_empty(), "what changes nothing is written");
    }
}
