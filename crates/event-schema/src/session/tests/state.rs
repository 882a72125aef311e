//! Sessions' states as they are stored.

use super::*;

/// States as they come of events, and others that only a later fold could make.
fn any_state() -> impl Strategy<Value = Option<Session>> {
    vec(any_event(), 0..12).prop_map(|events| events.into_iter().fold(None, evolve))
}

fn a_session() -> Session {
    let (client, refreshed_at) = (a_mark(), Timestamp(7));
    let refreshed = SessionEvent::Refreshed { generation: 2, client, refreshed_at };
    [logged_in(), refreshed, SessionEvent::LoggedOut].into_iter().fold(None, evolve).unwrap()
}

/// What [`encode_state`] writes of [`a_session`]; whoever changes it raises `STATE_REVISION`.
const STORED: &str = concat!(
    r#"{"client":"a-mark","end":"logged-out","generation":2,"refreshed_at":7,"session_epoch":5,"#,
    r#""started_at":6,"user_id":"00000000-0000-0000-0000-000000000003"}"#,
);

#[test]
fn a_state_is_stored_as_json() {
    assert_eq!(domain::session::STATE_REVISION, 1);
    let stored: serde_json::Value = serde_json::from_str(&encode_state(&a_session())).unwrap();
    assert_eq!(stored, serde_json::from_str::<serde_json::Value>(STORED).unwrap());
    assert_eq!(decode_state(STORED).unwrap(), a_session());
}

#[test]
fn a_state_of_another_shape_is_folded_again() {
    let refusal = |from: &str, to: &str| {
        let text = STORED.replacen(from, to, 1);
        assert_ne!(text, STORED, "{from} is no part of a state");
        decode_state(&text).unwrap_err().to_string()
    };
    let other = "the stored state is not that of a session";
    assert_eq!(refusal("{", ""), other);
    assert_eq!(refusal(r#""end":"logged-out","#, ""), other);
    assert_eq!(refusal(r#""generation":2"#, r#""generation":-2"#), other);
    assert_eq!(refusal(r#""generation":2"#, r#""generation":2,"age":7"#), other);
    assert_eq!(refusal("logged-out", "over"), "the end of the stored state is malformed");
    assert_eq!(refusal("a-mark", "a mark"), "the client of the stored state is malformed");
    assert_eq!(refusal("-000000000003", ""), "the user_id of the stored state is malformed");
}

proptest! {
    #[test]
    fn a_state_reads_back_as_it_was_stored(state in any_state()) {
        if let Some(session) = state {
            prop_assert_eq!(decode_state(&encode_state(&session)).unwrap(), session);
        }
    }
}
