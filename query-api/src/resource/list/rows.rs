//! Reading devices.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use read_models::json_object::JsonObject;
use read_models::recorded::LogPosition;
use sqlx::postgres::types::PgInterval;
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::PROJECTION;
use super::fields::Fields;
use super::query::{Place, ResourcesQuery};
use crate::consistency::Whose;
use crate::listing::Listed;
use crate::resource::presence::ONLINE;
use crate::text_range::behind;

/// As many rows are sorted for a page where a filter leaves few. Where it leaves more, one comes up
/// often enough in the order of ids.
const FEW: i64 = 1_000;

/// A row as Postgres gives it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct ResourceListed {
    id: String,
    payload: Option<String>,
    version: i64,
    occurred_at: Option<DateTime<Utc>>,
    recorded_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    updated_minute: DateTime<Utc>,
    log_epoch: i32,
    log_offset: i64,
    online: bool,
}

impl ResourceListed {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn position(&self) -> LogPosition {
        LogPosition { epoch: self.log_epoch, offset: self.log_offset }
    }

    pub(super) fn place(&self) -> Place {
        Place { id: self.id.clone(), updated_minute: self.updated_minute.timestamp_micros() }
    }

    /// The members that are asked for.
    pub(super) fn json(&self, fields: Fields) -> String {
        let payload = self.payload.as_deref().unwrap_or("null");
        let micros = |time: &DateTime<Utc>| Timestamp(time.timestamp_micros());
        let mut object = JsonObject::with_capacity(self.id.len() + payload.len() + 224);
        if fields.has("id") {
            object.text("id", &self.id);
        }
        if fields.has("payload") {
            object.json("payload", payload);
        }
        if fields.has("version") {
            object.plain("version", self.version);
        }
        if fields.has("occurred_at") {
            object.time("occurred_at", self.occurred_at.as_ref().map(micros));
        }
        if fields.has("recorded_at") {
            object.time("recorded_at", Some(micros(&self.recorded_at)));
        }
        if fields.has("updated_at") {
            object.time("updated_at", Some(micros(&self.updated_at)));
        }
        if fields.has(ONLINE) {
            object.plain(ONLINE, self.online);
        }
        object.finish()
    }
}

impl Listed for ResourcesQuery {
    const PROJECTION: &'static str = PROJECTION;
    const PAGES: &'static str = "pages of resources";
    type Columns = ResourceListed;

    fn push_rows(&self, sql: &mut QueryBuilder<Postgres>, most: Option<u64>) {
        let most = most.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        match (self.online, self.updated_since, most) {
            (Some(is_online), None, Some(most)) => self.push_few_or_many(sql, is_online, most),
            _ => {
                self.push_select(sql);
                sql.push(" FROM resource_rows r WHERE ");
                self.push_conditions(sql);
                if let Some(is_online) = self.online {
                    self.push_minutes(sql, is_online);
                    self.push_online(sql, is_online);
                }
                sql.push(" ORDER BY ").push(self.order());
                if let Some(most) = most {
                    sql.push(" LIMIT ").push_bind(most);
                }
            }
        }
    }

    fn order(&self) -> &'static str {
        if self.updated_since.is_some() { "updated_minute, id" } else { "id" }
    }

    fn whose(&self) -> Whose<'_> {
        // Nobody else's rows are shown to who is bound to a device.
        self.own.as_deref().map_or(Whose::Everybody, Whose::Stream)
    }
}

impl ResourcesQuery {
    fn push_select(&self, sql: &mut QueryBuilder<Postgres>) {
        // A payload that nobody asked for is not read.
        let payload = if self.fields.has("payload") { "r.payload::text" } else { "NULL::text" };
        sql.push("SELECT r.id, ").push(payload).push(
            " AS payload, r.version, r.occurred_at, r.recorded_at, r.updated_at, r.updated_minute,
             r.log_epoch, r.log_offset, now() - r.updated_at <= ",
        );
        sql.push_bind(self.silence()).push(" AS online");
    }

