//! Reading sessions.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use read_models::session::SessionColumns;
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, QueryBuilder};

use super::PROJECTION;
use super::query::{SessionsQuery, State};
use crate::consistency::Whose;
use crate::listing::Listed;

impl Listed for SessionsQuery {
    const PROJECTION: &'static str = PROJECTION;
    const PAGES: &'static str = "pages of sessions";
    /// They are all small.
    const BYTES: &'static str = "0";
    type Columns = SessionColumns;

    fn push_rows(&self, sql: &mut QueryBuilder<Postgres>, most: Option<u64>) {
        sql.push(
            "SELECT r.id, r.generation, r.user_id, r.session_epoch, r.started_at,
                    r.last_refreshed_at, r.refreshes, r.ended_at, r.end_reason, r.version,
                    r.log_epoch, r.log_offset
             FROM session_rows r
             WHERE r.generation = (SELECT g.generation FROM generations g
                                   WHERE g.projection = 'session' AND g.state = 'active')
               AND r.user_id = ",
        );
        sql.push_bind(self.user_id.0);
        match self.state {
            Some(State::Active) => self.push_active(sql),
            Some(State::Ended) => self.push_ended(sql),
            None => {}
        }
        if let Some(after) = &self.after {
            sql.push(" AND (r.started_at, r.id) < (").push_bind(datetime(after.started_at()));
            sql.push(", ").push_bind(after.id().0).push(")");
        }
        sql.push(" ORDER BY ").push(self.order());
        if let Some(most) = most {
            sql.push(" LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        }
    }

    fn order(&self) -> &'static str {
        "started_at DESC, id DESC"
    }

    fn whose(&self) -> Whose<'_> {
        // A letter of a session that nobody has seen yet does not say whose it is.
        Whose::Everybody
    }

    /// Behind another page there was somebody. On the first, any row is one of somebody.
    async fn exists(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        if self.after.is_some() {
            return Ok(true);
        }
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM session_rows r
                            WHERE r.generation = (SELECT g.generation FROM generations g
                                                  WHERE g.projection = 'session'
                                                    AND g.state = 'active')
                              AND r.user_id = $1)",
        )
        .bind(self.user_id.0)
        .fetch_one(connection)
        .await
    }
}

/// As [`super::standing`] says it of a row.
impl SessionsQuery {
    fn push_active(&self, sql: &mut QueryBuilder<Postgres>) {
        let bounds = self.holding.bounds();
        sql.push(" AND r.ended_at IS NULL AND r.session_epoch >= ").push_bind(bounds.epoch);
        sql.push(" AND r.started_at > ").push_bind(datetime(bounds.started_after));
        sql.push(" AND coalesce(r.last_refreshed_at, r.started_at) > ");
        sql.push_bind(datetime(bounds.used_after));
    }

    fn push_ended(&self, sql: &mut QueryBuilder<Postgres>) {
        let bounds = self.holding.bounds();
        sql.push(" AND (r.ended_at IS NOT NULL OR r.session_epoch < ").push_bind(bounds.epoch);
        sql.push(" OR r.started_at <= ").push_bind(datetime(bounds.started_after));
        sql.push(" OR coalesce(r.last_refreshed_at, r.started_at) <= ");
        sql.push_bind(datetime(bounds.used_after)).push(")");
    }
}

/// A time that Postgres holds.
fn datetime(time: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.micros()).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
