//! What golden datums of sessions say.

use domain::session::{ClientMark, Session, SessionEnd, SessionEvent, SessionId, evolve};

use super::*;

type SessionDecided = Decided<SessionEvent>;

/// As [`super::read`], of a session's event.
pub(super) fn read(schema: Schema, value: &[u8]) -> (Value, Vec<u8>) {
    let decided: SessionDecided = decoded(schema, value);
    assert_eq!(crate::session::schema_of(&decided.event), schema);
    (spelt_of_session(&decided), crate::session::encode(&decided, ID).unwrap())
}

fn spelt_of_session(decided: &SessionDecided) -> Value {
    let body = match &decided.event {
        SessionEvent::LoggedIn { user_id, session_epoch, client, started_at } => json!({
            "user_id": user_id.to_string(), "session_epoch": session_epoch,
            "client": client.as_str(), "started_at": started_at.micros(),
        }),
        SessionEvent::Refreshed { generation, client, refreshed_at } => json!({
            "generation": generation, "client": client.as_str(),
            "refreshed_at": refreshed_at.micros(),
        }),
        SessionEvent::ReuseDetected { generation, client } => json!({
            "generation": generation, "client": client.as_ref().map(ClientMark::as_str),
        }),
        SessionEvent::LoggedOut | SessionEvent::Revoked => json!({}),
    };
    spelt_of_decided("session_id", decided, body)
}

/// A session's state as `folded.json` spells it.
fn spelt_state(session: &Session) -> Value {
    json!({
        "user_id": session.user_id.to_string(), "session_epoch": session.session_epoch,
        "generation": session.generation, "client": session.client.as_str(),
        "started_at": session.started_at.micros(), "refreshed_at": session.refreshed_at.micros(),
        "end": session.end.map(SessionEnd::name),
    })
}

#[test]
fn what_was_written_with_any_version_still_folds_to_the_same_sessions() {
    let sessions = folded(Family::Session, evolve).into_iter().map(|(id, session)| {
        let stored = crate::session::encode_state(&session);
        assert_eq!(crate::session::decode_state(&stored).unwrap(), session);
        (SessionId(id).to_string(), spelt_state(&session))
    });
    assert_eq!(Value::Object(sessions.collect()), expected_states("session"));
}