    /// Everything but whether they are online.
    fn push_conditions(&self, sql: &mut QueryBuilder<Postgres>) {
        sql.push(ACTIVE);
        if let Some(own) = &self.own {
            sql.push(" AND r.id = ").push_bind(own.clone());
        }
        if let Some(prefix) = self.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            sql.push(" AND r.id >= ").push_bind(prefix.to_owned());
            if let Some(end) = behind(prefix) {
                sql.push(" AND r.id < ").push_bind(end);
            }
        }
        if let Some(since) = self.updated_since {
            let since = datetime(since.micros());
            sql.push(" AND r.updated_minute >= date_bin('1 minute', ").push_bind(since);
            sql.push(", '2000-01-01 00:00:00+00') AND r.updated_at >= ").push_bind(since);
        }
        match (&self.after, self.updated_since) {
            (None, _) => {}
            (Some(after), None) => {
                sql.push(" AND r.id > ").push_bind(after.id.clone());
            }
            (Some(after), Some(_)) => {
                sql.push(" AND (r.updated_minute, r.id) > (");
                sql.push_bind(datetime(after.updated_minute)).push(", ");
                sql.push_bind(after.id.clone()).push(")");
            }
        }
    }

    /// Whether they are online, which no index tells.
    fn push_online(&self, sql: &mut QueryBuilder<Postgres>, is_online: bool) {
        sql.push(" AND (now() - r.updated_at <= ").push_bind(self.silence());
        sql.push(") = ").push_bind(is_online);
    }

    /// The minutes in which those stand that are online or are not, with some of the others.
    fn push_minutes(&self, sql: &mut QueryBuilder<Postgres>, is_online: bool) {
        sql.push(" AND r.updated_minute ").push(if is_online { ">=" } else { "<=" });
        sql.push(" date_bin('1 minute', now() - ").push_bind(self.silence());
        sql.push(", '2000-01-01 00:00:00+00')");
    }

    /// A page in the order of ids, of those that are online or are not. Nobody knows before whether
    /// these are few or many, and no one way is good for both: few are found by the index of minutes
    /// and sorted; of many, the order of ids soon comes upon enough.
    fn push_few_or_many(&self, sql: &mut QueryBuilder<Postgres>, is_online: bool, most: i64) {
        sql.push("WITH found AS MATERIALIZED (SELECT r.id FROM resource_rows r WHERE ")
            .push(ACTIVE);
        self.push_minutes(sql, is_online);
        sql.push(" LIMIT ").push_bind(FEW + 1);
        sql.push("), few AS MATERIALIZED (SELECT count(*) <= ").push_bind(FEW);
        sql.push(" AS is_so FROM found) SELECT * FROM ((");
        self.push_select(sql);
        sql.push(
            " FROM found f JOIN resource_rows r USING (id) WHERE (SELECT is_so FROM few) AND ",
        );
        self.push_conditions(sql);
        self.push_online(sql, is_online);
        sql.push(" ORDER BY id LIMIT ").push_bind(most).push(") UNION ALL (");
        self.push_select(sql);
        sql.push(" FROM resource_rows r WHERE NOT (SELECT is_so FROM few) AND ");
        self.push_conditions(sql);
        self.push_online(sql, is_online);
        sql.push(" ORDER BY id LIMIT ").push_bind(most).push(")) either ORDER BY id LIMIT ");
        sql.push_bind(most);
    }

    fn silence(&self) -> PgInterval {
        let microseconds = i64::try_from(self.offline_after.as_micros()).unwrap_or(i64::MAX);
        PgInterval { months: 0, days: 0, microseconds }
    }
}

/// Rows of the build that readers see.
const ACTIVE: &str = "r.generation = (SELECT g.generation FROM generations g
                                      WHERE g.projection = 'resource' AND g.state = 'active')";

/// A time that a parameter or a row named, which Postgres holds.
fn datetime(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
