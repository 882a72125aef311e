//! Verifying an address: a user shows that letters to it reach them.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Says that a user has read the letter to an address of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyEmail {
    /// Which address the letter went to: [`User::email_number`] when it was written.
    pub email_number: u32,
}

/// Why the letter verifies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyEmailError {
    /// There is nobody to verify anything of.
    #[error(transparent)]
    NoSuchUser(#[from] NoSuchUser),
    /// The letter went to another address than the present one.
    #[error("the e-mail address was changed after the letter was written")]
    AnotherAddress,
}

impl Command for VerifyEmail {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = VerifyEmailError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let user = User::of(state)?;
        if user.email_number != self.email_number {
            return Err(VerifyEmailError::AnotherAddress);
        }
        Ok(if user.email_verified { Vec::new() } else { vec![UserEvent::EmailVerified] })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, email_changed, given};
    use super::*;

    const FIRST: VerifyEmail = VerifyEmail { email_number: 1 };
    const SECOND: VerifyEmail = VerifyEmail { email_number: 2 };

    #[test]
    fn a_letter_verifies_the_address_it_went_to() {
        given([ann_registered()]).when(FIRST).then([UserEvent::EmailVerified]);
        given([ann_registered(), email_changed("ann@example.com")])
            .when(SECOND)
            .then([UserEvent::EmailVerified]);
    }

    #[test]
    fn any_letter_to_the_present_address_verifies_it() {
        given([ann_registered(), UserEvent::EmailVerificationRequested])
            .when(FIRST)
            .then([UserEvent::EmailVerified]);
    }

    #[test]
    fn reading_the_letter_again_changes_nothing() {
        given([ann_registered(), UserEvent::EmailVerified]).when(FIRST).then([]);
    }

    #[test]
    fn a_letter_to_an_earlier_address_verifies_nothing() {
        given([ann_registered(), email_changed("ann@example.com")])
            .when(FIRST)
            .then_error(VerifyEmailError::AnotherAddress);
    }

    #[test]
    fn a_letter_to_an_address_that_came_back_verifies_nothing() {
        given([
            ann_registered(),
            email_changed("ann@example.com"),
            email_changed("Ann@example.org"),
        ])
        .when(FIRST)
        .then_error(VerifyEmailError::AnotherAddress);
    }

    #[test]
    fn there_must_be_somebody_to_verify_an_address_of() {
        given([]).when(FIRST).then_error(NoSuchUser::NotFound.into());
        given([ann_registered(), UserEvent::Erased])
            .when(FIRST)
            .then_error(NoSuchUser::Erased.into());
    }
}
