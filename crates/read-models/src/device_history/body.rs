//! An event as readers are shown it: `{"device_id", "event_id", "payload", "occurred_at",
//! "recorded_at", "partition", "log_offset"}`.

use super::HistoryEntry;
use crate::json_object::JsonObject;

/// The event as JSON.
pub fn body(entry: &HistoryEntry<'_>) -> String {
    let mut object = JsonObject::with_capacity(entry.payload.len() + entry.device_id.len() + 256);
    object.text("device_id", entry.device_id);
    object.plain("event_id", format_args!("\"{}\"", entry.event_id));
    object.json("payload", entry.payload);
    object.time("occurred_at", entry.occurred_at);
    object.time("recorded_at", Some(entry.recorded_at));
    object.plain("partition", entry.partition);
    object.plain("log_offset", entry.position.offset);
    object.finish()
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::recorded::LogPosition;

    #[test]
    fn members_stand_in_the_order_of_the_contract() {
        let entry = HistoryEntry {
            device_id: "device-123",
            event_id: Uuid::from_u128(7),
            payload: r#"{"b": 1e2}"#,
            occurred_at: None,
            recorded_at: Timestamp(1_772_366_400_123_456),
            partition: 3,
            position: LogPosition { epoch: 1, offset: 9 },
        };
        assert_eq!(
            body(&entry),
            r#"{"device_id":"device-123","event_id":"00000000-0000-0000-0000-000000000007","payload":{"b": 1e2},"occurred_at":null,"recorded_at":"2026-03-01T12:00:00.123456Z","partition":3,"log_offset":9}"#
        );
    }
}
