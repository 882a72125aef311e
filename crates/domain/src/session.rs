//! Sessions: somebody is logged in, from one login until it ends.
//!
//! A session is carried on by refresh tokens, each of which is good once: refreshing gives the next
//! **generation** of it. A token that comes again later than a retry can was copied, and ends the
//! session for whoever holds either copy. Nothing here tells of a person: the user is an id.

mod client_mark;
mod end_session;
mod event;
mod id;
mod life;
mod refresh_session;
mod start_session;
mod state;

#[cfg(test)]
mod scenario;
#[cfg(test)]
mod tests;

pub use client_mark::ClientMark;
pub use end_session::EndSession;
pub use event::SessionEvent;
pub use id::{SessionId, SessionIdError};
pub use life::SessionLife;
pub use refresh_session::{RefreshRules, RefreshSession, RefreshSessionError, UserStanding};
pub use start_session::{StartSession, StartSessionError};
pub use state::{FIRST_GENERATION, NoSuchSession, STATE_REVISION, Session, SessionEnd, evolve};
