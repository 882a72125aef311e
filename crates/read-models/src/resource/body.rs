//! The row as readers are shown it: `{"id", "payload", "version", "occurred_at", "recorded_at",
//! "updated_at"}`. The query API answers it, and it stands in the cache.

use domain::Timestamp;

use super::ResourceRow;
use crate::json_object::JsonObject;

/// The row as JSON.
pub fn body(id: &str, row: &ResourceRow) -> String {
    let mut object = JsonObject::with_capacity(row.payload.len() + id.len() + 192);
    object.text("id", id);
    object.json("payload", &row.payload);
    object.plain("version", row.version);
    object.time("occurred_at", row.occurred_at);
    object.time("recorded_at", Some(row.recorded_at));
    object.time("updated_at", Some(row.updated_at));
    object.finish()
}

/// What a body says of its row's `updated_at`, which is its last member; `None` of what is no body.
pub fn updated_at(body: &[u8]) -> Option<Timestamp> {
    const MEMBER: &[u8] = b",\"updated_at\":\"";
    let head = body.strip_suffix(b"\"}")?;
    // A time holds no quotes.
    let begin = head.iter().rposition(|byte| *byte == b'"')? + 1;
    let (before, time) = head.split_at(begin);
    let is_member = before.ends_with(MEMBER);
    is_member.then(|| Timestamp::parse_rfc3339(std::str::from_utf8(time).ok()?)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

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

    #[test]
    fn a_body_says_when_it_was_updated() {
        let row = row(r#"{"updated_at":"2001-01-01T00:00:00Z"}"#, None);
        assert_eq!(updated_at(body("d", &row).as_bytes()), Some(row.updated_at));
        for text in ["", "{}", r#"{"a":"2001-01-01T00:00:00Z"}"#, r#"{"updated_at":"x"}"#, "\"}"] {
            assert_eq!(updated_at(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_id_reads_back(id in any::<String>()) {
            let value: Value = serde_json::from_str(&body(&id, &row("{}", None))).unwrap();
            prop_assert_eq!(value["id"].as_str(), Some(id.as_str()));
        }
    }
}
