//! The row as readers are shown it: `{"id", "payload", "version", "occurred_at", "recorded_at",
//! "updated_at"}`. The query API answers it, and it stands in the cache.

use domain::Timestamp;
use serde_json::Value;

use super::ResourceRow;

/// The row as JSON. Written by hand: the payload goes in as it is stored, byte for byte, which a
/// serializer would first have to read.
pub fn body(id: &str, row: &ResourceRow) -> String {
    let mut text = String::with_capacity(row.payload.len() + id.len() + 192);
    text.push_str("{\"id\":");
    text.push_str(&Value::from(id).to_string());
    text.push_str(",\"payload\":");
    text.push_str(&row.payload);
    text.push_str(",\"version\":");
    text.push_str(&row.version.to_string());
    push_time(&mut text, "occurred_at", row.occurred_at);
    push_time(&mut text, "recorded_at", Some(row.recorded_at));
    push_time(&mut text, "updated_at", Some(row.updated_at));
    text.push('}');
    text
}

fn push_time(text: &mut String, name: &str, time: Option<Timestamp>) {
    text.push_str(",\"");
    text.push_str(name);
    match time.and_then(Timestamp::to_rfc3339) {
        Some(time) => {
            text.push_str("\":\"");
            text.push_str(&time);
            text.push('"');
        }
        None => text.push_str("\":null"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recorded::LogPosition;

    fn row(payload: &str, occurred_at: Option<Timestamp>) -> ResourceRow {
        ResourceRow {
            payload: payload.to_owned(),
            version: 7,
            occurred_at,
            recorded_at: Timestamp(1_772_366_400_123_456),
            updated_at: Timestamp(1_772_366_401_000_000),
            position: LogPosition { epoch: 1, offset: 3 },
        }
    }

    #[test]
    fn members_stand_in_the_order_of_the_contract() {
        assert_eq!(
            body("device-123", &row(r#"{"b": 1e2,"a":-0 }"#, Some(Timestamp(0)))),
            "{\"id\":\"device-123\",\"payload\":{\"b\": 1e2,\"a\":-0 },\"version\":7,\
             \"occurred_at\":\"1970-01-01T00:00:00.000000Z\",\
             \"recorded_at\":\"2026-03-01T12:00:00.123456Z\",\
             \"updated_at\":\"2026-03-01T12:00:01.000000Z\"}"
        );
    }

    #[test]
    fn a_time_that_is_not_known_is_null() {
        let value: Value = serde_json::from_str(&body("d", &row("1", None))).unwrap();
        assert_eq!(value["occurred_at"], Value::Null);
    }

    proptest! {
        #[test]
        fn any_id_reads_back(id in any::<String>()) {
            let value: Value = serde_json::from_str(&body(&id, &row("{}", None))).unwrap();
            prop_assert_eq!(value["id"].as_str(), Some(id.as_str()));
        }
    }
}
