//! What can happen to a session.

use super::ClientMark;
use crate::Timestamp;
use crate::user::UserId;

/// Every event of a session's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// A user logged in, and was given the refresh token of the first generation: always the first
    /// event, and never again.
    LoggedIn {
        /// Who.
        user_id: UserId,
        /// Which of their sessions it is one of: [`crate::user::User::session_epoch`] when they
        /// logged in.
        session_epoch: u32,
        /// Their client.
        client: ClientMark,
        /// When, by the clock of whoever let them in.
        started_at: Timestamp,
    },
    /// The refresh token was exchanged for the next.
    Refreshed {
        /// The generation of the next.
        generation: u32,
        /// The client that exchanged it.
        client: ClientMark,
        /// When, by the clock of whoever exchanged it.
        refreshed_at: Timestamp,
    },
    /// A refresh token came that had been exchanged before: it was copied. Ends the session.
    ReuseDetected {
        /// The generation of what came.
        generation: u32,
        /// The client that sent it, where it is known.
        client: Option<ClientMark>,
    },
    /// The user logged out. Ends the session.
    LoggedOut,
    /// The user, elsewhere, or somebody who may ended the session.
    Revoked,
}

impl SessionEvent {
    /// The names of what the event changed of a session, for the audit: never their values.
    pub fn what_changed(&self) -> Vec<&'static str> {
        match self {
            Self::LoggedIn { .. } => vec![
                "user_id",
                "session_epoch",
                "generation",
                "client",
                "started_at",
                "refreshed_at",
            ],
            Self::Refreshed { .. } => vec!["generation", "client", "refreshed_at"],
            Self::ReuseDetected { .. } | Self::LoggedOut | Self::Revoked => vec!["end"],
        }
    }
}
