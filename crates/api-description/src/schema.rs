//! Shapes that several slices speak of.

use problem_details::ProblemType;
use serde_json::{Value, json};
use settings::Setting;

/// A reference to a schema that was [named](crate::Described::schema).
pub fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The number that holds where a deployment does not set another one; 0 for a setting that is none.
pub fn default_of(setting: &Setting) -> u64 {
    setting.default.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A time as RFC 3339 writes it.
pub fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}

/// The same, or `null`.
pub fn time_or_null(description: &str) -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "description": description})
}

/// Any JSON value.
pub fn any(description: &str) -> Value {
    json!({"description": description})
}

/// A device's id.
pub fn device_id() -> Value {
    let longest = default_of(&settings::table::DEVICE_ID_MAX);
    json!({
        "type": "string", "minLength": 1, "maxLength": longest,
        "description": format!("1 to {longest} visible characters: no white space, control or zero-width characters."),
    })
}

/// A problem document (RFC 9457).
pub(crate) fn problem() -> Value {
    let types: Vec<&str> = ProblemType::ALL.iter().map(|kind| kind.uri()).collect();
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457). `type` is what programs may rely on.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "enum": types},
            "title": {"type": "string", "description": "The type in words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What it means for this request and what to do."},
            "request_id": {"type": "string", "format": "uuid", "description": "The event that the request may have become."},
            "errors": {"type": "array", "items": named("BrokenRule")},
            "results": {"type": "array", "items": named("EventResult"), "description": "Of several events that fared alike."},
            "enrolment": {"type": "object", "description": "The second factor that has to be enrolled, as it is handed out."},
            "projection": {"type": "string", "description": "The view that is behind."},
            "topic": {"type": "string"},
            "partition": {"type": "integer", "minimum": 0},
            "position": {"type": "integer", "minimum": 0, "description": "The first offset that the view does not show."},
            "wanted": {"type": "integer", "minimum": 0, "description": "The offset that the token names."},
            "behind": {"type": "integer", "minimum": 0, "description": "Records from the one to the other."},
            "reason": {"type": "string", "description": "Why the projection stopped itself."}
        }
    })
}

/// One rule that a request breaks.
pub(crate) fn broken_rule() -> Value {
    json!({
        "type": "object",
        "required": ["rule", "detail"],
        "properties": {
            "pointer": {"type": "string", "description": "The part of the body, as a JSON pointer (RFC 6901)."},
            "parameter": {"type": "string", "description": "The parameter of the query."},
            "rule": {"type": "string", "description": "The rule's stable name."},
            "limit": {"type": "integer", "minimum": 0, "description": "The limit that was passed."},
            "detail": {"type": "string"}
        },
        "oneOf": [{"required": ["pointer"]}, {"required": ["parameter"]}]
    })
}
