//! What a read of a device's history takes and answers.

use api_description::{Described, Example, Operation, Parameter, Verb, schema};
use problem_details::ProblemType;
use serde_json::json;

use crate::description::{
    ID, LISTED, NDJSON, PROBLEMS, TAG, limit_and_cursor, of_pages, read_headers,
};

/// The operation.
pub(super) fn operation() -> Operation {
    let path = "/api/v1/resources/{id}/history";
    Operation::new(Verb::Get, path, "getResourceHistory", "Every event of a device")
        .listing()
        .description(
            "By the time the log took it, newest first, a page at a time. With `Accept: application/x-ndjson` all of them, a line each; the last line says that it is whole.",
        )
        .tag(TAG)
        .with_access()
        .parameters([Parameter::path("id", "The device.", schema::device_id(), ID)])
        .parameters(parameters())
        .parameters(limit_and_cursor())
        .parameters(read_headers())
        .answer(of_pages("HistoryPage"))
        .problems(&[ProblemType::NotFound])
        .problems(&LISTED)
        .problems(&PROBLEMS)
        .example(Example::new("newest", "The newest events", 200).query("limit=10"))
        .example(
            Example::new("range", "The events of a year, oldest first", 200)
                .query("from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z&order=asc"),
        )
        .example(
            Example::new("export", "All of them, a line each", 200).header("Accept", NDJSON),
        )
        .example(
            Example::new("backwards", "A range that ends before it begins", 400)
                .query("from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z"),
        )
}

/// The schemas that it speaks of.
pub(super) fn with_schemas<S: Clone + Send + Sync + 'static>(to: Described<S>) -> Described<S> {
    let event = json!({
        "type": "object",
        "required": [
            "device_id", "event_id", "payload", "occurred_at", "recorded_at", "partition", "log_offset",
        ],
        "additionalProperties": false,
        "properties": {
            "device_id": schema::device_id(),
            "event_id": {
                "type": "string", "format": "uuid",
                "description": "The `request_id` under which it was accepted.",
            },
            "payload": schema::any("What it holds, byte for byte."),
            "occurred_at": schema::time_or_null("The device's time of it."),
            "recorded_at": schema::time("The log's time of it."),
            "partition": {"type": "integer", "minimum": 0, "description": "Where its record stands in the log."},
            "log_offset": {"type": "integer", "minimum": 0, "description": "Where its record stands in the partition."},
        },
    });
    let page = json!({
        "type": "object",
        "required": ["items"],
        "additionalProperties": false,
        "properties": {"items": {"type": "array", "items": schema::named("HistoryEvent")}},
    });
    to.schema("HistoryEvent", event).schema("HistoryPage", page)
}

fn parameters() -> [Parameter; 3] {
    [
        Parameter::query(
            "from",
            "Events that the log took at this time or later.",
            schema::time("RFC 3339"),
        ),
        Parameter::query(
            "to",
            "Events that the log took before this time.",
            schema::time("RFC 3339"),
        ),
        Parameter::query(
            "order",
            "`desc`, newest first, without it.",
            json!({"type": "string", "enum": ["desc", "asc"]}),
        ),
    ]
}
