//! Values that another program wrote: what our own events cannot hold is refused by name.

use apache_avro::types::Value;

use super::*;
use crate::decided::tests::{decoder, first, foreign, must_have_a_place, null, text};
use crate::decode::DecodeError;

/// The event of a record as its schema has it, with some fields otherwise.
fn decoded(schema: SessionSchema, fields: &[(&str, Value)]) -> Result<SessionDecided, DecodeError> {
    let ours = [
        ("session_id", text("00000000-0000-0000-0000-000000000002")),
        ("user_id", text("00000000-0000-0000-0000-000000000003")),
        ("session_epoch", Value::Long(5)),
        ("generation", Value::Long(5)),
        ("client", text("a-mark")),
        ("started_at", Value::TimestampMicros(6)),
        ("refreshed_at", Value::TimestampMicros(6)),
    ];
    decoder().decode(&foreign(Schema::Session(schema), fields, &ours))
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
    let by_nobody_knows_whom = decoded(SessionSchema::ReuseDetectedV1, &[("client", null())]);
    assert_eq!(by_nobody_knows_whom, Ok(reused(None)));
    assert_eq!(decoded(SessionSchema::LoggedOutV1, &[]), Ok(first(SessionEvent::LoggedOut)));
    assert_eq!(decoded(SessionSchema::RevokedV1, &[]), Ok(first(SessionEvent::Revoked)));
}

#[test]
fn an_event_must_have_a_place_in_its_stream() {
    must_have_a_place("session_id", |fields| decoded(SessionSchema::LoggedOutV1, fields));
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
