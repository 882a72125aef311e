//! Reactivating: a user may come in again.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Lets a user in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReactivateUser;

impl Command for ReactivateUser {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let user = User::of(state)?;
        Ok(if user.active { Vec::new() } else { vec![UserEvent::Reactivated] })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    #[test]
    fn a_deactivated_user_can_be_reactivated() {
        given([ann_registered(), UserEvent::Deactivated])
            .when(ReactivateUser)
            .then([UserEvent::Reactivated]);
    }

    #[test]
    fn reactivating_an_active_user_changes_nothing() {
        given([ann_registered()]).when(ReactivateUser).then([]);
    }

    #[test]
    fn an_erased_user_never_comes_in_again() {
        given([ann_registered(), UserEvent::Deactivated, UserEvent::Erased])
            .when(ReactivateUser)
            .then_error(NoSuchUser::Erased);
    }

    #[test]
    fn there_must_be_somebody_to_reactivate() {
        given([]).when(ReactivateUser).then_error(NoSuchUser::NotFound);
    }
}
