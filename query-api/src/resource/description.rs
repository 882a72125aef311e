//! What reads of devices take and answer.

use api_description::{Answer, Described, Example, Header, Operation, Parameter, Verb, schema};
use problem_details::ProblemType;
use serde_json::{Value, json};
use settings::table;

use super::list::fields::NAMES;
use crate::description::{
    ID, LISTED, NDJSON, OF_READS, TAG, conditional, limit_and_cursor, of_pages, read_headers,
};

/// The headers of a row.
const HEADERS: [Header; 3] = [Header::ETag, Header::CacheControl, Header::CacheStatus];

/// The latest state of a device.
pub(super) fn one() -> Operation {
    let path = "/api/v1/resources/{id}";
    Operation::new(Verb::Get, path, "getResource", "The latest state of a device")
        .description(
            "`HEAD` answers as `GET`, without the body. A device that has fallen silent is `online: false` and has an `ETag` of its own.",
        )
        .tag(TAG)
        .with_access()
        .parameters([Parameter::path("id", "The device.", schema::device_id(), ID)])
        .parameters(read_headers())
        .parameters([conditional()])
        .answer(
            Answer::new(200, "What is known of the device.")
                .headers(&HEADERS)
                .headers(&OF_READS)
                .json(schema::named("Resource")),
        )
        .answer(
            Answer::new(304, "Nothing has changed since the version of `If-None-Match`.")
                .headers(&HEADERS)
                .headers(&OF_READS),
        )
        .problems(&[ProblemType::NotFound])
        .problems(&crate::description::PROBLEMS)
        .example(Example::new("known", "A device that has reported", 200))
        .example(
            Example::new("unchanged", "A device of which the reader knows everything", 304)
                .header("If-None-Match", "*"),
        )
        .example(
            Example::new("unknown", "A device of which nothing is known", 404)
                .path("/api/v1/resources/nobody-has-heard-of-it"),
        )
        .example(
            Example::new("foreign-token", "A consistency token that is none", 400)
                .header("Consistency-Token", "bm9uZQ"),
        )
}

/// The latest state of many devices.
pub(super) fn list() -> Operation {
    let path = "/api/v1/resources";
    Operation::new(Verb::Get, path, "listResources", "The latest state of many devices")
        .listing()
        .description(
            "A page at a time, in the order of ids; with `updated_since` in that of the minutes of `updated_at`, then of ids. With `Accept: application/x-ndjson` all of them, a line each; the last line says that it is whole.",
        )
        .tag(TAG)
        .with_access()
        .parameters(parameters())
        .parameters(limit_and_cursor())
        .parameters(read_headers())
        .answer(of_pages("ResourcePage"))
        .problems(&LISTED)
        .problems(&crate::description::PROBLEMS)
        .example(
            Example::new("some", "Ids and versions of some devices", 200)
                .query("prefix=device-&fields=id,version,online&limit=2"),
        )
        .example(
            Example::new("changed", "Devices that have changed since a moment", 200)
                .query("updated_since=2026-03-01T12:00:00Z"),
        )
        .example(
            Example::new("export", "All of them, a line each", 200)
                .query("fields=id,version")
                .header("Accept", NDJSON),
        )
        .example(
            Example::new("no-rows", "A page that could have no row", 400).query("limit=0"),
        )
        .example(
            Example::new("foreign-cursor", "A cursor that is none", 400).query("cursor=bm9uZQ"),
        )
}

/// The schemas that they speak of.
pub(super) fn with_schemas<S: Clone + Send + Sync + 'static>(to: Described<S>) -> Described<S> {
    let all = NAMES;
    let mut of_list = resource(&[]);
    of_list["description"] = "A device, as far as `fields` asks for it.".into();
    let page = json!({
        "type": "object",
        "required": ["items"],
        "additionalProperties": false,
        "properties": {"items": {"type": "array", "items": of_list}},
    });
    to.schema("Resource", resource(&all)).schema("ResourcePage", page)
}

fn parameters() -> Vec<Parameter> {
    let names = NAMES.join("|");
    let fields =
        format!("Members to show, separated by commas, of {}; all without it.", NAMES.join(", "));
    vec![
        Parameter::query(
            "prefix",
            "Ids that begin with this text, letter by letter.",
            json!({"type": "string", "maxLength": 512}),
        ),
        Parameter::query(
            "updated_since",
            "Those whose `updated_at` is this time or later.",
            schema::time("RFC 3339"),
        ),
        Parameter::query(
            "online",
            "Those that are, or are not.",
            json!({"type": "string", "enum": ["true", "false"]}),
        ),
        Parameter::query(
            "fields",
            &fields,
            json!({"type": "string", "pattern": format!("^({names})(,({names}))*$")}),
        ),
    ]
}

fn resource(required: &[&str]) -> Value {
    let silence = schema::default_of(&table::OFFLINE_AFTER) / 1000;
    let online = format!("Whether it has reported within the last {silence} s.");
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": {
            "id": schema::device_id(),
            "payload": schema::any("What its newest event holds, byte for byte."),
            "version": {"type": "integer", "minimum": 1, "description": "How many distinct events it has sent."},
            "occurred_at": schema::time_or_null("The device's time of its newest event."),
            "recorded_at": schema::time("The log's time of it."),
            "updated_at": schema::time("The log's time of the newest event that was folded."),
            "online": {"type": "boolean", "description": online},
        },
    })
}
