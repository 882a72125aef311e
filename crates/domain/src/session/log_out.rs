//! Logging out: a user ends the session that they are in.

use super::{NoSuchSession, Session, SessionEvent};
use crate::decision::Command;

/// Ends the session in which it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOut;

impl Command for LogOut {
    type State = Session;
    type Event = SessionEvent;
    type Error = NoSuchSession;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        Session::ended_by(state, SessionEvent::LoggedOut)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{given, logged_in, phone, refreshed};
    use super::*;

    #[test]
    fn a_user_can_log_out_at_any_time() {
        given([logged_in()]).when(LogOut).then([SessionEvent::LoggedOut]);
        given([logged_in(), refreshed(2, phone(), 60)])
            .when(LogOut)
            .then([SessionEvent::LoggedOut]);
    }

    #[test]
    fn a_session_that_has_ended_stays_as_it_ended() {
        for end in [
            SessionEvent::LoggedOut,
            SessionEvent::Revoked,
            SessionEvent::ReuseDetected { generation: 1, client: None },
        ] {
            given([logged_in(), end]).when(LogOut).then([]);
        }
    }

    #[test]
    fn there_must_be_a_session_to_log_out_of() {
        given([]).when(LogOut).then_error(NoSuchSession::NotFound);
    }
}
