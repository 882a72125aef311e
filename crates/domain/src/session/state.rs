//! What the events of a session add up to.

use super::{ClientMark, SessionEvent};
use crate::Timestamp;
use crate::user::UserId;

/// Raised with every change of [`evolve`] and of [`Session`], so that stored states are folded
/// again.
pub const STATE_REVISION: i32 = 1;

/// The generation of the refresh token that a login gives.
pub const FIRST_GENERATION: u32 = 1;

/// A session as the events of its stream tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user_id: UserId,
    /// Which of their sessions it is one of. It is over, without an event of its own, once theirs
    /// is another.
    pub session_epoch: u32,
    /// The generation of the present refresh token, from [`FIRST_GENERATION`].
    pub generation: u32,
    /// The client that was given the present refresh token.
    pub client: ClientMark,
    /// When they logged in.
    pub started_at: Timestamp,
    /// When the present refresh token was first given.
    pub refreshed_at: Timestamp,
    /// How it ended, if it did. Nothing changes any more.
    pub end: Option<SessionEnd>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionEnd {
    /// They logged out.
    LoggedOut,
    /// They, elsewhere, or somebody who may ended it.
    Revoked,
    /// A refresh token came twice.
    ReuseDetected,
}

/// Why there is no session to do something to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchSession {
    /// Nobody has logged in under this id.
    #[error("there is no such session")]
    NotFound,
}

/// The state after an event. Events before the first and after the end, and a second first, change
/// nothing: no decision makes them, and a fold does not fail.
pub fn evolve(state: Option<Session>, event: SessionEvent) -> Option<Session> {
    match state {
        None => first(event),
        Some(session) if session.end.is_some() => Some(session),
        Some(session) => Some(session.after(event)),
    }
}

fn first(event: SessionEvent) -> Option<Session> {
    match event {
        SessionEvent::LoggedIn { user_id, session_epoch, client, started_at } => Some(Session {
            user_id,
            session_epoch,
            generation: FIRST_GENERATION,
            client,
            started_at,
            refreshed_at: started_at,
            end: None,
        }),
        SessionEvent::Refreshed { .. }
        | SessionEvent::ReuseDetected { .. }
        | SessionEvent::LoggedOut
        | SessionEvent::Revoked => None,
    }
}

impl Session {
    fn after(mut self, event: SessionEvent) -> Self {
        match event {
            SessionEvent::LoggedIn { .. } => {}
            SessionEvent::Refreshed { generation, client, refreshed_at } => {
                self.generation = generation;
                self.client = client;
                self.refreshed_at = refreshed_at;
            }
            SessionEvent::ReuseDetected { .. } => self.end = Some(SessionEnd::ReuseDetected),
            SessionEvent::LoggedOut => self.end = Some(SessionEnd::LoggedOut),
            SessionEvent::Revoked => self.end = Some(SessionEnd::Revoked),
        }
        self
    }
}

impl SessionEnd {
    /// Every way to end.
    pub const ALL: [Self; 3] = [Self::LoggedOut, Self::Revoked, Self::ReuseDetected];

    /// The name under which it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged-out",
            Self::Revoked => "revoked",
            Self::ReuseDetected => "reuse-detected",
        }
    }

    /// The end of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}
