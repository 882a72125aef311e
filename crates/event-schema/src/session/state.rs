//! A session's state as it is stored between decisions: JSON.

use domain::Timestamp;
use domain::session::{ClientMark, Session, SessionEnd};
use domain::user::UserId;
use serde::{Deserialize, Deserializer};
use serde_json::json;

/// Why a text is no stored state of a session: fold its events again.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not the JSON that is written here.
    #[error("the stored state is not that of a session")]
    Json(#[source] serde_json::Error),
    /// A member holds what it cannot.
    #[error("the {what} of the stored state is malformed")]
    Malformed {
        /// The member.
        what: &'static str,
    },
}

/// The state as a JSON text. What reads it back is of the same [`domain::session::STATE_REVISION`].
pub fn encode_state(session: &Session) -> String {
    json!({
        "user_id": session.user_id.to_string(),
        "session_epoch": session.session_epoch,
        "generation": session.generation,
        "client": session.client.as_str(),
        "started_at": session.started_at.micros(),
        "refreshed_at": session.refreshed_at.micros(),
        "end": session.end.map(SessionEnd::name),
    })
    .to_string()
}

/// Reads what [`encode_state`] wrote.
pub fn decode_state(text: &str) -> Result<Session, StateError> {
    let stored: Stored = serde_json::from_str(text).map_err(StateError::Json)?;
    let malformed = |what| StateError::Malformed { what };
    let end = |name: String| SessionEnd::parse(&name).ok_or(malformed("end"));
    Ok(Session {
        user_id: UserId::parse(&stored.user_id).map_err(|_| malformed("user_id"))?,
        session_epoch: stored.session_epoch,
        generation: stored.generation,
        client: ClientMark::new(stored.client).ok_or(malformed("client"))?,
        started_at: Timestamp(stored.started_at),
        refreshed_at: Timestamp(stored.refreshed_at),
        end: stored.end.map(end).transpose()?,
    })
}

/// Times are microseconds since 1970.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    user_id: String,
    session_epoch: u32,
    generation: u32,
    client: String,
    started_at: i64,
    refreshed_at: i64,
    #[serde(deserialize_with = "present")]
    end: Option<String>,
}

/// A member that must stand there, if only as null: serde takes an `Option` as absent otherwise.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}
