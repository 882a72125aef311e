//! Erasing: a user is forgotten.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Forgets a user. With this event the key to their personal fields is to be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EraseUser;

impl Command for EraseUser {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        match User::of(state) {
            Ok(_) => Ok(vec![UserEvent::Erased]),
            Err(NoSuchUser::Erased) => Ok(Vec::new()),
            Err(NoSuchUser::NotFound) => Err(NoSuchUser::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    #[test]
    fn a_user_can_be_erased_active_or_not() {
        given([ann_registered()]).when(EraseUser).then([UserEvent::Erased]);
        given([ann_registered(), UserEvent::Deactivated]).when(EraseUser).then([UserEvent::Erased]);
    }

    #[test]
    fn erasing_again_changes_nothing() {
        given([ann_registered(), UserEvent::Erased]).when(EraseUser).then([]);
    }

    #[test]
    fn there_must_be_somebody_to_erase() {
        given([]).when(EraseUser).then_error(NoSuchUser::NotFound);
    }
}
