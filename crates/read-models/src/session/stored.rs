//! The row as Postgres gives it.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use domain::session::{SessionEnd, SessionId};
use domain::user::UserId;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{Ended, SessionRow};
use crate::recorded::LogPosition;

/// A row and the build it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The session.
    pub id: SessionId,
    /// The build of the projection.
    pub generation: i32,
    /// The row.
    pub row: SessionRow,
}

/// Columns of `session_rows`, all but none of them.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SessionColumns {
    id: Uuid,
    generation: i32,
    user_id: Uuid,
    session_epoch: i64,
    started_at: DateTime<Utc>,
    last_refreshed_at: Option<DateTime<Utc>>,
    refreshes: i64,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
    version: i64,
    log_epoch: i32,
    log_offset: i64,
}

impl From<SessionColumns> for StoredSession {
    fn from(columns: SessionColumns) -> Self {
        let micros = |time: DateTime<Utc>| Timestamp(time.timestamp_micros());
        let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let reason = columns.end_reason.as_deref().and_then(SessionEnd::parse);
        let ended = columns.ended_at.map(micros).zip(reason);
        let row = SessionRow {
            user_id: UserId(columns.user_id),
            session_epoch: number(columns.session_epoch),
            started_at: micros(columns.started_at),
            last_refreshed_at: columns.last_refreshed_at.map(micros),
            refreshes: number(columns.refreshes),
            ended: ended.map(|(at, reason)| Ended { reason, at }),
            version: columns.version.unsigned_abs(),
            position: LogPosition { epoch: columns.log_epoch, offset: columns.log_offset },
        };
        Self { id: SessionId(columns.id), generation: columns.generation, row }
    }
}

/// The rows of these sessions in one build, in no order; one that does not exist is missing.
///
/// # Errors
/// What the database says.
pub async fn find(
    connection: &mut PgConnection,
    generation: i32,
    ids: &[Uuid],
) -> Result<Vec<StoredSession>, sqlx::Error> {
    let rows: Vec<SessionColumns> = sqlx::query_as(
        "SELECT id, generation, user_id, session_epoch, started_at, last_refreshed_at, refreshes,
                ended_at, end_reason, version, log_epoch, log_offset
         FROM session_rows WHERE generation = $1 AND id = ANY($2)",
    )
    .bind(generation)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(StoredSession::from).collect())
}
