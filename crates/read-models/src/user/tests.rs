use domain::user::ProfileChange;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::recorded::tests::{Log, all, any_log, at, every_fold, only_row, stream};

type Event = UserEvent<Option<String>>;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn registered(username: &str) -> Event {
    UserEvent::Registered {
        username: text(username),
        email: text("ann@example.org"),
        full_name: Some(text("Ann Smith")),
        bio: None,
        image: None,
        roles: vec![Role::User],
    }
}

/// The only row that these events make.
fn row(events: Vec<Event>) -> UserRow {
    only_row(fold, events)
}

#[test]
fn a_row_holds_what_the_events_of_the_user_add_up_to() {
    let found = row(vec![
        registered("Ann"),
        UserEvent::EmailVerified,
        UserEvent::ProfileUpdated {
            change: ProfileChange {
                full_name: Some(None),
                bio: Some(Some(text("Hi"))),
                ..ProfileChange::default()
            },
        },
        UserEvent::RoleGranted { role: Role::Admin },
        UserEvent::Deactivated,
    ]);
    let expected = UserRow {
        username: text("Ann"),
        email: text("ann@example.org"),
        full_name: None,
        bio: text("Hi"),
        image: None,
        roles: BTreeSet::from([Role::User, Role::Admin]),
        email_verified: true,
        active: false,
        erased: false,
        session_epoch: 1,
        version: 5,
        created_at: Timestamp(1_000),
        updated_at: Timestamp(1_004),
        position: LogPosition { epoch: 1, offset: 4 },
    };
    assert!(found == expected, "{found:?}");
}

#[test]
fn what_happens_to_sessions_and_passwords_is_counted_and_shows_nowhere_else() {
    let before = row(vec![registered("Ann")]);
    let after = row(vec![
        registered("Ann"),
        UserEvent::PasswordChanged,
        UserEvent::SecondFactorEnrolled,
        UserEvent::SessionsEnded,
        UserEvent::SecondFactorRemoved,
    ]);
    let moved = UserRow {
        session_epoch: 2,
        version: after.version,
        updated_at: after.updated_at,
        position: after.position,
        ..before
    };
    assert!(after == moved && after.version == 5, "{after:?}");
}

fn must_be_forgotten(row: &UserRow) {
    assert!(row.erased && !row.active && !row.email_verified && row.roles.is_empty(), "{row:?}");
    assert!(row.known_fields().iter().all(|(_, is_known)| !is_known), "{row:?}");
}

#[test]
fn who_is_erased_leaves_a_row_without_anything_personal() {
    let found = row(vec![registered("Ann"), UserEvent::EmailVerified, UserEvent::Erased]);
    must_be_forgotten(&found);
    assert_eq!((found.version, found.created_at), (3, Timestamp(1_000)));
}

#[test]
fn whose_key_is_gone_is_erased_before_the_event_that_says_so() {
    let unreadable = UserEvent::Registered {
        username: None,
        email: None,
        full_name: Some(None),
        bio: None,
        image: None,
        roles: vec![Role::User],
    };
    must_be_forgotten(&row(vec![unreadable.clone()]));
    // What was read before does not outlive the key.
    must_be_forgotten(&row(vec![registered("Ann"), UserEvent::EmailChanged { email: None }]));
    // The event that says so changes nothing but the version: rebuilt it is the same row.
    let events = |first: Event| row(vec![first, UserEvent::Deactivated, UserEvent::Erased]);
    assert!(events(unreadable) == events(registered("Ann")));
}

#[test]
fn a_stream_that_does_not_begin_with_a_registration_is_nobody_s() {
    let log = stream(vec![UserEvent::EmailVerified, UserEvent::Erased]);
    assert!(fold(HashMap::new(), log).is_empty());
}

#[test]
fn the_position_is_the_furthest_and_not_that_of_the_newest_event() {
    // Version 3 was logged before 2, and had to wait for it.
    let log = vec![
        at(1, 1, 4, registered("Ann")),
        at(1, 2, 9, UserEvent::EmailVerified),
        at(1, 3, 7, UserEvent::Deactivated),
    ];
    let rows = fold(HashMap::new(), log);
    let row = &rows[&UserId(Uuid::from_u128(1))];
    assert_eq!((row.version, row.position.offset, row.active), (3, 9, false));
}

#[test]
fn what_is_printed_tells_nothing_of_a_person() {
    let printed = format!("{:?}", row(vec![registered("Ann")]));
    assert!(!printed.contains("Ann") && !printed.contains("example"), "{printed}");
    assert!(printed.contains("full_name"), "{printed}");
}

fn event() -> impl Strategy<Value = Event> {
    let field = || prop::option::of("[a-z]{1,3}").prop_map(Some);
    let role = prop::sample::select(&Role::ALL[..]);
    prop_oneof![
        Just(UserEvent::EmailVerificationRequested),
        Just(UserEvent::EmailVerified),
        (prop::option::of(field()), prop::option::of(field())).prop_map(|(full_name, bio)| {
            let change = ProfileChange { full_name, bio, image: None };
            UserEvent::ProfileUpdated { change }
        }),
        "[a-z]{1,3}".prop_map(|email| UserEvent::EmailChanged { email: Some(email) }),
        Just(UserEvent::Deactivated),
        Just(UserEvent::Reactivated),
        role.clone().prop_map(|role| UserEvent::RoleGranted { role }),
        role.prop_map(|role| UserEvent::RoleRevoked { role }),
        Just(UserEvent::PasswordChanged),
        Just(UserEvent::SessionsEnded),
        Just(UserEvent::SecondFactorEnrolled),
        Just(UserEvent::SecondFactorRemoved),
        Just(UserEvent::Erased),
        Just(UserEvent::EmailChanged { email: None }),
    ]
}

fn log() -> impl Strategy<Value = Log<Event>> {
    any_log(registered("Ann"), event())
}

every_fold!(fold, log());

proptest! {
    #[test]
    fn rows_are_what_the_domain_makes_of_each_stream(log in log()) {
        for (id, row) in all(fold, [log.clone()]) {
            let events = log.iter().filter(|record| record.event.aggregate_id == id.0);
            let folded = events.clone().map(|record| record.event.event.clone());
            let user = folded.fold(None, |user, event| {
                evolve(user, event).and_then(forget_unreadable)
            });
            let user = user.unwrap();
            prop_assert_eq!(row.version, events.count() as u64);
            prop_assert_eq!(row.username, user.username.flatten());
            prop_assert_eq!(row.email, user.email.flatten());
            prop_assert_eq!(row.bio, user.bio.flatten());
            prop_assert_eq!((row.active, row.erased), (user.active, user.erased));
            prop_assert_eq!(row.roles, user.roles);
            let epoch = if user.erased { 0 } else { user.session_epoch };
            prop_assert_eq!(row.session_epoch, epoch);
        }
    }

    /// Whatever came before and comes after.
    #[test]
    fn nothing_of_a_person_is_kept_beside_the_word_that_they_are_erased(log in log()) {
        for row in all(fold, [log]).into_values().filter(|row| row.erased) {
            prop_assert!(row.known_fields().iter().all(|(_, is_known)| !is_known));
            prop_assert!(row.roles.is_empty() && !row.active && !row.email_verified);
        }
    }
}
