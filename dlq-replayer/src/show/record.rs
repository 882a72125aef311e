//! A letter's record, decoded where its schema is known.

use domain::decision::Decided;
use domain::device::{Dedupe, DeviceEvent, DeviceEventReported};
use domain::session::SessionEvent;
use domain::user::UserEvent;
use event_schema::decode::{DecodeError, Decoder, KnownId};
use event_schema::personal::Sealed;
use event_schema::schema::{Family, Schema};
use read_models::deployment::RegisteredSchema;
use serde_json::{Value, json};

use super::{session, user};
use crate::mask::{Shown, hex, masked};
use crate::table::{printable, shortened};

/// The most bytes of a value that text shows in hexadecimal.
const DUMP: usize = 512;

/// The longest payload that text shows.
const PAYLOAD: usize = 4_000;

/// A record as the letter holds it.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Decoded {
    Absent,
    Device(DeviceEventReported),
    User(Box<Decided<UserEvent<Sealed>>>),
    Session(Box<Decided<SessionEvent>>),
    Unknown(DecodeError),
}

/// The decoders of all families, by the ids that the deploy step recorded. The registry is never
/// asked: what is not known here is shown as bytes.
pub(super) struct Decoders {
    device: Decoder<DeviceEvent>,
    user: Decoder<Decided<UserEvent<Sealed>>>,
    session: Decoder<Decided<SessionEvent>>,
    known: Vec<RegisteredSchema>,
}

impl Decoders {
    pub(super) fn new(known: Vec<RegisteredSchema>) -> Self {
        event_schema::limit_allocations();
        let ids = || {
            known.iter().map(|schema| KnownId {
                schema_id: schema.schema_id,
                record_name: schema.record_name.clone(),
                version: schema.version,
            })
        };
        Self {
            device: Decoder::new(ids()),
            user: Decoder::new(ids()),
            session: Decoder::new(ids()),
            known,
        }
    }

    pub(super) fn decode(&self, value: Option<&[u8]>) -> Decoded {
        let Some(value) = value else { return Decoded::Absent };
        let decoded = match self.family(value) {
            // What is of no family is told as one of them tells it.
            Some(Family::Device) | None => self.device.decode(value).map(|event| match event {
                DeviceEvent::Reported(event) => Decoded::Device(event),
            }),
            Some(Family::User) => {
                self.user.decode(value).map(|event| Decoded::User(Box::new(event)))
            }
            Some(Family::Session) => {
                self.session.decode(value).map(|event| Decoded::Session(Box::new(event)))
            }
        };
        decoded.unwrap_or_else(Decoded::Unknown)
    }

    /// The family of the record that the first bytes of a value name, in whatever version.
    fn family(&self, value: &[u8]) -> Option<Family> {
        let id = schema_id(value)?;
        let recorded = self.known.iter().find(|schema| schema.schema_id == id)?;
        let mut ours = Schema::ALL.iter();
        ours.find(|schema| schema.record_name() == recorded.record_name).map(|ours| ours.family())
    }

    /// The schema that the first bytes of a value name, as far as it was recorded.
    fn schema(&self, value: &[u8]) -> (Option<u32>, Option<String>) {
        let id = schema_id(value);
        let of_id = |id| self.known.iter().find(|schema| schema.schema_id == id);
        let name = id
            .and_then(of_id)
            .map(|schema| format!("{} version {}", schema.record_name, schema.version));
        (id, name)
    }
}

