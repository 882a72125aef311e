//! Asking for another letter to verify an address.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Asks for a letter that lets the user show that the present address is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEmailVerification;

/// Why no letter is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestEmailVerificationError {
    /// There is nobody to write to.
    #[error(transparent)]
    NoSuchUser(#[from] NoSuchUser),
    /// The address is known to be theirs.
    #[error("the e-mail address is already verified")]
    AlreadyVerified,
}

impl Command for RequestEmailVerification {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = RequestEmailVerificationError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        if User::of(state)?.email_verified {
            return Err(RequestEmailVerificationError::AlreadyVerified);
        }
        Ok(vec![UserEvent::EmailVerificationRequested])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, email_changed, given};
    use super::*;

    #[test]
    fn a_letter_can_be_asked_for_again_and_again() {
        given([ann_registered(), UserEvent::EmailVerificationRequested])
            .when(RequestEmailVerification)
            .then([UserEvent::EmailVerificationRequested]);
    }

    #[test]
    fn another_address_needs_another_letter() {
        given([ann_registered(), UserEvent::EmailVerified, email_changed("ann@example.com")])
            .when(RequestEmailVerification)
            .then([UserEvent::EmailVerificationRequested]);
    }

    #[test]
    fn a_verified_address_needs_no_letter() {
        given([ann_registered(), UserEvent::EmailVerified])
            .when(RequestEmailVerification)
            .then_error(RequestEmailVerificationError::AlreadyVerified);
    }

    #[test]
    fn there_must_be_somebody_to_write_to() {
        given([]).when(RequestEmailVerification).then_error(NoSuchUser::NotFound.into());
        given([ann_registered(), UserEvent::Erased])
            .when(RequestEmailVerification)
            .then_error(NoSuchUser::Erased.into());
    }
}
