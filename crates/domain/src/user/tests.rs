use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::scenario::{ann_registered, email_changed, granted, revoked};
use super::*;
use crate::decision::Command;
use crate::role::Role;

/// Any command, so that sequences of them can be tried.
#[derive(Debug, Clone)]
enum AnyCommand {
    Register(RegisterUser),
    RegisterVerified(RegisterVerifiedUser),
    Verify(VerifyEmail),
    RequestVerification,
    Update(UpdateProfile),
    ChangeEmail(ChangeEmail),
    Deactivate,
    Reactivate,
    Grant(GrantRole),
    Revoke(RevokeRole),
    ChangePassword(ChangePassword),
    ResetPassword(ResetPassword),
    EndSessions,
    EnrolSecondFactor,
    RemoveSecondFactor(RemoveSecondFactor),
    Erase,
}

type State = Option<User<String>>;

impl AnyCommand {
    /// Whether it does again what was done before, however often it is asked for.
    fn repeats(&self) -> bool {
        matches!(self, Self::RequestVerification | Self::EndSessions)
    }

    /// The events that follow; none where the command is refused.
    fn decide(self, state: &State) -> Vec<UserEvent<String>> {
        fn events<C>(command: C, state: &State) -> Vec<UserEvent<String>>
        where
            C: Command<State = User<String>, Event = UserEvent<String>>,
        {
            command.decide(state.as_ref()).unwrap_or_default()
        }
        match self {
            Self::Register(command) => events(command, state),
            Self::RegisterVerified(command) => events(command, state),
            Self::Verify(command) => events(command, state),
            Self::RequestVerification => events(RequestEmailVerification, state),
            Self::Update(command) => events(command, state),
            Self::ChangeEmail(command) => events(command, state),
            Self::Deactivate => events(DeactivateUser, state),
            Self::Reactivate => events(ReactivateUser, state),
            Self::Grant(command) => events(command, state),
            Self::Revoke(command) => events(command, state),
            Self::ChangePassword(command) => events(command, state),
            Self::ResetPassword(command) => events(command, state),
            Self::EndSessions => events(EndSessions, state),
            Self::EnrolSecondFactor => {
                events(EnrolSecondFactor { session_epoch: epoch_of(state) }, state)
            }
            Self::RemoveSecondFactor(command) => events(command, state),
            Self::Erase => events(EraseUser, state),
        }
    }
}

fn epoch_of(state: &State) -> u32 {
    state.as_ref().map_or(0, |user| user.session_epoch)
}

fn a_role() -> impl Strategy<Value = Role> {
    proptest::sample::select(&Role::ALL[..])
}

fn an_email() -> impl Strategy<Value = Email> {
    "[a-b]@[a-b]\\.de".prop_map(|text| Email::parse(text).unwrap())
}

fn a_full_name() -> impl Strategy<Value = FullName> {
    "[A-B]".prop_map(|text| FullName::parse(text).unwrap())
}

prop_compose! {
    fn a_registration()(
        name in "[a-b]{3}", email in an_email(), full_name in of(a_full_name()),
        roles in proptest::collection::btree_set(a_role(), 0..3),
    ) -> RegisterUser {
        let username = Username::parse(name).unwrap();
        RegisterUser { username, email, full_name, bio: None, image: None, roles }
    }
}

