//! Whether a session is active. Its row says what its own events did; that all sessions of its user were
//! ended at once stands in the user's row, and that it lapsed is told by time alone.

use std::time::Duration;

use domain::Timestamp;
use domain::session::SessionLife;
use read_models::json_object::JsonObject;
use read_models::session::{Ended, SessionRow, StoredSession};
use read_models::user::UserRow;
use serde_json::Value;

use super::query::State;

/// An epoch that no session begins in.
const NONE: i64 = 1 << 32;

/// What ended a session without an event of its own: all sessions of its user were.
const ALL_ENDED: &str = "all-ended";

/// What ended a session without an event of its own: nobody refreshed it, or it has lasted long enough.
const LAPSED: &str = "lapsed";

/// The ends that no event of a session tells.
pub(super) const WITHOUT_EVENT: [&str; 2] = [ALL_ENDED, LAPSED];

/// Which sessions of a user are active at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Those that began in this epoch or a later one: the view of users may be behind.
    epoch: i64,
    now: Timestamp,
    life: SessionLife,
}

/// The same for a statement: sessions that began in this epoch or later, and that began and were used
/// last after these times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) epoch: i64,
    pub(super) started_after: Timestamp,
    pub(super) used_after: Timestamp,
}

/// How a session ended, and when, as far as that is known.
type End = (&'static str, Option<Timestamp>);

impl Holding {
    /// As the user's row says, if the view has one already.
    pub(super) fn of(user: Option<&UserRow>, now: Timestamp, life: SessionLife) -> Self {
        let epoch = match user {
            Some(user) if user.erased || !user.active => NONE,
            Some(user) => user.session_epoch.into(),
            None => 0,
        };
        Self { epoch, now, life }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            epoch: self.epoch,
            started_after: before(self.now, self.life.longest),
            used_after: before(self.now, self.life.idle),
        }
    }

    fn end(&self, row: &SessionRow) -> Option<End> {
        if let Some(Ended { reason, at }) = row.ended {
            return Some((reason.name(), Some(at)));
        }
        if i64::from(row.session_epoch) < self.epoch {
            return Some((ALL_ENDED, None));
        }
        let lapses_at = self.life.lapses_at(row.started_at, row.used_at());
        (lapses_at <= self.now).then_some((LAPSED, Some(lapses_at)))
    }

    /// A session as it is listed. `own` is the one that the reader is logged in by, if it is one.
    pub(super) fn shown(&self, session: &StoredSession, own: Option<&str>) -> String {
        let (id, row) = (session.id.to_string(), &session.row);
        let end = self.end(row);
        let state = if end.is_some() { State::Ended } else { State::Active };
        let mut object = JsonObject::with_capacity(384);
        object.text("id", &id);
        object.text("user_id", &row.user_id.to_string());
        object.plain("current", own == Some(id.as_str()));
        object.text("state", state.name());
        object.time("started_at", Some(row.started_at));
        object.time("last_refreshed_at", row.last_refreshed_at);
        object.plain("refreshes", row.refreshes);
        object.time("ended_at", end.and_then(|(_, at)| at));
        object.json("end_reason", &Value::from(end.map(|(reason, _)| reason)).to_string());
        object.plain("version", row.version);
        object.finish()
    }
}

/// The time so much earlier, or the first that is ever asked for.
fn before(time: Timestamp, duration: Duration) -> Timestamp {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp(time.micros().saturating_sub(micros)).max(crate::parameters::FAR_PAST)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use tests::a_listed_session;
