//! Reading what happened to a user.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use read_models::json_object::JsonObject;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::PROJECTION;
use super::query::AuditQuery;
use crate::consistency::Whose;
use crate::listing::Listed;

/// An event as Postgres gives it, without what it holds.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct AuditColumns {
    stream_version: i64,
    event_type: String,
    occurred_at: DateTime<Utc>,
    actor: Option<String>,
    changed: Vec<String>,
}

impl AuditColumns {
    pub(super) fn version(&self) -> i64 {
        self.stream_version
    }

    pub(super) fn json(&self) -> String {
        let mut object = JsonObject::with_capacity(256);
        object.plain("version", self.stream_version);
        object.text("event_type", &self.event_type);
        object.time("occurred_at", Some(Timestamp(self.occurred_at.timestamp_micros())));
        object.json("actor", &Value::from(self.actor.as_deref()).to_string());
        object.json("changed", &Value::from(self.changed.as_slice()).to_string());
        object.finish()
    }
}

impl Listed for AuditQuery {
    const PROJECTION: &'static str = PROJECTION;
    const PAGES: &'static str = "pages of audits";
    /// They are all small.
    const BYTES: &'static str = "0";
    type Columns = AuditColumns;

    fn push_rows(&self, sql: &mut QueryBuilder<Postgres>, most: Option<u64>) {
        sql.push("SELECT stream_version, event_type, occurred_at, actor, changed FROM ");
        sql.push(&self.events).push(" WHERE stream_id = ").push_bind(self.stream_id.clone());
        if let Some(before) = self.before {
            sql.push(" AND stream_version < ").push_bind(before);
        }
        sql.push(" ORDER BY ").push(self.order());
        if let Some(most) = most {
            sql.push(" LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        }
    }

    fn order(&self) -> &'static str {
        "stream_version DESC"
    }

    fn whose(&self) -> Whose<'_> {
        Whose::Stream(&self.stream_id)
    }

    /// Nothing is before the first event of somebody who exists.
    async fn exists(&self, _: &mut PgConnection) -> Result<bool, sqlx::Error> {
        Ok(self.before.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_of_the_contract() {
        let row = AuditColumns {
            stream_version: 2,
            event_type: "identity.user.email-changed.v1".to_owned(),
            occurred_at: DateTime::from_timestamp_micros(1_772_366_400_123_456).unwrap(),
            actor: None,
            changed: vec!["email".to_owned(), "email_verified".to_owned()],
        };
        assert_eq!(
            row.json(),
            "{\"version\":2,\"event_type\":\"identity.user.email-changed.v1\",\
             \"occurred_at\":\"2026-03-01T12:00:00.123456Z\",\"actor\":null,\
             \"changed\":[\"email\",\"email_verified\"]}"
        );
    }
}