fn a_command() -> impl Strategy<Value = AnyCommand> {
    prop_oneof![
        4 => (a_registration(), any::<bool>()).prop_map(|(command, is_verified)| {
            if is_verified {
                AnyCommand::RegisterVerified(RegisterVerifiedUser(command))
            } else {
                AnyCommand::Register(command)
            }
        }),
        4 => (1_u32..4).prop_map(|email_number| AnyCommand::Verify(VerifyEmail { email_number })),
        2 => Just(AnyCommand::RequestVerification),
        4 => of(of(a_full_name())).prop_map(|full_name| {
            AnyCommand::Update(UpdateProfile { full_name, ..UpdateProfile::default() })
        }),
        4 => an_email().prop_map(|email| AnyCommand::ChangeEmail(ChangeEmail { email })),
        2 => Just(AnyCommand::Deactivate),
        2 => Just(AnyCommand::Reactivate),
        4 => a_role().prop_map(|role| AnyCommand::Grant(GrantRole { role })),
        4 => a_role().prop_map(|role| AnyCommand::Revoke(RevokeRole { role })),
        2 => (0_u32..6).prop_map(|session_epoch| {
            AnyCommand::ChangePassword(ChangePassword { session_epoch })
        }),
        4 => (1_u32..4, 0_u32..6).prop_map(|(email_number, session_epoch)| {
            AnyCommand::ResetPassword(ResetPassword { email_number, session_epoch })
        }),
        1 => Just(AnyCommand::EndSessions),
        2 => Just(AnyCommand::EnrolSecondFactor),
        1 => of(0_u32..6).prop_map(|session_epoch| {
            AnyCommand::RemoveSecondFactor(RemoveSecondFactor { session_epoch })
        }),
        1 => Just(AnyCommand::Erase),
    ]
}

/// Any event, also where no decision would make it.
fn an_event() -> impl Strategy<Value = UserEvent<String>> {
    let text = || "[a-c]".prop_map(String::from);
    let registered = (text(), text(), of(text()), of(text()), of(text()), vec(a_role(), 0..3))
        .prop_map(|(username, email, full_name, bio, image, roles)| UserEvent::Registered {
            username,
            email,
            full_name,
            bio,
            image,
            roles,
        });
    let updated =
        (of(of(text())), of(of(text())), of(of(text()))).prop_map(|(full_name, bio, image)| {
            UserEvent::ProfileUpdated { change: ProfileChange { full_name, bio, image } }
        });
    prop_oneof![
        4 => registered,
        4 => updated,
        2 => text().prop_map(|email| UserEvent::EmailChanged { email }),
        2 => a_role().prop_map(|role| UserEvent::RoleGranted { role }),
        2 => a_role().prop_map(|role| UserEvent::RoleRevoked { role }),
        1 => Just(UserEvent::EmailVerificationRequested),
        1 => Just(UserEvent::EmailVerified),
        1 => Just(UserEvent::Deactivated),
        1 => Just(UserEvent::Reactivated),
        1 => Just(UserEvent::PasswordChanged),
        1 => Just(UserEvent::SessionsEnded),
        1 => Just(UserEvent::SecondFactorEnrolled),
        1 => Just(UserEvent::SecondFactorRemoved),
        1 => Just(UserEvent::Erased),
    ]
}

fn fold<P>(events: impl IntoIterator<Item = UserEvent<P>>) -> Option<User<P>> {
    events.into_iter().fold(None, evolve)
}

/// What a state still shows of a person, by the names of the fields.
fn shown(user: &User<String>) -> Vec<&'static str> {
    let mut shown = Vec::new();
    let Ok(_) = user.clone().map(&mut |name, text| {
        shown.push(name);
        Ok::<_, std::convert::Infallible>(text)
    });
    shown
}

#[test]
fn a_user_is_what_the_events_add_up_to() {
    let user = fold([
        ann_registered(),
        UserEvent::EmailVerificationRequested,
        UserEvent::EmailVerified,
        granted(Role::Analyst),
        revoked(Role::User),
        UserEvent::ProfileUpdated {
            change: ProfileChange {
                full_name: Some(None),
                bio: Some(Some("Hi".to_owned())),
                image: None,
            },
        },
        UserEvent::Deactivated,
    ])
    .unwrap();
    assert_eq!(
        user,
        User {
            username: Some("Ann".to_owned()),
            email: Some("Ann@example.org".to_owned()),
            full_name: None,
            bio: Some("Hi".to_owned()),
            image: None,
            email_number: 1,
            email_verified: true,
            active: false,
            roles: BTreeSet::from([Role::Analyst]),
            session_epoch: 1,
            second_factor: false,
            erased: false,
        }
    );
}

