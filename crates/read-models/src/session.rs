//! Sessions.
//!
//! The row is what the domain makes of the events of a session, each folded once and in the order of
//! versions, with log times in place of the clocks of whoever let somebody in. It says no more than
//! the session's own events do: that all sessions of a user were ended at once stands with the user,
//! and that one lapsed is no event.

mod stored;

use std::collections::{BTreeMap, HashMap};

use domain::Timestamp;
use domain::decision::Decided;
use domain::session::{FIRST_GENERATION, SessionEnd, SessionEvent, SessionId};
use domain::user::UserId;

use crate::recorded::{LogPosition, Recorded};

pub use stored::{SessionColumns, StoredSession, find};

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Who logged in.
    pub user_id: UserId,
    /// Which of their sessions it is one of: it is over once theirs is a later one.
    pub session_epoch: u32,
    /// Log time of the login.
    pub started_at: Timestamp,
    /// Log time of the newest exchange of its refresh token, if there was one.
    pub last_refreshed_at: Option<Timestamp>,
    /// How often its refresh token was exchanged.
    pub refreshes: u32,
    /// What ended it, if its own events did. Nothing changes any more but version and position.
    pub ended: Option<Ended>,
    /// Version of the newest event folded.
    pub version: u64,
    /// The furthest of the records folded. Not always that of the newest event: a version that came
    /// late stands behind one that had to wait for it.
    pub position: LogPosition,
}

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub reason: SessionEnd,
    /// Log time of the event.
    pub at: Timestamp,
}

/// What a batch makes of these rows, of which those are given that were there before. Only rows that
/// change are among the result. The events of a session come in the order of their versions.
pub fn fold(
    before: HashMap<SessionId, SessionRow>,
    batch: impl IntoIterator<Item = Recorded<Decided<SessionEvent>>>,
) -> BTreeMap<SessionId, SessionRow> {
    let (mut before, mut after) = (before, BTreeMap::<SessionId, SessionRow>::new());
    for record in batch {
        let id = SessionId(record.event.aggregate_id);
        let folded = after.get(&id).or(before.get(&id)).map_or(0, |row| row.version);
        if record.event.version > folded {
            let row = after.remove(&id).or_else(|| before.remove(&id));
            after.extend(SessionRow::after(row, record).map(|row| (id, row)));
        }
    }
    after
}

impl SessionRow {
    /// The row after an event that it has not folded; nobody has one whose stream begins with anything
    /// but a login.
    fn after(row: Option<Self>, record: Recorded<Decided<SessionEvent>>) -> Option<Self> {
        let Recorded { event: Decided { version, event, .. }, position, log_time, .. } = record;
        let mut row = match row {
            Some(row) => row,
            None => Self::first(&event, position, log_time)?,
        };
        if row.ended.is_none() {
            row.tell(&event, log_time);
        }
        row.version = version;
        row.position = row.position.max(position);
        Some(row)
    }

    fn first(event: &SessionEvent, position: LogPosition, log_time: Timestamp) -> Option<Self> {
        match event {
            SessionEvent::LoggedIn { user_id, session_epoch, .. } => Some(Self {
                user_id: *user_id,
                session_epoch: *session_epoch,
                started_at: log_time,
                last_refreshed_at: None,
                refreshes: 0,
                ended: None,
                version: 0,
                position,
            }),
            SessionEvent::Refreshed { .. }
            | SessionEvent::ReuseDetected { .. }
            | SessionEvent::LoggedOut
            | SessionEvent::Revoked => None,
        }
    }

    fn tell(&mut self, event: &SessionEvent, at: Timestamp) {
        let ended = |reason| Some(Ended { reason, at });
        match event {
            SessionEvent::LoggedIn { .. } => {}
            SessionEvent::Refreshed { generation, .. } => {
                self.refreshes = generation.saturating_sub(FIRST_GENERATION);
                self.last_refreshed_at = Some(at);
            }
            SessionEvent::ReuseDetected { .. } => self.ended = ended(SessionEnd::ReuseDetected),
            SessionEvent::LoggedOut => self.ended = ended(SessionEnd::LoggedOut),
            SessionEvent::Revoked => self.ended = ended(SessionEnd::Revoked),
        }
    }

    /// When it was used last to get a refresh token: at the login, or at the newest exchange.
    pub fn used_at(&self) -> Timestamp {
        self.last_refreshed_at.unwrap_or(self.started_at)
    }
}

#[cfg(test)]
mod tests;
