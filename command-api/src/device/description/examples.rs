//! Requests in every form.

use api_description::Example;
use serde_json::{Value, json};

use super::JSON;
use crate::device::form::{BATCH, STRUCTURED};

/// All of them. A page shows the first by its name.
pub(super) fn all() -> Vec<Example> {
    vec![
        Example::new("an-event", "One event", 202).body(JSON, one()),
        Example::new("retried", "One event that may be sent again", 202)
            .header("Idempotency-Key", "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"")
            .body(JSON, one()),
        Example::new("several-events", "Several events", 202).body(JSON, several()),
        Example::new("compressed", "Several events, compressed", 202)
            .header("Content-Encoding", "gzip")
            .body(JSON, several()),
        Example::new("some-refused", "Several events of which one is refused", 207)
            .body(JSON, json!([one(), {"device_id": "device 7", "payload": 1}])),
        Example::new("refused-alike", "Several events that are all refused alike", 400)
            .body(JSON, json!([{"payload": 1}, {"device_id": "device-7"}])),
        Example::new("unknown-member", "A member that no event has", 400)
            .body(JSON, json!({"device_id": "device-123", "payload": 1, "colour": "red"})),
        Example::new("cloud-event", "A CloudEvent in structured mode", 202)
            .body(STRUCTURED, cloud_event("A-1")),
        Example::new("cloud-events", "CloudEvents in batched mode", 202)
            .body(BATCH, json!([cloud_event("A-2"), cloud_event("A-3")])),
        Example::new("binary-cloud-event", "The data of a CloudEvent in binary mode", 202)
            .header("ce-specversion", "1.0")
            .header("ce-id", "A-4")
            .header("ce-source", "/plant/7")
            .header("ce-type", "com.example.measured")
            .header("ce-subject", "device-123")
            .body(JSON, json!({"temp_c": 21.5})),
    ]
}

fn one() -> Value {
    json!({
        "device_id": "device-123",
        "payload": {"status": "ok", "temp_c": 21.5},
        "occurred_at": "2026-03-01T12:00:00Z",
    })
}

fn several() -> Value {
    json!([
        {"device_id": "device-123", "payload": {"temp_c": 21.5}},
        {"device_id": "device-7", "payload": 1},
    ])
}

fn cloud_event(id: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/plant/7",
        "type": "com.example.measured",
        "subject": "device-123",
        "time": "2026-03-01T12:00:00Z",
        "data": {"temp_c": 21.5},
    })
}
