//! What may be shown of a record, and what only when it is asked for.
//!
//! Anybody may have written a record, so a value is shown without being asked for only if it has
//! the form of what its name promises.

use chrono::DateTime;
use event_schema::header;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::table::{printable, shortened};

/// The longest value of a header that is shown in text.
const HEADER_LENGTH: usize = 300;

/// Words in the names of headers that carry credentials, in lower case without `-` and `_`.
const CREDENTIALS: [&str; 10] = [
    "accesskey",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "passw",
    "privatekey",
    "secret",
    "session",
    "token",
];

/// A value as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As it is.
    Text(String),
    /// As it is, in hexadecimal, since it is no text.
    Hex(String),
    /// Only how long it is; `--reveal` shows it.
    Masked(usize),
    /// Never.
    Credential,
    /// There is none.
    Absent,
}

impl Shown {
    /// As text for a terminal.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => shortened(&printable(text), HEADER_LENGTH),
            Self::Hex(hex) => shortened(&format!("0x{hex}"), HEADER_LENGTH),
            Self::Masked(bytes) => masked(*bytes),
            Self::Credential => "(masked: carries a credential)".to_owned(),
            Self::Absent => "(no value)".to_owned(),
        }
    }

    /// The members `value`, `value_hex` and `masked` of the documented object.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!({"value": text, "value_hex": null, "masked": false}),
            Self::Hex(hex) => json!({"value": null, "value_hex": hex, "masked": false}),
            Self::Masked(_) | Self::Credential => {
                json!({"value": null, "value_hex": null, "masked": true})
            }
            Self::Absent => json!({"value": null, "value_hex": null, "masked": false}),
        }
    }
}

/// What stands for a masked value in text.
pub(crate) fn masked(bytes: usize) -> String {
    format!("(masked, {bytes} bytes)")
}

/// A header's value. Unasked, only coordinates of the event are shown.
pub(crate) fn header(
    name: &str,
    value: Option<&[u8]>,
    stream_id: Option<&str>,
    reveal: bool,
) -> Shown {
    let Some(value) = value else { return Shown::Absent };
    if carries_credentials(name) {
        return Shown::Credential;
    }
    match std::str::from_utf8(value) {
        Ok(text) if reveal || is_coordinate(name, text, stream_id) => Shown::Text(text.to_owned()),
        Err(_) if reveal => Shown::Hex(hex(value)),
        _ => Shown::Masked(value.len()),
    }
}

fn carries_credentials(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    CREDENTIALS.iter().any(|word| name.contains(word))
}

/// Whether the header is one that names the event, and the value has that header's form.
fn is_coordinate(name: &str, value: &str, stream_id: Option<&str>) -> bool {
    match name {
        header::SPEC_VERSION => value == header::SPEC_VERSION_1,
        header::CONTENT_TYPE => value == header::AVRO,
        header::SOURCE => value == header::SOURCE_COMMAND_API,
        header::ID | header::PREVIOUS_ID | header::CORRELATION_ID | header::CAUSATION_ID => {
            is_uuid(value)
        }
        header::TIME => is_time(value),
        header::TYPE => value.starts_with("millrace.") && is_dotted(value),
        header::STREAM_VERSION => value.parse::<u64>().is_ok(),
        header::TRACE_PARENT => is_trace_parent(value),
        // Shown as the letter's key anyway.
        header::SUBJECT | header::PARTITION_KEY => Some(value) == stream_id,
        // Who did it is somebody's business, however opaque the id.
        _ => false,
    }
}

/// A key: a text, or bytes that are none.
pub(crate) fn key(key: Option<&[u8]>) -> Shown {
    match key.map(|key| (std::str::from_utf8(key), key)) {
        None => Shown::Absent,
        Some((Ok(text), _)) => Shown::Text(text.to_owned()),
        Some((Err(_), bytes)) => Shown::Hex(hex(bytes)),
    }
}

/// A column of a row: numbers, times and ids are shown, texts and documents when asked for.
pub(crate) fn column(name: &str, value: &Value, reveal: bool) -> Value {
    let is_id = name == "id" || name.ends_with("_id");
    match value {
        _ if reveal => value.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) if is_id || is_uuid(text) || is_time(text) => value.clone(),
        Value::String(text) => json!({"masked_bytes": text.len()}),
        Value::Array(_) | Value::Object(_) => json!({"masked_bytes": value.to_string().len()}),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_uuid(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}

fn is_time(text: &str) -> bool {
    DateTime::parse_from_rfc3339(text).is_ok()
}

fn is_dotted(text: &str) -> bool {
    text.len() <= 100
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
}

fn is_trace_parent(text: &str) -> bool {
    text.len() <= 55 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199c0de-0000-7000-8000-000000000001";

    fn shown(name: &str, value: &str, reveal: bool) -> Shown {
        header(name, Some(value.as_bytes()), Some("dev-9"), reveal)
    }

    #[test]
    fn coordinates_of_the_event_are_shown() {
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_id", ID),
            ("ce_source", "/millrace/command-api"),
            ("ce_type", "millrace.device.event-reported.v1"),
            ("ce_subject", "dev-9"),
            ("ce_partitionkey", "dev-9"),
            ("ce_time", "2026-03-01T12:00:00.123456Z"),
            ("content-type", "application/avro"),
            ("ce_streamversion", "7"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(shown(name, value, false), Shown::Text(value.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_coordinate_of_another_form_is_masked() {
        for name in [
            "ce_specversion",
            "ce_id",
            "ce_source",
            "ce_type",
            "ce_subject",
            "ce_partitionkey",
            "ce_time",
            "content-type",
            "ce_streamversion",
            "ce_previousid",
            "ce_correlationid",
            "ce_causationid",
            "traceparent",
        ] {
            assert_eq!(shown(name, "ann@example.org", false), Shown::Masked(15), "{name}");
        }
    }

    #[test]
    fn who_did_it_and_foreign_headers_are_shown_when_asked_for() {
        for name in ["ce_actor", "x-customer"] {
            assert_eq!(shown(name, ID, false), Shown::Masked(36), "{name}");
            assert_eq!(shown(name, ID, true), Shown::Text(ID.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_credential_is_never_shown() {
        for name in ["Authorization", "x-api-key", "session_cookie", "refresh-token", "db_password"]
        {
            assert_eq!(shown(name, "hunter2", true), Shown::Credential, "{name}");
            assert!(!shown(name, "hunter2", true).text().contains("hunter2"));
        }
    }

    #[test]
    fn a_key_that_is_no_text_is_shown_as_bytes() {
        assert_eq!(key(Some(b"dev-9")), Shown::Text("dev-9".to_owned()));
        assert_eq!(key(Some(&[0xff, 0x01])), Shown::Hex("ff01".to_owned()));
        assert_eq!(key(None), Shown::Absent);
    }

    #[test]
    fn of_a_row_numbers_times_and_ids_are_shown() {
        for (name, value) in [
            ("version", json!(3)),
            ("id", json!("dev-9")),
            ("article_id", json!("a")),
            ("updated_at", json!("2026-03-01T12:00:00+00:00")),
            ("occurred_at", json!(null)),
        ] {
            assert_eq!(column(name, &value, false), value, "{name}");
        }
        assert_eq!(column("name", &json!("Ann"), false), json!({"masked_bytes": 3}));
        let payload = json!({"name": "Ann"});
        assert_eq!(column("payload", &payload, false), json!({"masked_bytes": 14}));
        assert_eq!(column("payload", &payload, true), payload);
    }
}
