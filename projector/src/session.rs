//! Sessions. Nothing of them is cached: few list their own, and whoever does has just ended one.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::decision::Decided;
use domain::session::{SessionEvent, SessionId};
use kafka_io::topic::Topic;
use read_models::recorded::{RecordPlace, Recorded};
use read_models::session::{self, SessionRow};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::decided::{InStream, StreamEvent, aggregates};
use crate::runner::{Order, Projection, to_datetime};

/// An event of a session, with the name of the stream it belongs to.
pub type SessionStreamEvent = StreamEvent<SessionEvent>;

impl InStream for SessionEvent {
    fn stream_id(aggregate_id: Uuid) -> String {
        SessionId(aggregate_id).stream_id()
    }
}

/// Folds what is decided about sessions into `sessions`.
#[derive(Debug, Clone, Copy)]
pub struct Session;

impl Projection for Session {
    const NAME: &'static str = "session";
    const TOPIC: Topic = Topic::IdentitySession;
    const ORDER: Order = Order::Sequenced;
    type Event = SessionStreamEvent;

    async fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<SessionStreamEvent>],
    ) -> Result<u64, sqlx::Error> {
        let events: Vec<_> = batch.iter().map(|record| decided(record)).collect();
        let ids = aggregates(&events);
        // Nobody else changes them: the partition's position is locked.
        let before = session::find(&mut *transaction, generation, &ids).await?;
        let before = before.into_iter().map(|stored| (stored.id, stored.row)).collect();
        upsert(transaction, generation, &session::fold(before, events)).await
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        _: &RecordPlace,
    ) -> Result<BTreeMap<String, Value>, sqlx::Error> {
        let Some(SessionId(id)) = SessionId::from_stream_id(stream_id) else {
            return Ok(BTreeMap::new());
        };
        let found = session::find(connection, generation, &[id]).await?;
        Ok(found.iter().map(|stored| ("sessions".to_owned(), told(&stored.row))).collect())
    }
}

/// The event without the name of its stream.
fn decided(record: &Recorded<SessionStreamEvent>) -> Recorded<Decided<SessionEvent>> {
    let Recorded { partition, position, log_time, .. } = *record;
    Recorded { event: record.event.decided().clone(), partition, position, log_time }
}

/// A row as operators are shown it.
fn told(row: &SessionRow) -> Value {
    let time = Timestamp::to_rfc3339;
    json!({
        "user_id": row.user_id.to_string(),
        "session_epoch": row.session_epoch,
        "started_at": time(row.started_at),
        "last_refreshed_at": row.last_refreshed_at.and_then(time),
        "refreshes": row.refreshes,
        "ended_at": row.ended.and_then(|ended| time(ended.at)),
        "end_reason": row.ended.map(|ended| ended.reason.name()),
        "version": row.version,
        "log_epoch": row.position.epoch,
        "log_offset": row.position.offset,
    })
}

/// Writes the rows, in the order of ids; returns how many. The version alone says which of two is the
/// newer: an event that had to wait for an earlier version stands before it in the log.
async fn upsert(
    transaction: &mut PgConnection,
    generation: i32,
    rows: &BTreeMap<SessionId, SessionRow>,
) -> Result<u64, sqlx::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    let written = sqlx::query(
        "INSERT INTO session_rows AS r (generation, id, user_id, session_epoch, started_at,
                                        last_refreshed_at, refreshes, ended_at, end_reason, version,
                                        log_epoch, log_offset)
         SELECT $1, b.id, b.user_id, b.session_epoch, b.started_at, b.last_refreshed_at, b.refreshes,
                b.ended_at, b.end_reason, b.version, b.epoch, b.log_offset
         FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],
                     $7::bigint[], $8::timestamptz[], $9::text[], $10::bigint[], $11::int[],
                     $12::bigint[])
              AS b(id, user_id, session_epoch, started_at, last_refreshed_at, refreshes, ended_at,
                   end_reason, version, epoch, log_offset)
         ON CONFLICT (generation, id) DO UPDATE
         SET user_id = excluded.user_id, session_epoch = excluded.session_epoch,
             started_at = excluded.started_at, last_refreshed_at = excluded.last_refreshed_at,
             refreshes = excluded.refreshes, ended_at = excluded.ended_at,
             end_reason = excluded.end_reason, version = excluded.version,
             log_epoch = excluded.log_epoch, log_offset = excluded.log_offset
         WHERE r.version < excluded.version",
    )
    .bind(generation)
    .bind(rows.keys().map(|id| id.0).collect::<Vec<_>>())
    .bind(column(rows, |row| row.user_id.0))
    .bind(column(rows, |row| i64::from(row.session_epoch)))
    .bind(column(rows, |row| to_datetime(row.started_at)))
    .bind(column(rows, |row| row.last_refreshed_at.map(to_datetime)))
    .bind(column(rows, |row| i64::from(row.refreshes)))
    .bind(column(rows, |row| row.ended.map(|ended| to_datetime(ended.at))))
    .bind(column(rows, |row| row.ended.map(|ended| ended.reason.name())))
    .bind(column(rows, |row| row.version.cast_signed()))
    .bind(column(rows, |row| row.position.epoch))
    .bind(column(rows, |row| row.position.offset))
    .execute(transaction)
    .await?;
    Ok(written.rows_affected())
}

fn column<T>(rows: &BTreeMap<SessionId, SessionRow>, value: impl Fn(&SessionRow) -> T) -> Vec<T> {
    rows.values().map(value).collect()
}

#[cfg(test)]
mod tests;
