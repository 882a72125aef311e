//! How tests tell what happened, what is asked for and what follows.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::{Email, FullName, RegisterUser, User, UserEvent, Username, evolve};
use crate::decision::Command;
use crate::role::Role;

/// A stream as events have left it.
pub(super) struct Given(Option<User<String>>);

/// What a command came to.
pub(super) struct Outcome<E>(Result<Vec<UserEvent<String>>, E>);

pub(super) fn given(events: impl IntoIterator<Item = UserEvent<String>>) -> Given {
    Given(events.into_iter().fold(None, evolve))
}

impl Given {
    pub(super) fn when<C>(self, command: C) -> Outcome<C::Error>
    where
        C: Command<State = User<String>, Event = UserEvent<String>>,
    {
        Outcome(command.decide(self.0.as_ref()))
    }
}

impl<E: Debug + PartialEq> Outcome<E> {
    #[track_caller]
    pub(super) fn then<const N: usize>(self, events: [UserEvent<String>; N]) {
        assert_eq!(self.0, Ok(Vec::from(events)));
    }

    #[track_caller]
    pub(super) fn then_error(self, error: E) {
        assert_eq!(self.0, Err(error));
    }
}

/// What Ann wishes who then [has registered](ann_registered).
pub(super) fn register_ann() -> RegisterUser {
    RegisterUser {
        username: Username::parse("Ann").unwrap(),
        email: Email::parse("Ann@example.org").unwrap(),
        full_name: Some(FullName::parse("Ann Smith").unwrap()),
        bio: None,
        image: None,
        roles: BTreeSet::from([Role::User]),
    }
}

pub(super) fn ann_registered() -> UserEvent<String> {
    UserEvent::Registered {
        username: "Ann".to_owned(),
        email: "Ann@example.org".to_owned(),
        full_name: Some("Ann Smith".to_owned()),
        bio: None,
        image: None,
        roles: vec![Role::User],
    }
}

pub(super) fn email_changed(email: &str) -> UserEvent<String> {
    UserEvent::EmailChanged { email: email.to_owned() }
}

pub(super) fn granted(role: Role) -> UserEvent<String> {
    UserEvent::RoleGranted { role }
}

pub(super) fn revoked(role: Role) -> UserEvent<String> {
    UserEvent::RoleRevoked { role }
}