#[test]
fn all_sessions_end_with_what_keeps_a_user_out_and_with_nothing_else() {
    let epoch = |events: Vec<UserEvent<String>>| {
        fold([ann_registered()].into_iter().chain(events)).unwrap().session_epoch
    };
    assert_eq!(epoch(vec![]), 0);
    for ended in [UserEvent::Deactivated, UserEvent::PasswordChanged, UserEvent::SessionsEnded] {
        assert_eq!(epoch(vec![ended.clone()]), 1, "{ended:?}");
        assert_eq!(epoch(vec![ended.clone(), UserEvent::Reactivated, ended]), 2);
    }
    for other in [
        UserEvent::EmailVerified,
        email_changed("ann@example.com"),
        UserEvent::Reactivated,
        granted(Role::Admin),
        revoked(Role::User),
        UserEvent::SecondFactorEnrolled,
        UserEvent::SecondFactorRemoved,
    ] {
        assert_eq!(epoch(vec![other.clone()]), 0, "{other:?}");
    }
}

#[test]
fn a_second_factor_is_there_until_it_is_removed_or_the_user_is_erased() {
    let has_one = |events: Vec<UserEvent<String>>| {
        fold([ann_registered()].into_iter().chain(events)).unwrap().second_factor
    };
    let (enrolled, removed) = (UserEvent::SecondFactorEnrolled, UserEvent::SecondFactorRemoved);
    assert!(!has_one(vec![]));
    assert!(has_one(vec![enrolled.clone()]));
    assert!(!has_one(vec![enrolled.clone(), removed.clone()]));
    assert!(has_one(vec![enrolled.clone(), removed, enrolled.clone()]));
    let goes_on = [UserEvent::PasswordChanged, UserEvent::Deactivated, UserEvent::SessionsEnded];
    assert!(has_one([vec![enrolled.clone()], goes_on.to_vec()].concat()));
    assert!(!has_one(vec![enrolled, UserEvent::Erased]));
}

#[test]
fn the_last_session_epoch_is_not_counted_beyond() {
    let user = User { session_epoch: u32::MAX, ..fold([ann_registered()]).unwrap() };
    assert_eq!(evolve(Some(user.clone()), UserEvent::SessionsEnded), Some(user));
}

#[test]
fn another_address_is_not_verified() {
    let user = fold([ann_registered(), UserEvent::EmailVerified, email_changed("ann@example.com")])
        .unwrap();
    assert_eq!((user.email_number, user.email_verified), (2, false));
    assert_eq!(user.email.as_deref(), Some("ann@example.com"));
}

#[test]
fn the_audit_names_what_changed_and_never_tells_it() {
    let changed = |event: UserEvent<String>| event.what_changed();
    assert_eq!(changed(ann_registered()), ["username", "email", "full_name", "roles"]);
    assert_eq!(changed(UserEvent::EmailVerificationRequested), [""; 0]);
    assert_eq!(changed(UserEvent::EmailVerified), ["email_verified"]);
    assert_eq!(changed(email_changed("a@b.de")), ["email", "email_verified"]);
    assert_eq!(changed(granted(Role::Admin)), ["roles"]);
    assert_eq!(changed(UserEvent::Deactivated), ["active"]);
    assert_eq!(changed(UserEvent::PasswordChanged), ["password"]);
    assert_eq!(changed(UserEvent::SessionsEnded), ["sessions"]);
    assert_eq!(changed(UserEvent::SecondFactorEnrolled), ["second_factor"]);
    assert_eq!(changed(UserEvent::SecondFactorRemoved), ["second_factor"]);
    let change = ProfileChange { bio: Some(None), ..ProfileChange::default() };
    assert_eq!(changed(UserEvent::ProfileUpdated { change }), ["bio"]);
    let erased = changed(UserEvent::Erased);
    assert!(field::ALL.iter().all(|name| erased.contains(name)));
}

