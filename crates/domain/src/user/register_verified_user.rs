//! Registering somebody for whose address somebody else vouches.

use super::{RegisterUser, RegisterUserError, User, UserEvent};
use crate::decision::Command;

/// Makes somebody a user whose address is known to be theirs: nobody asks them to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterVerifiedUser(
    /// What is told of them.
    pub RegisterUser,
);

impl Command for RegisterVerifiedUser {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = RegisterUserError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        Ok(vec![self.0.registered(state)?, UserEvent::EmailVerified])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given, register_ann};
    use super::*;

    fn register_verified_ann() -> RegisterVerifiedUser {
        RegisterVerifiedUser(register_ann())
    }

    #[test]
    fn whose_address_is_known_is_not_asked_to_verify_it() {
        given([]).when(register_verified_ann()).then([ann_registered(), UserEvent::EmailVerified]);
    }

    #[test]
    fn nobody_registers_twice_under_one_id() {
        given([ann_registered()])
            .when(register_verified_ann())
            .then_error(RegisterUserError::AlreadyRegistered);
    }

    #[test]
    fn nobody_takes_the_id_of_an_erased_user() {
        given([ann_registered(), UserEvent::Erased])
            .when(register_verified_ann())
            .then_error(RegisterUserError::Erased);
    }
}
