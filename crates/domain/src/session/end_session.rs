//! Ending a session: its user logs out of it, or it is revoked from outside.

use super::{NoSuchSession, Session, SessionEvent};
use crate::decision::Command;

/// Ends a session, unless it has ended already. Who may was found out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSession {
    /// Its user, who is in it.
    LogOut,
    /// Its user from elsewhere, or somebody else.
    Revoke,
}

impl EndSession {
    fn event(self) -> SessionEvent {
        match self {
            Self::LogOut => SessionEvent::LoggedOut,
            Self::Revoke => SessionEvent::Revoked,
        }
    }
}

impl Command for EndSession {
    type State = Session;
    type Event = SessionEvent;
    type Error = NoSuchSession;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let session = state.ok_or(NoSuchSession::NotFound)?;
        Ok(if session.end.is_none() { vec![self.event()] } else { Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{given, logged_in, phone, refreshed};
    use super::*;

    const EACH: [(EndSession, SessionEvent); 2] = [
        (EndSession::LogOut, SessionEvent::LoggedOut),
        (EndSession::Revoke, SessionEvent::Revoked),
    ];

    #[test]
    fn a_session_can_be_ended_at_any_time() {
        for (command, event) in EACH {
            given([logged_in()]).when(command).then([event.clone()]);
            given([logged_in(), refreshed(2, phone(), 60)]).when(command).then([event]);
        }
    }

    #[test]
    fn a_session_that_has_ended_stays_as_it_ended() {
        for (command, _) in EACH {
            for end in [
                SessionEvent::LoggedOut,
                SessionEvent::Revoked,
                SessionEvent::ReuseDetected { generation: 1, client: None },
            ] {
                given([logged_in(), end]).when(command).then([]);
            }
        }
    }

    #[test]
    fn there_must_be_a_session_to_end() {
        for (command, _) in EACH {
            given([]).when(command).then_error(NoSuchSession::NotFound);
        }
    }
}
