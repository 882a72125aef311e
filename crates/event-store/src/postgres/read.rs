//! Statements that only read.

use std::sync::LazyLock;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow as _, PgPool, Row as _};
use uuid::Uuid;

use super::rows::{COLUMNS, EventRow};
use crate::append::{Closed, State};
use crate::claim::{ClaimOf, Digest};
use crate::event::{Event, LogPlace};
use crate::request::{AnsweredRequest, RequestKey};
use crate::store::{Account, Found, Nobody, StoredStream};

#[derive(sqlx::FromRow)]
struct StreamRow {
    version: i64,
    last_event_id: Uuid,
    state: String,
    state_revision: i32,
    key: Option<Vec<u8>>,
}

impl StreamRow {
    fn stream(self) -> StoredStream {
        StoredStream {
            version: self.version.cast_unsigned(),
            last_event_id: self.last_event_id,
            state: State { json: self.state, revision: self.state_revision },
            subject_key: self.key.and_then(|key| key.try_into().ok()),
        }
    }
}

/// How the store stands, and a stream in it. `$1` is the key of claims.
const FOUND: &str = "coalesce(t.compared_run = pg_postmaster_start_time(), false) AS is_compared,
       coalesce(t.claim_key = $1, true) AS is_our_key, t.log_ahead,
       s.stream_id IS NOT NULL AS is_there, s.version, s.last_event_id, s.state, s.state_revision, k.key";

static STREAM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {FOUND} FROM standing t
         LEFT JOIN streams s ON s.stream_id = $2 LEFT JOIN subject_keys k ON k.subject = $3"
    )
});

/// Nobody's rows are looked for by the same indexes as somebody's. The limit tells the planner that there is one
/// standing, of which it has no statistics; else it would rather read whole tables.
static ACCOUNT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {FOUND}, c.stream_id AS holder, p.password_hash
         FROM (SELECT * FROM standing LIMIT 1) t
         LEFT JOIN claims c ON c.kind = $2 AND c.digest = $3
         CROSS JOIN LATERAL (
             SELECT coalesce(c.stream_id, $4 || $5) AS stream_id,
                    CASE WHEN c.stream_id IS NULL THEN $5
                         WHEN starts_with(c.stream_id, $4) THEN substr(c.stream_id, length($4) + 1)
                         END AS subject
         ) w
         LEFT JOIN streams s ON s.stream_id = w.stream_id
         LEFT JOIN subject_keys k ON k.subject = w.subject
         LEFT JOIN credentials p ON p.user_id = w.subject"
    )
});

pub(super) async fn stream(
    pool: &PgPool,
    stream_id: &str,
    subject: Option<&str>,
    claim_key: &Digest,
) -> Result<Found, sqlx::Error> {
    let reading = sqlx::query(STREAM.as_str()).bind(&claim_key[..]);
    found(&reading.bind(stream_id).bind(subject).fetch_one(pool).await?)
}

pub(super) async fn account(
    pool: &PgPool,
    value: &ClaimOf,
    nobody: Nobody<'_>,
    claim_key: &Digest,
) -> Result<Account, sqlx::Error> {
    let reading = sqlx::query(ACCOUNT.as_str()).bind(&claim_key[..]);
    let reading = reading.bind(value.kind).bind(&value.digest[..]);
    let row = reading.bind(nobody.prefix).bind(nobody.subject).fetch_one(pool).await?;
    Ok(Account {
        holder: row.try_get("holder")?,
        found: found(&row)?,
        password_hash: row.try_get("password_hash")?,
    })
}

fn found(row: &PgRow) -> Result<Found, sqlx::Error> {
    let ahead: i64 = row.try_get("log_ahead")?;
    let (is_compared, is_our_key) = (row.try_get("is_compared")?, row.try_get("is_our_key")?);
    let closed = Closed::of(is_compared, ahead.cast_unsigned(), is_our_key);
    let is_there: bool = row.try_get("is_there")?;
    let stream = is_there.then(|| StreamRow::from_row(row)).transpose()?;
    Ok(Found { closed, stream: stream.map(StreamRow::stream) })
}

pub(super) async fn history(pool: &PgPool, stream_id: &str) -> Result<Vec<Event>, sqlx::Error> {
    let statement =
        format!("SELECT {COLUMNS} FROM events e WHERE e.stream_id = $1 ORDER BY e.stream_version");
    let rows: Vec<EventRow> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(stream_id).fetch_all(pool).await?;
    Ok(rows.into_iter().map(EventRow::event).collect())
}

pub(super) async fn event_at(
    pool: &PgPool,
    stream_id: &str,
    version: u64,
) -> Result<Option<Event>, sqlx::Error> {
    let statement =
        format!("SELECT {COLUMNS} FROM events e WHERE e.stream_id = $1 AND e.stream_version = $2");
    let row: Option<EventRow> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(stream_id)
        .bind(version.cast_signed())
        .fetch_optional(pool)
        .await?;
    Ok(row.map(EventRow::event))
}

pub(super) async fn event(pool: &PgPool, event_id: Uuid) -> Result<Option<Event>, sqlx::Error> {
    let statement = format!("SELECT {COLUMNS} FROM events e WHERE e.event_id = $1");
    let row: Option<EventRow> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(event_id).fetch_optional(pool).await?;
    Ok(row.map(EventRow::event))
}

pub(super) async fn places(
    pool: &PgPool,
    events: &[(String, u64)],
) -> Result<Vec<Option<LogPlace>>, sqlx::Error> {
    let streams: Vec<&str> = events.iter().map(|(stream, _)| stream.as_str()).collect();
    let versions: Vec<i64> = events.iter().map(|(_, version)| version.cast_signed()).collect();
    let rows: Vec<(Option<i32>, Option<i64>)> = sqlx::query_as(
        "SELECT e.published_partition, e.published_offset
         FROM UNNEST($1::text[], $2::bigint[]) WITH ORDINALITY AS w(stream_id, version, at)
         LEFT JOIN events e ON e.stream_id = w.stream_id AND e.stream_version = w.version
         ORDER BY w.at",
    )
    .bind(streams)
    .bind(versions)
    .fetch_all(pool)
    .await?;
    let place = |(partition, offset): (Option<i32>, Option<i64>)| {
        partition.zip(offset).map(|(partition, offset)| LogPlace { partition, offset })
    };
    Ok(rows.into_iter().map(place).collect())
}

type RequestRow =
    (String, Option<Vec<u8>>, Option<String>, Option<Vec<u8>>, Option<String>, Option<i64>);

pub(super) async fn answered(
    pool: &PgPool,
    key: &RequestKey,
) -> Result<Option<AnsweredRequest>, sqlx::Error> {
    let row: Option<RequestRow> = sqlx::query_as(
        "SELECT route, body_hash, subject, answer, stream_id, stream_version
         FROM requests WHERE principal = $1 AND key = $2",
    )
    .bind(&key.principal)
    .bind(&key.key)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(route, body_hash, subject, answer, stream_id, version)| AnsweredRequest {
        route,
        body_hash: body_hash.and_then(|hash| Digest::try_from(hash).ok()),
        subject,
        answer,
        event: stream_id.zip(version.map(i64::cast_unsigned)),
    }))
}

pub(super) async fn subject_key(
    pool: &PgPool,
    subject: &str,
) -> Result<Option<Option<[u8; 32]>>, sqlx::Error> {
    let key: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT key FROM subject_keys WHERE subject = $1")
            .bind(subject)
            .fetch_optional(pool)
            .await?;
    Ok(key.map(|key| key.and_then(|key| key.try_into().ok())))
}
