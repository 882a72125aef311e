//! Whose changes are asked for.

use domain::user::UserId;

/// What happened to a user, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditQuery {
    /// The table of decided events, with its schema.
    pub(super) events: String,
    pub(super) stream_id: String,
    /// Only versions before this one.
    pub(super) before: Option<i64>,
}

impl AuditQuery {
    /// Of a user whose decisions are in this Postgres schema.
    pub(super) fn of(event_store: &str, id: UserId) -> Self {
        Self { events: format!("{event_store}.events"), stream_id: id.stream_id(), before: None }
    }
}
