//! Revoking a session: it is ended from outside.

use super::{NoSuchSession, Session, SessionEvent};
use crate::decision::Command;

/// Ends a session, whoever is in it. Who may was found out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokeSession;

impl Command for RevokeSession {
    type State = Session;
    type Event = SessionEvent;
    type Error = NoSuchSession;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        Session::ended_by(state, SessionEvent::Revoked)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{given, logged_in, phone, refreshed};
    use super::*;

    #[test]
    fn a_session_can_be_revoked_at_any_time() {
        given([logged_in()]).when(RevokeSession).then([SessionEvent::Revoked]);
        given([logged_in(), refreshed(2, phone(), 60)])
            .when(RevokeSession)
            .then([SessionEvent::Revoked]);
    }

    #[test]
    fn a_session_that_has_ended_stays_as_it_ended() {
        for end in [
            SessionEvent::LoggedOut,
            SessionEvent::Revoked,
            SessionEvent::ReuseDetected { generation: 1, client: None },
        ] {
            given([logged_in(), end]).when(RevokeSession).then([]);
        }
    }

    #[test]
    fn there_must_be_a_session_to_revoke() {
        given([]).when(RevokeSession).then_error(NoSuchSession::NotFound);
    }
}
