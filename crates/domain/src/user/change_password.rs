//! Changing the password: a user shows who they are otherwise from now on.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Says that a user has another password. The password stands in no event: its hash is written
/// beside this one. All their sessions end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangePassword {
    /// The epoch in which they showed that it is them. It is counted up with each change, so that
    /// nobody comes in once more with what was overtaken by another one.
    pub session_epoch: u32,
}

/// Why no password is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangePasswordError {
    /// There is nobody who could have one.
    #[error(transparent)]
    NoSuchUser(#[from] NoSuchUser),
    /// Their sessions were ended meanwhile, by another change or for another reason.
    #[error("all sessions of the user were ended meanwhile")]
    Overtaken,
}

impl Command for ChangePassword {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = ChangePasswordError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        if User::of(state)?.session_epoch != self.session_epoch {
            return Err(ChangePasswordError::Overtaken);
        }
        Ok(vec![UserEvent::PasswordChanged])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    fn change_in(session_epoch: u32) -> ChangePassword {
        ChangePassword { session_epoch }
    }

    #[test]
    fn a_password_can_be_changed_again_and_again() {
        given([ann_registered()]).when(change_in(0)).then([UserEvent::PasswordChanged]);
        given([ann_registered(), UserEvent::PasswordChanged])
            .when(change_in(1))
            .then([UserEvent::PasswordChanged]);
    }

    #[test]
    fn of_two_changes_by_one_who_showed_who_they_are_once_the_first_counts() {
        let ends = [UserEvent::PasswordChanged, UserEvent::SessionsEnded, UserEvent::Deactivated];
        for ended in ends {
            given([ann_registered(), ended])
                .when(change_in(0))
                .then_error(ChangePasswordError::Overtaken);
        }
    }

    #[test]
    fn who_is_kept_out_can_change_the_password_and_stays_out() {
        given([ann_registered(), UserEvent::Deactivated])
            .when(change_in(1))
            .then([UserEvent::PasswordChanged]);
    }

    #[test]
    fn there_must_be_somebody_to_change_the_password_of() {
        given([]).when(change_in(0)).then_error(NoSuchUser::NotFound.into());
        given([ann_registered(), UserEvent::Erased])
            .when(change_in(0))
            .then_error(NoSuchUser::Erased.into());
    }
}
