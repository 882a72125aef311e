//! An event as a row.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use crate::event::{Event, LogPlace};

/// The columns of [`EventRow`], in a table that is called `e`.
pub(super) const COLUMNS: &str = "e.stream_id, e.stream_version, e.event_id, e.previous_id, e.topic,
    e.event_type, e.occurred_at, e.correlation_id, e.causation_id, e.actor, e.traceparent, e.changed,
    e.value, e.published_partition, e.published_offset";

#[derive(FromRow)]
pub(super) struct EventRow {
    stream_id: String,
    stream_version: i64,
    event_id: Uuid,
    previous_id: Option<Uuid>,
    topic: String,
    event_type: String,
    occurred_at: DateTime<Utc>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    actor: Option<String>,
    traceparent: Option<String>,
    changed: Vec<String>,
    value: Vec<u8>,
    published_partition: Option<i32>,
    published_offset: Option<i64>,
}

impl EventRow {
    pub(super) fn event(self) -> Event {
        let partition_and_offset = self.published_partition.zip(self.published_offset);
        Event {
            stream_id: self.stream_id,
            version: self.stream_version.cast_unsigned(),
            event_id: self.event_id,
            previous_id: self.previous_id,
            topic: self.topic,
            event_type: self.event_type,
            occurred_at: Timestamp(self.occurred_at.timestamp_micros()),
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            actor: self.actor,
            traceparent: self.traceparent,
            changed: self.changed,
            value: self.value,
            place: partition_and_offset.map(|(partition, offset)| LogPlace { partition, offset }),
        }
    }
}

/// A time as the database takes it; one beyond its calendar is its end.
pub(super) fn datetime(time: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
