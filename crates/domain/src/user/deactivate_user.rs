//! Deactivating: a user may not come in any more.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Keeps a user out. What is known of them stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeactivateUser;

impl Command for DeactivateUser {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let user = User::of(state)?;
        Ok(if user.active { vec![UserEvent::Deactivated] } else { Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    #[test]
    fn an_active_user_can_be_deactivated() {
        given([ann_registered()]).when(DeactivateUser).then([UserEvent::Deactivated]);
        given([ann_registered(), UserEvent::Deactivated, UserEvent::Reactivated])
            .when(DeactivateUser)
            .then([UserEvent::Deactivated]);
    }

    #[test]
    fn deactivating_again_changes_nothing() {
        given([ann_registered(), UserEvent::Deactivated]).when(DeactivateUser).then([]);
    }

    #[test]
    fn there_must_be_somebody_to_deactivate() {
        given([]).when(DeactivateUser).then_error(NoSuchUser::NotFound);
        given([ann_registered(), UserEvent::Erased])
            .when(DeactivateUser)
            .then_error(NoSuchUser::Erased);
    }
}
