//! Users' states as they are stored.

use super::*;

/// States as they come of events, and others that only a later fold could make.
fn any_state() -> impl Strategy<Value = Option<User<Sealed>>> {
    vec(any_decided(), 0..12)
        .prop_map(|decided| decided.into_iter().map(|decided| decided.event).fold(None, evolve))
}

fn ann() -> User<Sealed> {
    let registered = UserEvent::Registered {
        username: sealed(EVENT, field::USERNAME, b"\x01name"),
        email: sealed(EVENT, field::EMAIL, b"\x01address"),
        full_name: None,
        bio: None,
        image: None,
        roles: vec![Role::Admin, Role::User],
    };
    evolve(None, registered).unwrap()
}

/// What [`encode_state`] writes of [`ann`]; whoever changes it raises `STATE_REVISION`.
const ANN: &str = concat!(
    r#"{"active":true,"bio":null,"#,
    r#""email":{"bytes":"AWFkZHJlc3M=","event_id":"00000000-0000-0000-0000-000000000001"},"#,
    r#""email_number":1,"email_verified":false,"erased":false,"full_name":null,"image":null,"#,
    r#""roles":["user","admin"],"second_factor":false,"session_epoch":0,"#,
    r#""username":{"bytes":"AW5hbWU=","event_id":"00000000-0000-0000-0000-000000000001"}}"#,
);

#[test]
fn a_state_is_stored_as_json() {
    assert_eq!(domain::user::STATE_REVISION, 2);
    let stored: serde_json::Value = serde_json::from_str(&encode_state(&ann())).unwrap();
    assert_eq!(stored, serde_json::from_str::<serde_json::Value>(ANN).unwrap());
    assert_eq!(decode_state(ANN).unwrap(), ann());
}

#[test]
fn a_state_of_before_sessions_still_tells_who_was_erased() {
    let before = ANN.replacen(r#""second_factor":false,"session_epoch":0,"#, "", 1);
    assert_ne!(before, ANN);
    assert_eq!(decode_state(&before).unwrap(), ann());
}

#[test]
fn a_state_of_another_shape_is_folded_again() {
    let refusal = |from: &str, to: &str| {
        let text = ANN.replacen(from, to, 1);
        assert_ne!(text, ANN, "{from} is no part of a state");
        decode_state(&text).unwrap_err().to_string()
    };
    let other = "the stored state is not that of a user";
    assert_eq!(refusal("{", ""), other);
    assert_eq!(refusal(r#""active":true,"#, ""), other);
    assert_eq!(refusal(r#""bio":null,"#, ""), other);
    assert_eq!(refusal(r#""bio":null"#, r#""bio":null,"age":7"#), other);
    assert_eq!(refusal(r#""bio":null"#, r#""bio":"Hi""#), other);
    assert_eq!(refusal(r#""session_epoch":0"#, r#""session_epoch":-1"#), other);
    assert_eq!(refusal(r#""second_factor":false"#, r#""second_factor":null"#), other);
    assert_eq!(refusal("\"admin\"", "\"king\""), "the roles of the stored state is malformed");
    assert_eq!(refusal("AW5hbWU=", "AW5h!"), "the username of the stored state is malformed");
    assert_eq!(refusal("-000000000001", ""), "the email of the stored state is malformed");
}

proptest! {
    #[test]
    fn a_state_reads_back_as_it_was_stored(state in any_state()) {
        if let Some(user) = state {
            prop_assert_eq!(decode_state(&encode_state(&user)).unwrap(), user);
        }
    }
}
