//! Ending all sessions: whoever is in as a user is out.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Ends every session of a user that has begun so far. Which there are is not known here, so it is
/// an event each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndSessions;

impl Command for EndSessions {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        User::of(state).map(|_| vec![UserEvent::SessionsEnded])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    #[test]
    fn all_sessions_can_be_ended_again_and_again() {
        given([ann_registered()]).when(EndSessions).then([UserEvent::SessionsEnded]);
        given([ann_registered(), UserEvent::SessionsEnded])
            .when(EndSessions)
            .then([UserEvent::SessionsEnded]);
    }

    #[test]
    fn sessions_can_be_ended_of_whoever_is_kept_out() {
        given([ann_registered(), UserEvent::Deactivated])
            .when(EndSessions)
            .then([UserEvent::SessionsEnded]);
    }

    #[test]
    fn there_must_be_somebody_to_end_sessions_of() {
        given([]).when(EndSessions).then_error(NoSuchUser::NotFound);
        given([ann_registered(), UserEvent::Erased])
            .when(EndSessions)
            .then_error(NoSuchUser::Erased);
    }
}
