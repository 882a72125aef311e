//! Sessions: somebody is logged in, from one login until it ends.
//!
//! A session is carried on by refresh tokens, each of which is good once: refreshing gives the next
//! **generation** of it. A token that comes again later than a retry can was copied, and ends the
//! session for whoever holds either copy. Nothing here tells of a person: the user is an id.

mod client_mark;
mod event;
mod id;
mod life;
mod log_out;
mod refresh_session;
mod revoke_session;
mod start_session;
mod state;

#[cfg(test)]
mod scenario;
#[cfg(test)]
mod tests;

pub use client_mark::ClientMark;
pub use event::SessionEvent;
pub use id::{SessionId, SessionIdError};
pub use life::SessionLife;
pub use log_out::LogOut;
pub use refresh_session::{RefreshRules, RefreshSession, RefreshSessionError, UserStanding};
pub use revoke_session::RevokeSession;
pub use start_session::{StartSession, StartSessionError};
pub use state::{FIRST_GENERATION, NoSuchSession, STATE_REVISION, Session, SessionEnd, evolve};
