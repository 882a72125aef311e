//! What `POST /api/v1/events` takes and answers.

mod examples;

use api_description::{Answer, Described, Header, Operation, Parameter, Verb, schema};
use problem_details::ProblemType;
use serde_json::{Value, json};
use settings::table;

use super::PATH;
use super::form::{BATCH, STRUCTURED};
use crate::idempotency_key::MAX_LENGTH;

/// A key in double quotes, as the IETF's draft says, or bare.
const KEY: &str = r#"^("[!#-\[\]-~]+"|[!#-\[\]-~]+)$"#;

const JSON: &str = "application/json";

const ABOUT: &str = "\
Answered once every in-sync replica of the log has the event, or every event of an array.

- `application/json`: a device event, or an array of them. An array has a result for each.
- `application/cloudevents+json`: a CloudEvent 1.0 in structured mode; `subject` is the device.
- `application/cloudevents-batch+json`: an array of CloudEvents.
- With one of the headers `ce-specversion`, `ce-id`, `ce-source` or `ce-type` the request is a CloudEvent \
in binary mode: the body is its data, in any media type of JSON.

The body comes as it is or with `Content-Encoding: gzip`. A refused event was not written and will not \
be. After `unknown-outcome`, `no-process` and `no-answer` it may be in the log: with an \
`Idempotency-Key`, or as a CloudEvent, send it again, and it takes effect once.";

/// What a request may come to, beside what any may.
const PROBLEMS: [ProblemType; 8] = [
    ProblemType::MalformedJson,
    ProblemType::InvalidHeader,
    ProblemType::RequestTimeout,
    ProblemType::ContentTooLarge,
    ProblemType::UnsupportedMediaType,
    ProblemType::BrokerUnavailable,
    ProblemType::UnknownOutcome,
    ProblemType::NotReady,
];

/// The operation.
pub(super) fn operation() -> Operation {
    let headers = [Header::ConsistencyToken];
    let operation = Operation::new(Verb::Post, PATH, "reportDeviceEvents", "Report what happened")
        .reporting()
        .description(ABOUT)
        .tag("Device events")
        .with_access()
        .parameters(parameters())
        .body(JSON, one_or_several())
        .body(STRUCTURED, schema::named("CloudEvent"))
        .body(BATCH, several(0, schema::named("CloudEvent")))
        .answer(Answer::new(202, "In the log.").headers(&headers).json(json!({
            "oneOf": [schema::named("EventAccepted"), schema::named("EventResults")],
        })))
        .answer(
            Answer::new(207, "The events fared differently: each has its result.")
                .headers(&[Header::ConsistencyToken, Header::RetryAfter])
                .json(schema::named("EventResults")),
        )
        .problems(&PROBLEMS);
    examples::all().into_iter().fold(operation, Operation::example)
}

/// The schemas that it speaks of.
pub(super) fn with_schemas<S: Clone + Send + Sync + 'static>(to: Described<S>) -> Described<S> {
    to.schema("DeviceEvent", device_event())
        .schema("CloudEvent", cloud_event())
        .schema("EventAccepted", accepted())
        .schema("EventResult", result())
        .schema("EventResults", results())
}

fn parameters() -> Vec<Parameter> {
    let attribute = |name: &str, description: &str| {
        let description = format!("CloudEvents in binary mode: {description}");
        Parameter::header(name, &description, json!({"type": "string", "minLength": 1}))
    };
    vec![
        Parameter::header(
            "Idempotency-Key",
            "Your own name for the request, so that it may be sent again: in double quotes or bare. Not with a CloudEvent, which is named by `source` and `id`.",
            json!({"type": "string", "minLength": 1, "maxLength": MAX_LENGTH + 2, "pattern": KEY}),
        ),
        Parameter::header(
            "Content-Encoding",
            "How the body is compressed, if it is.",
            json!({"type": "string", "enum": ["gzip", "identity"]}),
        ),
        attribute("ce-specversion", "`1.0`."),
        attribute("ce-id", "names the event together with `ce-source`."),
        attribute("ce-source", "names the event together with `ce-id`."),
        attribute("ce-type", "any."),
        attribute("ce-subject", "the device id."),
        attribute("ce-time", "when it happened, as RFC 3339 writes it."),
    ]
}

fn one_or_several() -> Value {
    let event = || schema::named("DeviceEvent");
    json!({"oneOf": [event(), several(1, event())]})
}

fn several(least: u64, item: Value) -> Value {
    let most = schema::default_of(&table::EVENTS_MAX_ITEMS);
    json!({"type": "array", "minItems": least, "maxItems": most, "items": item})
}

fn payload() -> Value {
    let of = schema::default_of;
    schema::any(&format!(
        "Any JSON value of at most {} bytes, kept exactly as it was written: nested at most {} deep, \
         numbers of at most {} digits and an exponent of at most {}, no U+0000, no half of a surrogate \
         pair, no name twice in an object.",
        of(&table::PAYLOAD_MAX_BYTES),
        of(&table::PAYLOAD_MAX_DEPTH),
        of(&table::PAYLOAD_MAX_DIGITS),
        of(&table::PAYLOAD_MAX_EXPONENT),
    ))
}

fn occurred_at() -> &'static str {
    "When it happened, by the device's clock; at most five minutes ahead of ours."
}

fn device_event() -> Value {
    json!({
        "type": "object",
        "required": ["device_id", "payload"],
        "additionalProperties": false,
        "properties": {
            "device_id": schema::device_id(),
            "payload": payload(),
            "occurred_at": schema::time_or_null(occurred_at()),
        },
    })
}

fn cloud_event() -> Value {
    let text =
        |description: &str| json!({"type": "string", "minLength": 1, "description": description});
    json!({
        "type": "object",
        "description": "A CloudEvent 1.0. Other attributes are passed over and not stored.",
        "required": ["specversion", "id", "source", "type", "subject"],
        "properties": {
            "specversion": {"type": "string", "enum": ["1.0"]},
            "id": text("Names the event together with `source`."),
            "source": text("Names the event together with `id`."),
            "type": text("Any. Not stored: what the log records is that a device reported this."),
            "subject": schema::device_id(),
            "time": schema::time_or_null(occurred_at()),
            "datacontenttype": {
                "type": ["string", "null"], "pattern": "^[a-z0-9.-]+/([a-z0-9.-]+\\+)?json$",
                "description": "A media type of JSON.",
            },
            "data": payload(),
            "data_base64": {
                "type": ["string", "null"], "contentEncoding": "base64",
                "description": "In place of `data`: JSON in UTF-8, in base64.",
            },
        },
        "oneOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
    })
}

fn request_id() -> Value {
    json!({"type": "string", "format": "uuid", "description": "The event's identity."})
}

fn accepted() -> Value {
    json!({
        "type": "object",
        "required": ["request_id", "status"],
        "additionalProperties": false,
        "properties": {"request_id": request_id(), "status": {"type": "string", "const": "accepted"}},
    })
}

fn result() -> Value {
    json!({
        "type": "object",
        "required": ["status"],
        "additionalProperties": false,
        "properties": {
            "request_id": request_id(),
            "status": {
                "type": "string", "enum": ["accepted", "refused", "unknown"],
                "description": "`accepted`: it is in the log. `refused`: it is not and will not be. `unknown`: it may be.",
            },
            "problem": schema::named("Problem"),
        },
    })
}

fn results() -> Value {
    json!({
        "type": "object",
        "required": ["results"],
        "additionalProperties": false,
        "properties": {"results": {
            "type": "array", "items": schema::named("EventResult"),
            "description": "One for each event, in the order of the request.",
        }},
    })
}