proptest! {
    #[test]
    fn what_was_decided_is_not_decided_again(commands in vec(a_command(), 0..40)) {
        let mut state = None;
        for command in commands {
            let events = command.clone().decide(&state);
            state = events.iter().cloned().fold(state, evolve);
            if !command.repeats() {
                prop_assert_eq!(command.decide(&state), []);
            }
        }
    }

    /// Whatever happens meanwhile, and whoever asks with what they were told in another epoch.
    #[test]
    fn in_an_epoch_at_most_one_password_is_chosen(commands in vec(a_command(), 0..60)) {
        let mut state: State = None;
        let mut chosen_in = BTreeSet::new();
        for command in commands {
            let epoch = epoch_of(&state);
            let is_unverified = state.as_ref().is_some_and(|user| !user.email_verified);
            let asked_in = match &command {
                AnyCommand::ChangePassword(command) => Some(command.session_epoch),
                AnyCommand::ResetPassword(command) => Some(command.session_epoch),
                _ => None,
            };
            let is_reset = matches!(command, AnyCommand::ResetPassword(_));
            let events = command.decide(&state);
            if events.contains(&UserEvent::PasswordChanged) {
                prop_assert_eq!(asked_in, Some(epoch));
                prop_assert!(chosen_in.insert(epoch));
                let verifies = events.contains(&UserEvent::EmailVerified);
                prop_assert_eq!(verifies, is_reset && is_unverified);
            }
            state = events.into_iter().fold(state, evolve);
        }
    }

    #[test]
    fn every_event_of_a_decision_says_what_follows_from_it(commands in vec(a_command(), 0..40)) {
        let mut state: State = None;
        for command in commands {
            let events = command.decide(&state);
            let is_first = state.is_none();
            for (place, event) in events.iter().enumerate() {
                let is_registration = matches!(event, UserEvent::Registered { .. });
                prop_assert_eq!(is_registration, is_first && place == 0);
            }
            let after = events.iter().cloned().fold(state.clone(), evolve);
            prop_assert_eq!(after == state, events.is_empty()
                || events == [UserEvent::EmailVerificationRequested]);
            state = after;
        }
    }

    #[test]
    fn an_erased_user_shows_nothing_of_a_person_whatever_comes(
        before in vec(an_event(), 0..10), after in vec(an_event(), 0..10),
    ) {
        let registered = fold([ann_registered()]);
        let erased = before.into_iter().chain([UserEvent::Erased]).fold(registered, evolve);
        let later = after.into_iter().fold(erased.clone(), evolve);
        prop_assert_eq!(shown(later.as_ref().unwrap()), [""; 0]);
        prop_assert_eq!(later, erased);
    }

    #[test]
    fn nobody_is_there_before_they_registered(events in vec(an_event(), 0..10)) {
        let registered = events.iter().any(|event| matches!(event, UserEvent::Registered { .. }));
        prop_assert_eq!(fold(events).is_some(), registered);
    }

    #[test]
    fn a_fold_of_other_forms_is_the_other_form_of_the_fold(events in vec(an_event(), 0..20)) {
        fn form(name: &'static str, text: String) -> Result<(&'static str, String), ()> {
            Ok((name, text))
        }
        let of_forms = fold(events.iter().cloned().map(|event| event.map(&mut form).unwrap()));
        let form_of = fold(events).map(|user| user.map(&mut form).unwrap());
        prop_assert_eq!(of_forms, form_of);
    }

    #[test]
    fn a_form_that_fails_fails_the_whole(event in an_event()) {
        let mut visited = 0;
        let refused = event.clone().map(&mut |_, _| { visited += 1; Err::<(), _>("no form") });
        prop_assert_eq!(refused.is_err(), visited > 0);
    }
}
