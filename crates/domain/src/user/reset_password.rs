//! Resetting the password: who has forgotten it shows by a mail that it is them.

use super::{ChangePassword, ChangePasswordError, NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Gives a user another password, who has read a mail to their address: by that they have also shown that
/// it is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetPassword {
    /// Which address of theirs the mail went to: another one has been changed since.
    pub email_number: u32,
    /// The epoch in which it was sent: it is good for one change, and for none once sessions were
    /// ended.
    pub session_epoch: u32,
}

/// Why the mail is good for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetPasswordError {
    /// There is nobody whom it was sent to.
    #[error(transparent)]
    NoSuchUser(#[from] NoSuchUser),
    /// It was used, or what it is about was changed since.
    #[error("the password, the address or the sessions of the user were changed since")]
    Overtaken,
}

impl Command for ResetPassword {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = ResetPasswordError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let user = User::of(state)?;
        if user.email_number != self.email_number {
            return Err(ResetPasswordError::Overtaken);
        }
        let change = ChangePassword { session_epoch: self.session_epoch };
        let changed = change.decide(state).map_err(|error| match error {
            ChangePasswordError::NoSuchUser(error) => ResetPasswordError::NoSuchUser(error),
            ChangePasswordError::Overtaken => ResetPasswordError::Overtaken,
        })?;
        let verified = (!user.email_verified).then_some(UserEvent::EmailVerified);
        Ok(verified.into_iter().chain(changed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, email_changed, given};
    use super::*;

    const FIRST: ResetPassword = ResetPassword { email_number: 1, session_epoch: 0 };

    #[test]
    fn who_reads_mails_to_the_address_may_have_another_password_and_has_shown_that_it_is_theirs() {
        given([ann_registered()])
            .when(FIRST)
            .then([UserEvent::EmailVerified, UserEvent::PasswordChanged]);
        given([ann_registered(), UserEvent::EmailVerified])
            .when(FIRST)
            .then([UserEvent::PasswordChanged]);
    }

    #[test]
    fn a_mail_is_good_for_one_change() {
        given([ann_registered(), UserEvent::PasswordChanged])
            .when(FIRST)
            .then_error(ResetPasswordError::Overtaken);
    }

    #[test]
    fn a_mail_is_good_for_nothing_once_sessions_were_ended_or_the_address_is_another() {
        for event in [
            UserEvent::SessionsEnded,
            UserEvent::Deactivated,
            email_changed("ann@example.com"),
            email_changed("Ann@example.org"),
        ] {
            given([ann_registered(), event]).when(FIRST).then_error(ResetPasswordError::Overtaken);
        }
        let readmitted = [ann_registered(), UserEvent::Deactivated, UserEvent::Reactivated];
        given(readmitted).when(FIRST).then_error(ResetPasswordError::Overtaken);
    }

    #[test]
    fn there_must_be_somebody_whom_it_was_sent_to() {
        given([]).when(FIRST).then_error(NoSuchUser::NotFound.into());
        given([ann_registered(), UserEvent::Erased])
            .when(FIRST)
            .then_error(NoSuchUser::Erased.into());
    }
}
