//! Enrolling a second factor: from now on the password alone lets nobody in.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Says that a user has a second factor. Neither its secret nor a code stands in an event: they are
/// written beside this one. All sessions end with it, so that every session there is of somebody who
/// has one began with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnrolSecondFactor {
    /// The epoch in which they showed that it is them. It is counted up by the enrolment, so that
    /// what was handed out for it is good once.
    pub session_epoch: u32,
}

/// Why none is enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnrolSecondFactorError {
    /// There is nobody who could have one.
    #[error(transparent)]
    NoSuchUser(#[from] NoSuchUser),
    /// They have one: it has to be removed first, by whoever has it.
    #[error("the user has a second factor")]
    AlreadyEnrolled,
    /// Their sessions were ended meanwhile, whatever the reason.
    #[error("all sessions of the user were ended meanwhile")]
    Overtaken,
}

impl Command for EnrolSecondFactor {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = EnrolSecondFactorError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let user = User::of(state)?;
        if user.second_factor {
            return Err(EnrolSecondFactorError::AlreadyEnrolled);
        }
        if user.session_epoch != self.session_epoch {
            return Err(EnrolSecondFactorError::Overtaken);
        }
        Ok(vec![UserEvent::SecondFactorEnrolled, UserEvent::SessionsEnded])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    const FIRST: EnrolSecondFactor = EnrolSecondFactor { session_epoch: 0 };
    const ENROLLED: [UserEvent<String>; 2] =
        [UserEvent::SecondFactorEnrolled, UserEvent::SessionsEnded];

    #[test]
    fn with_a_second_factor_all_sessions_end_that_began_without_it() {
        given([ann_registered()]).when(FIRST).then(ENROLLED);
    }

    #[test]
    fn another_one_takes_its_place_only_once_it_is_removed() {
        let [enrolled, ended] = ENROLLED;
        given([ann_registered(), enrolled.clone(), ended.clone()])
            .when(EnrolSecondFactor { session_epoch: 1 })
            .then_error(EnrolSecondFactorError::AlreadyEnrolled);
        given([ann_registered(), enrolled, ended, UserEvent::SecondFactorRemoved])
            .when(EnrolSecondFactor { session_epoch: 1 })
            .then(ENROLLED);
    }

    #[test]
    fn what_was_handed_out_is_good_once_and_for_nothing_after_sessions_were_ended() {
        let [enrolled, ended] = ENROLLED;
        given([ann_registered(), enrolled, ended, UserEvent::SecondFactorRemoved])
            .when(FIRST)
            .then_error(EnrolSecondFactorError::Overtaken);
        for ended in [UserEvent::PasswordChanged, UserEvent::SessionsEnded, UserEvent::Deactivated]
        {
            given([ann_registered(), ended])
                .when(FIRST)
                .then_error(EnrolSecondFactorError::Overtaken);
        }
    }

    #[test]
    fn there_must_be_somebody_to_have_one() {
        given([]).when(FIRST).then_error(NoSuchUser::NotFound.into());
        given([ann_registered(), UserEvent::Erased])
            .when(FIRST)
            .then_error(NoSuchUser::Erased.into());
    }
}
