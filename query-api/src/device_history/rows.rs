//! Reading a device's events.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use read_models::device_history::{HistoryEntry, HistoryPlace};
use read_models::recorded::LogPosition;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::PROJECTION;
use super::query::{HistoryQuery, Order};
use crate::consistency::Whose;
use crate::listing::Listed;

/// A row as Postgres gives it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct HistoryColumns {
    device_id: String,
    event_id: Uuid,
    payload: String,
    occurred_at: Option<DateTime<Utc>>,
    recorded_at: DateTime<Utc>,
    log_epoch: i32,
    partition: i32,
    log_offset: i64,
}

impl HistoryColumns {
    pub(super) fn entry(&self) -> HistoryEntry<'_> {
        let micros = |time: DateTime<Utc>| Timestamp(time.timestamp_micros());
        HistoryEntry {
            device_id: &self.device_id,
            event_id: self.event_id,
            payload: &self.payload,
            occurred_at: self.occurred_at.map(micros),
            recorded_at: micros(self.recorded_at),
            partition: self.partition,
            position: LogPosition { epoch: self.log_epoch, offset: self.log_offset },
        }
    }

    pub(super) fn place(&self) -> HistoryPlace {
        self.entry().place()
    }
}

impl Listed for HistoryQuery {
    const PROJECTION: &'static str = PROJECTION;
    const PAGES: &'static str = "pages of history";
    type Columns = HistoryColumns;

    /// What is asked of `recorded_at` alone is what months are left out by, and where the index is
    /// entered: there must be one bound at each side, or Postgres may enter at the wrong one.
    fn push_rows(&self, sql: &mut QueryBuilder<Postgres>, most: Option<u64>) {
        sql.push(
            "SELECT r.device_id, r.event_id, r.payload::text AS payload, r.occurred_at,
                    r.recorded_at, r.log_epoch, r.partition, r.log_offset
             FROM device_history_rows r
             WHERE r.generation = (SELECT g.generation FROM generations g
                                   WHERE g.projection = 'device_history' AND g.state = 'active')
               AND r.device_id = ",
        );
        sql.push_bind(self.device_id.clone());
        let after = self.after.map(|after| after.recorded_at);
        let is_newest_first = self.order == Order::NewestFirst;
        let (from, to) = if is_newest_first { (None, after) } else { (after, None) };
        sql.push(" AND r.recorded_at >= ").push_bind(datetime(from.unwrap_or(self.from)));
        match to {
            Some(to) => sql.push(" AND r.recorded_at <= ").push_bind(datetime(to)),
            None => sql.push(" AND r.recorded_at < ").push_bind(datetime(self.to)),
        };
        if let Some(after) = self.after {
            sql.push(" AND (r.recorded_at, r.log_epoch, r.partition, r.log_offset)");
            let mut place = sql.push(if is_newest_first { " < (" } else { " > (" }).separated(", ");
            place.push_bind(datetime(after.recorded_at)).push_bind(after.epoch);
            place.push_bind(after.partition).push_bind(after.offset).push_unseparated(")");
        }
        sql.push(" ORDER BY ").push(self.order());
        if let Some(most) = most {
            sql.push(" LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        }
    }

    fn order(&self) -> &'static str {
        match self.order {
            Order::NewestFirst => {
                "recorded_at DESC, log_epoch DESC, partition DESC, log_offset DESC"
            }
            Order::OldestFirst => "recorded_at, log_epoch, partition, log_offset",
        }
    }

    fn whose(&self) -> Whose<'_> {
        Whose::Stream(&self.device_id)
    }

    /// A device whose history was dropped still has its latest state.
    async fn exists(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM resource_rows r JOIN generations g USING (generation)
                            WHERE g.projection = 'resource' AND g.state = 'active' AND r.id = $1)
                 OR EXISTS (SELECT FROM device_history_rows r
                            WHERE r.generation = (SELECT g.generation FROM generations g
                                                  WHERE g.projection = 'device_history'
                                                    AND g.state = 'active')
                              AND r.device_id = $1)",
        )
        .bind(&self.device_id)
        .fetch_one(connection)
        .await
    }
}

/// A time that a parameter or a row named, which Postgres holds.
fn datetime(time: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.micros()).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