fn schema_id(value: &[u8]) -> Option<u32> {
    match value {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// The value in lines of text.
pub(super) fn text(decoders: &Decoders, value: Option<&[u8]>, reveal: bool) -> Vec<String> {
    let Some(bytes) = value else { return vec!["  (no value)".to_owned()] };
    let schema = match decoders.schema(bytes) {
        (Some(id), Some(name)) => format!(", schema id {id}: {name}"),
        (Some(id), None) => format!(", schema id {id}, which was not recorded here"),
        (None, _) => String::new(),
    };
    let mut lines = vec![format!("  {} bytes{schema}", bytes.len())];
    match decoders.decode(value) {
        Decoded::Absent => {}
        Decoded::Device(event) => lines.extend(event_text(&event, reveal)),
        Decoded::User(event) => lines.extend(user::text(&event)),
        Decoded::Session(event) => lines.extend(session::text(&event)),
        Decoded::Unknown(error) => {
            lines.push(format!("  not decodable: {error} ({})", error.kind()));
            lines.extend(if reveal { dump(bytes) } else { vec![hint()] });
        }
    }
    lines
}

fn hint() -> String {
    "  the bytes are masked; --reveal shows them".to_owned()
}

fn event_text(event: &DeviceEventReported, reveal: bool) -> Vec<String> {
    let payload = match reveal {
        true => shortened(&printable(&event.payload), PAYLOAD),
        false => masked(event.payload.len()),
    };
    vec![
        format!("  device_id    {}", printable(event.device_id.as_str())),
        format!("  request_id   {}", event.request_id),
        format!("  dedupe       {}", dedupe(event)),
        format!("  occurred_at  {}", occurred_at(event).unwrap_or_else(|| "-".to_owned())),
        format!("  payload      {payload}"),
    ]
}

/// The documented object of a value.
pub(super) fn document(decoders: &Decoders, value: Option<&[u8]>, reveal: bool) -> Value {
    let Some(bytes) = value else { return Value::Null };
    let (schema_id, schema) = decoders.schema(bytes);
    let (event, error) = match decoders.decode(value) {
        Decoded::Device(event) => (event_json(&event, reveal), Value::Null),
        Decoded::User(event) => (user::json(&event), Value::Null),
        Decoded::Session(event) => (session::json(&event), Value::Null),
        Decoded::Unknown(error) => {
            (Value::Null, json!({"code": error.kind(), "message": error.to_string()}))
        }
        Decoded::Absent => (Value::Null, Value::Null),
    };
    json!({
        "bytes": bytes.len(),
        "schema_id": schema_id,
        "schema": schema,
        "event": event,
        "error": error,
        "masked": !reveal,
        "hex": reveal.then(|| hex(bytes)),
    })
}

fn event_json(event: &DeviceEventReported, reveal: bool) -> Value {
    json!({
        "device_id": event.device_id.as_str(),
        "request_id": event.request_id.to_string(),
        "dedupe": dedupe(event),
        "occurred_at": occurred_at(event),
        "payload": reveal.then_some(&event.payload),
        "payload_bytes": event.payload.len(),
    })
}

fn dedupe(event: &DeviceEventReported) -> &'static str {
    match event.dedupe {
        Dedupe::None => "none",
        Dedupe::Client => "client",
    }
}

fn occurred_at(event: &DeviceEventReported) -> Option<String> {
    event.occurred_at.and_then(domain::Timestamp::to_rfc3339)
}

/// Offsets, bytes and the characters that can be shown; bounded.
fn dump(bytes: &[u8]) -> Vec<String> {
    let shown = bytes.get(..DUMP).unwrap_or(bytes);
    let mut lines: Vec<String> = shown
        .chunks(16)
        .enumerate()
        .map(|(number, chunk)| {
            let columns: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let text: String = chunk
                .iter()
                .map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' })
                .collect();
            format!("  {:06x}  {:<47}  {text}", number * 16, columns.join(" "))
        })
        .collect();
    if bytes.len() > shown.len() {
        lines.push(format!("  ... {} more bytes", bytes.len() - shown.len()));
    }
    lines
}

/// Headers with what may be shown of each.
pub(super) fn headers(
    record: &Record,
    stream_id: Option<&str>,
    reveal: bool,
) -> Vec<(String, Shown)> {
    record
        .headers
        .iter()
        .map(|(name, value)| {
            (name.clone(), crate::mask::header(name, value.as_deref(), stream_id, reveal))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::device::DeviceId;
    use uuid::Uuid;

    use super::*;

    const SCHEMA_ID: u32 = 7;

    fn decoders() -> Decoders {
        let written = event_schema::device::WRITTEN;
        Decoders::new(vec![RegisteredSchema {
            subject: written.subject("events-input"),
            record_name: written.record_name().to_owned(),
            version: written.version(),
            schema_id: SCHEMA_ID,
        }])
    }

    fn a_value() -> Vec<u8> {
        let event = DeviceEventReported {
            device_id: DeviceId::from_log("dev-9".to_owned()),
            request_id: Uuid::from_u128(1),
            dedupe: Dedupe::None,
            body_hash: None,
            occurred_at: None,
            payload: r#"{"name":"Ann"}"#.to_owned(),
        };
        event_schema::device::encode(&event, SCHEMA_ID).unwrap()
    }

    #[test]
    fn an_event_is_shown_without_its_payload_unless_that_is_asked_for() {
        let value = a_value();
        let masked = text(&decoders(), Some(&value), false).join("\n");
        assert!(masked.contains("device_id    dev-9"), "{masked}");
        assert!(masked.contains("payload      (masked, 14 bytes)"), "{masked}");
        assert!(!masked.contains("Ann"), "{masked}");
        let revealed = text(&decoders(), Some(&value), true).join("\n");
        assert!(revealed.contains(r#"payload      {"name":"Ann"}"#), "{revealed}");
    }

    #[test]
    fn the_document_masks_alike() {
        let value = a_value();
        let masked = document(&decoders(), Some(&value), false);
        assert_eq!(masked["schema"], "millrace.device.DeviceEventReported version 1");
        assert_eq!(masked["event"]["payload"], Value::Null);
        assert_eq!(masked["event"]["payload_bytes"], 14);
        assert!(!masked.to_string().contains("Ann"));
        let revealed = document(&decoders(), Some(&value), true);
        assert_eq!(revealed["event"]["payload"], r#"{"name":"Ann"}"#);
    }

    #[test]
    fn what_cannot_be_decoded_is_named_and_its_bytes_are_masked() {
        let value = [&[0, 0, 0, 0, 99][..], b"Ann"].concat();
        let masked = text(&decoders(), Some(&value), false).join("\n");
        assert!(masked.contains("8 bytes, schema id 99, which was not recorded here"), "{masked}");
        assert!(masked.contains("(unknown-schema-id)"), "{masked}");
        assert!(!masked.contains("Ann") && !masked.contains("41 6e 6e"), "{masked}");
        let revealed = text(&decoders(), Some(&value), true).join("\n");
        assert!(revealed.contains("00 00 00 00 63 41 6e 6e") && revealed.contains("....cAnn"));
    }

    #[test]
    fn a_dump_is_bounded_and_narrow() {
        let lines = dump(&[0x1b; 100_000]);
        assert_eq!(lines.len(), DUMP / 16 + 1);
        assert_eq!(lines.last().unwrap(), "  ... 99488 more bytes");
        assert!(lines.iter().all(|line| line.len() <= 100 && !line.contains('\u{1b}')));
    }

    #[test]
    fn a_record_without_a_value_says_so() {
        assert_eq!(text(&decoders(), None, true), ["  (no value)"]);
        assert_eq!(document(&decoders(), None, true), Value::Null);
    }
}
