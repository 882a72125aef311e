//! Values that another program wrote: what our own events cannot hold is refused by name.

use apache_avro::types::Value;

use super::*;
use crate::datum;
use crate::schema::UserSchema;

/// A record as its schema has it, with some fields otherwise.
fn decoded(schema: SessionSchema, fields: &[(&str, Value)]) -> Result<SessionDecided, DecodeError> {
    let ours: &[(&str, Value)] = &[
        ("event_id", text("00000000-0000-0000-0000-000000000001")),
        ("session_id", text("00000000-0000-0000-0000-000000000002")),
        ("stream_version", Value::Long(1)),
        ("previous_id", Value::Union(0, Box::new(Value::Null))),
        ("occurred_at", Value::TimestampMicros(4)),
        ("user_id", text("00000000-0000-0000-0000-000000000003")),
        ("session_epoch", Value::Long(5)),
        ("generation", Value::Long(5)),
        ("client", text("a-mark")),
        ("started_at", Value::TimestampMicros(6)),
        ("refreshed_at", Value::TimestampMicros(6)),
    ];
    let schema = Schema::Session(schema);
    let text: serde_json::Value = serde_json::from_str(schema.text()).unwrap();
    let record = text["fields"].as_array().unwrap().iter().map(|field| {
        let name = field["name"].as_str().unwrap();
        let of = |fields: &[(&str, Value)]| {
            fields.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone())
        };
        let value = match of(fields).or_else(|| of(ours)).unwrap() {
            // Of what may be null, the other branch.
            value if field["type"].is_array() && !matches!(value, Value::Union(..)) => {
                Value::Union(1, Box::new(value))
            }
            value => value,
        };
        (name.to_owned(), value)
    });
    let record = Value::Record(record.collect());
    let datum = datum::writer(schema).write_value_to_vec(record).unwrap();
    decoder().decode(&[&[0][..], &id_of(schema).to_be_bytes(), &datum].concat())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn malformed(what: &'static str) -> Result<SessionDecided, DecodeError> {
    Err(DecodeError::Malformed { what })
}

#[test]
fn an_event_that_another_program_wrote_is_read() {
    assert_eq!(decoded(SessionSchema::LoggedInV1, &[]), Ok(first(logged_in())));
    let (client, refreshed_at) = (a_mark(), Timestamp(6));
    let refreshed = SessionEvent::Refreshed { generation: 5, client, refreshed_at };
    assert_eq!(decoded(SessionSchema::RefreshedV1, &[]), Ok(first(refreshed)));
    let reused = |client| first(SessionEvent::ReuseDetected { generation: 5, client });
    let by_a_client = decoded(SessionSchema::ReuseDetectedV1, &[]);
    assert_eq!(by_a_client, Ok(reused(Some(a_mark()))));
    let null = Value::Union(0, Box::new(Value::Null));
    let by_nobody_knows_whom = decoded(SessionSchema::ReuseDetectedV1, &[("client", null)]);
    assert_eq!(by_nobody_knows_whom, Ok(reused(None)));
    assert_eq!(decoded(SessionSchema::LoggedOutV1, &[]), Ok(first(SessionEvent::LoggedOut)));
    assert_eq!(decoded(SessionSchema::RevokedV1, &[]), Ok(first(SessionEvent::Revoked)));
}

#[test]
fn an_event_must_have_a_place_in_its_stream() {
    let logged_out = |fields: &[(&str, Value)]| decoded(SessionSchema::LoggedOutV1, fields);
    assert_eq!(logged_out(&[("session_id", text("no uuid"))]), malformed("session_id"));
    assert_eq!(logged_out(&[("stream_version", Value::Long(0))]), malformed("stream_version"));
    assert_eq!(logged_out(&[("stream_version", Value::Long(2))]), malformed("previous_id"));
}

#[test]
fn a_session_is_somebody_s() {
    let logged_in = |user_id| decoded(SessionSchema::LoggedInV1, &[("user_id", text(user_id))]);
    assert_eq!(logged_in("ann"), malformed("user_id"));
}

#[test]
fn numbers_are_those_that_can_be_counted() {
    for number in [-1, i64::from(u32::MAX) + 1, i64::MIN, i64::MAX] {
        let of = |schema, name| decoded(schema, &[(name, Value::Long(number))]);
        assert_eq!(of(SessionSchema::LoggedInV1, "session_epoch"), malformed("session_epoch"));
        assert_eq!(of(SessionSchema::RefreshedV1, "generation"), malformed("generation"));
        assert_eq!(of(SessionSchema::ReuseDetectedV1, "generation"), malformed("generation"));
    }
}

#[test]
fn who_a_client_says_it_is_stands_in_no_event_but_as_a_hash() {
    for client in ["", "Mozilla/5.0 (X11)", &"a".repeat(65)] {
        let of = |schema| decoded(schema, &[("client", text(client))]);
        assert_eq!(of(SessionSchema::LoggedInV1), malformed("client"), "{client}");
        assert_eq!(of(SessionSchema::RefreshedV1), malformed("client"), "{client}");
        assert_eq!(of(SessionSchema::ReuseDetectedV1), malformed("client"), "{client}");
    }
}

#[test]
fn a_value_of_another_family_does_not_belong() {
    for other in [crate::device::WRITTEN, Schema::User(UserSchema::ErasedV1)] {
        let value = [&[0][..], &id_of(other).to_be_bytes()].concat();
        let (id, record_name) = (id_of(other), other.record_name().to_owned());
        assert_eq!(decoder().decode(&value), Err(DecodeError::WrongRecord { id, record_name }));
    }
}
