//! Starting a session: somebody has shown who they are.

use super::{ClientMark, Session, SessionEvent};
use crate::Timestamp;
use crate::decision::Command;
use crate::user::UserId;

/// Logs a user in. That they are who they say and may come in was found out before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartSession {
    /// Who.
    pub user_id: UserId,
    /// Their [`session_epoch`](crate::user::User::session_epoch) when that was found out. Where it
    /// has moved on meanwhile, the session is over as it begins.
    pub session_epoch: u32,
    /// Their client.
    pub client: ClientMark,
    /// When.
    pub at: Timestamp,
}

/// Why no session is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartSessionError {
    /// The id is another session's.
    #[error("the session has already been started")]
    AlreadyStarted,
}

impl Command for StartSession {
    type State = Session;
    type Event = SessionEvent;
    type Error = StartSessionError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        if state.is_some() {
            return Err(StartSessionError::AlreadyStarted);
        }
        let Self { user_id, session_epoch, client, at: started_at } = self;
        Ok(vec![SessionEvent::LoggedIn { user_id, session_epoch, client, started_at }])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ANN, EPOCH, after, given, logged_in, phone};
    use super::*;

    fn start() -> StartSession {
        StartSession { user_id: ANN, session_epoch: EPOCH, client: phone(), at: after(0) }
    }

    #[test]
    fn who_logs_in_has_a_session() {
        given([]).when(start()).then([logged_in()]);
    }

    #[test]
    fn nobody_takes_the_id_of_another_session() {
        given([logged_in()]).when(start()).then_error(StartSessionError::AlreadyStarted);
        given([logged_in(), SessionEvent::LoggedOut])
            .when(start())
            .then_error(StartSessionError::AlreadyStarted);
    }
}
