use std::collections::BTreeSet;

use domain::session::{SessionEnd, SessionId};
use domain::user::UserId;
use proptest::prelude::*;
use read_models::recorded::LogPosition;
use uuid::Uuid;

use super::*;

const LIFE: SessionLife =
    SessionLife { idle: Duration::from_secs(10), longest: Duration::from_secs(60) };

const NOW: Timestamp = Timestamp(1_000_000_000);

fn seconds_ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.micros() - seconds * 1_000_000)
}

fn row(session_epoch: u32, started: i64, refreshed: Option<i64>) -> SessionRow {
    SessionRow {
        user_id: UserId(Uuid::from_u128(7)),
        session_epoch,
        started_at: seconds_ago(started),
        last_refreshed_at: refreshed.map(seconds_ago),
        refreshes: u32::from(refreshed.is_some()),
        ended: None,
        version: 2,
        position: LogPosition { epoch: 1, offset: 5 },
    }
}

fn user(session_epoch: u32) -> UserRow {
    UserRow {
        username: None,
        email: None,
        full_name: None,
        bio: None,
        image: None,
        roles: BTreeSet::new(),
        email_verified: false,
        active: true,
        erased: false,
        session_epoch,
        version: 1,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        position: LogPosition { epoch: 1, offset: 0 },
    }
}

fn holding(user: Option<&UserRow>) -> Holding {
    Holding::of(user, NOW, LIFE)
}

#[test]
fn a_session_holds_until_it_was_not_used_for_too_long_or_has_lasted_too_long() {
    let holding = holding(Some(&user(2)));
    for (started, refreshed, lapsed) in [
        (9, None, None),
        (10, None, Some(0)),
        (30, Some(9), None),
        (30, Some(12), Some(2)),
        (59, Some(1), None),
        (60, Some(1), Some(0)),
        (75, Some(1), Some(15)),
    ] {
        let end = lapsed.map(|seconds| (LAPSED, Some(seconds_ago(seconds))));
        assert_eq!(holding.end(&row(2, started, refreshed)), end, "{started} {refreshed:?}");
    }
}

#[test]
fn all_sessions_of_a_user_end_with_their_epoch() {
    let fresh = |epoch| row(epoch, 1, None);
    let now = holding(Some(&user(2)));
    assert_eq!(now.end(&fresh(1)), Some((ALL_ENDED, None)));
    assert_eq!(now.end(&fresh(2)), None);
    // The view of users is behind.
    assert_eq!(now.end(&fresh(3)), None);
    assert_eq!(holding(None).end(&fresh(0)), None);
}

#[test]
fn who_may_not_come_in_has_no_session() {
    let out = [UserRow { active: false, ..user(2) }, UserRow { erased: true, ..user(0) }];
    for user in out {
        for epoch in [0, 2, u32::MAX] {
            let end = holding(Some(&user)).end(&row(epoch, 1, None));
            assert_eq!(end, Some((ALL_ENDED, None)));
        }
    }
}

#[test]
fn what_a_session_s_own_events_say_comes_before_what_is_derived() {
    let ended = Ended { reason: SessionEnd::Revoked, at: seconds_ago(100) };
    let row = SessionRow { ended: Some(ended), ..row(0, 200, None) };
    assert_eq!(holding(Some(&user(2))).end(&row), Some(("revoked", Some(seconds_ago(100)))));
}

fn a_session() -> StoredSession {
    let id = SessionId(Uuid::from_u128(9));
    StoredSession { id, generation: 1, row: row(2, 12, Some(3)) }
}

/// As readers get it.
pub(in crate::session) fn a_listed_session() -> String {
    holding(Some(&user(2))).shown(&a_session(), None)
}

#[test]
fn a_session_is_shown_with_what_became_of_it() {
    let session = a_session();
    let own = session.id.to_string();
    let shown = |user, own| holding(Some(&user)).shown(&session, own);
    assert_eq!(
        shown(user(2), Some(own.as_str())),
        "{\"id\":\"00000000-0000-0000-0000-000000000009\",\
         \"user_id\":\"00000000-0000-0000-0000-000000000007\",\"current\":true,\
         \"state\":\"active\",\"started_at\":\"1970-01-01T00:16:28.000000Z\",\
         \"last_refreshed_at\":\"1970-01-01T00:16:37.000000Z\",\"refreshes\":1,\
         \"ended_at\":null,\"end_reason\":null,\"version\":2}"
    );
    let ended: Value = serde_json::from_str(&shown(user(3), None)).unwrap();
    assert_eq!((&ended["state"], &ended["current"]), (&"ended".into(), &false.into()));
    assert_eq!((&ended["end_reason"], &ended["ended_at"]), (&"all-ended".into(), &Value::Null));
}

proptest! {
    /// A page of active sessions, one of ended ones and what is shown of each agree.
    #[test]
    fn the_bounds_of_a_statement_leave_out_exactly_what_has_ended(
        epochs in (0_u32..4, 0_u32..4), started in 0_i64..90,
        refreshed in prop::option::of(0_i64..90), active: bool,
    ) {
        let (of_user, of_session) = epochs;
        let refreshed = refreshed.map(|seconds| seconds.min(started));
        let row = row(of_session, started, refreshed);
        let user = UserRow { active, ..user(of_user) };
        let holding = holding(Some(&user));
        let bounds = holding.bounds();
        let is_within = i64::from(row.session_epoch) >= bounds.epoch
            && row.started_at > bounds.started_after
            && row.used_at() > bounds.used_after;
        prop_assert_eq!(is_within, holding.end(&row).is_none());
    }
}
