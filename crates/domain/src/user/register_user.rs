//! Registering: somebody becomes a user.

use std::collections::BTreeSet;

use super::{Bio, Email, FullName, ImageUrl, User, UserEvent, Username};
use crate::decision::Command;
use crate::role::Role;

/// Makes somebody a user, who is then asked to show that the address is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterUser {
    /// The name they are known by.
    pub username: Username,
    /// Where they get letters.
    pub email: Email,
    /// Their full name.
    pub full_name: Option<FullName>,
    /// What they say of themselves.
    pub bio: Option<Bio>,
    /// The address of their picture.
    pub image: Option<ImageUrl>,
    /// What they may be from the start.
    pub roles: BTreeSet<Role>,
}

/// Why nobody is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegisterUserError {
    /// The id is somebody's.
    #[error("the user is already registered")]
    AlreadyRegistered,
    /// The id was somebody's who was erased.
    #[error("the user was erased")]
    Erased,
}

impl Command for RegisterUser {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = RegisterUserError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        Ok(vec![self.registered(state)?, UserEvent::EmailVerificationRequested])
    }
}

impl RegisterUser {
    /// That they have registered, where the id is nobody's yet.
    pub(super) fn registered(
        self,
        state: Option<&User<String>>,
    ) -> Result<UserEvent<String>, RegisterUserError> {
        match state {
            Some(user) if user.erased => Err(RegisterUserError::Erased),
            Some(_) => Err(RegisterUserError::AlreadyRegistered),
            None => Ok(UserEvent::Registered {
                username: self.username.into_string(),
                email: self.email.into_string(),
                full_name: self.full_name.map(FullName::into_string),
                bio: self.bio.map(Bio::into_string),
                image: self.image.map(ImageUrl::into_string),
                roles: self.roles.into_iter().collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given, register_ann};
    use super::*;

    #[test]
    fn who_registers_is_asked_to_verify_the_address() {
        given([])
            .when(register_ann())
            .then([ann_registered(), UserEvent::EmailVerificationRequested]);
    }

    #[test]
    fn everything_that_was_told_is_kept() {
        let command = RegisterUser {
            bio: Some(Bio::parse("one\ntwo").unwrap()),
            image: Some(ImageUrl::parse("https://example.org/a.png").unwrap()),
            roles: BTreeSet::from([Role::Admin, Role::User]),
            ..register_ann()
        };
        let registered = UserEvent::Registered {
            username: "Ann".to_owned(),
            email: "Ann@example.org".to_owned(),
            full_name: Some("Ann Smith".to_owned()),
            bio: Some("one\ntwo".to_owned()),
            image: Some("https://example.org/a.png".to_owned()),
            roles: vec![Role::User, Role::Admin],
        };
        given([]).when(command).then([registered, UserEvent::EmailVerificationRequested]);
    }

    #[test]
    fn nobody_registers_twice_under_one_id() {
        given([ann_registered()])
            .when(register_ann())
            .then_error(RegisterUserError::AlreadyRegistered);
    }

    #[test]
    fn nobody_takes_the_id_of_an_erased_user() {
        given([ann_registered(), UserEvent::Erased])
            .when(register_ann())
            .then_error(RegisterUserError::Erased);
    }
}
