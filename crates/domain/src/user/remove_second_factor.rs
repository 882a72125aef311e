//! Removing the second factor: the password lets in again.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Takes the second factor of a user away, if they have one. Sessions go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveSecondFactor {
    /// The epoch in which they had none, or showed a code of it; `None` where somebody else decides who
    /// may. It is counted up with each enrolment, so that none goes of which nobody has shown a code.
    pub session_epoch: Option<u32>,
}

/// Why none is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RemoveSecondFactorError {
    /// There is nobody who could have one.
    #[error(transparent)]
    NoSuchUser(#[from] NoSuchUser),
    /// Their sessions were ended meanwhile, by enrolling one or for another reason.
    #[error("all sessions of the user were ended meanwhile")]
    Overtaken,
}

impl Command for RemoveSecondFactor {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = RemoveSecondFactorError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let user = User::of(state)?;
        if self.session_epoch.is_some_and(|epoch| epoch != user.session_epoch) {
            return Err(RemoveSecondFactorError::Overtaken);
        }
        Ok(if user.second_factor { vec![UserEvent::SecondFactorRemoved] } else { Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    const BY_ANOTHER: RemoveSecondFactor = RemoveSecondFactor { session_epoch: None };

    fn own_in(session_epoch: u32) -> RemoveSecondFactor {
        RemoveSecondFactor { session_epoch: Some(session_epoch) }
    }

    #[test]
    fn a_second_factor_can_be_removed_also_of_whoever_is_kept_out() {
        let (enrolled, removed) = (UserEvent::SecondFactorEnrolled, UserEvent::SecondFactorRemoved);
        given([ann_registered(), enrolled.clone()]).when(BY_ANOTHER).then([removed.clone()]);
        given([ann_registered(), enrolled.clone()]).when(own_in(0)).then([removed.clone()]);
        given([ann_registered(), enrolled, UserEvent::Deactivated])
            .when(BY_ANOTHER)
            .then([removed]);
    }

    #[test]
    fn of_whoever_has_none_nothing_is_removed() {
        given([ann_registered()]).when(BY_ANOTHER).then([]);
        given([ann_registered()]).when(own_in(0)).then([]);
        let (enrolled, removed) = (UserEvent::SecondFactorEnrolled, UserEvent::SecondFactorRemoved);
        given([ann_registered(), enrolled, removed]).when(BY_ANOTHER).then([]);
    }

    #[test]
    fn one_that_was_enrolled_meanwhile_is_not_removed_by_who_had_none_or_another() {
        let (enrolled, ended) = (UserEvent::SecondFactorEnrolled, UserEvent::SessionsEnded);
        given([ann_registered(), enrolled.clone(), ended.clone()])
            .when(own_in(0))
            .then_error(RemoveSecondFactorError::Overtaken);
        given([ann_registered(), enrolled, ended])
            .when(own_in(1))
            .then([UserEvent::SecondFactorRemoved]);
    }

    #[test]
    fn there_must_be_somebody_to_have_one() {
        for command in [BY_ANOTHER, own_in(0)] {
            given([]).when(command).then_error(NoSuchUser::NotFound.into());
            given([ann_registered(), UserEvent::Erased])
                .when(command)
                .then_error(NoSuchUser::Erased.into());
        }
    }
}
