//! A decided event, as the store keeps it and the log holds it.

use domain::Timestamp;
use uuid::Uuid;

/// Where the log holds an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPlace {
    /// The partition of its topic.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The stream, which is the key of its record.
    pub stream_id: String,
    /// Its number in the stream, from 1.
    pub version: u64,
    /// Its identity.
    pub event_id: Uuid,
    /// The identity of the event before it; `None` for the first alone.
    pub previous_id: Option<Uuid>,
    /// The topic's name in the cluster.
    pub topic: String,
    /// What happened, as `ce_type` says it.
    pub event_type: String,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// What all events of one cause share.
    pub correlation_id: Option<String>,
    /// The command or event that caused it.
    pub causation_id: Option<String>,
    /// The opaque id of who decided it.
    pub actor: Option<String>,
    /// The trace of the request that decided it.
    pub traceparent: Option<String>,
    /// Names of what it changed, never values.
    pub changed: Vec<String>,
    /// The record's value.
    pub value: Vec<u8>,
    /// Where the log holds it, once that was acknowledged.
    pub place: Option<LogPlace>,
}
