use domain::session::{ClientMark, FIRST_GENERATION, evolve};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::recorded::tests::{Log, all, any_log, at, every_fold, only_row, stream};

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

/// The only row that these events make.
fn row(events: Vec<SessionEvent>) -> SessionRow {
    only_row(fold, events)
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
    assert!(fold(HashMap::new(), log).is_empty());
}

#[test]
fn the_position_is_the_furthest_and_not_that_of_the_newest_event() {
    // Version 3 was logged before 2, and had to wait for it.
    let log = vec![
        at(1, 1, 4, logged_in()),
        at(1, 2, 9, refreshed(2)),
        at(1, 3, 7, SessionEvent::LoggedOut),
    ];
    let rows = fold(HashMap::new(), log);
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

fn log() -> impl Strategy<Value = Log<SessionEvent>> {
    any_log(logged_in(), event())
}

every_fold!(fold, log());

proptest! {
    #[test]
    fn rows_are_what_the_domain_makes_of_each_stream(log in log()) {
        for (id, row) in all(fold, [log.clone()]) {
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
}
