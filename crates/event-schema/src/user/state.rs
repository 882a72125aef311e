//! A user's state as it is stored between decisions: JSON, in which personal fields stay sealed.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::role::Role;
use domain::user::{User, field};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::personal::Sealed;

/// Why a text is no stored state of a user: fold their events again.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not the JSON that is written here.
    #[error("the stored state is not that of a user")]
    Json(#[source] serde_json::Error),
    /// A member holds what it cannot.
    #[error("the {what} of the stored state is malformed")]
    Malformed {
        /// The member.
        what: &'static str,
    },
}

/// The state as a JSON text. What reads it back is of the same [`domain::user::STATE_REVISION`].
pub fn encode_state(user: &User<Sealed>) -> String {
    json!({
        "username": sealed(user.username.as_ref()),
        "email": sealed(user.email.as_ref()),
        "full_name": sealed(user.full_name.as_ref()),
        "bio": sealed(user.bio.as_ref()),
        "image": sealed(user.image.as_ref()),
        "email_number": user.email_number,
        "email_verified": user.email_verified,
        "active": user.active,
        "roles": user.roles.iter().map(|role| role.name()).collect::<Vec<_>>(),
        "session_epoch": user.session_epoch,
        "second_factor": user.second_factor,
        "erased": user.erased,
    })
    .to_string()
}

fn sealed(sealed: Option<&Sealed>) -> Value {
    sealed.map_or(Value::Null, |sealed| {
        json!({ "event_id": sealed.event_id.to_string(), "bytes": STANDARD.encode(&sealed.bytes) })
    })
}

/// Reads what [`encode_state`] wrote.
pub fn decode_state(text: &str) -> Result<User<Sealed>, StateError> {
    let stored: Stored = serde_json::from_str(text).map_err(StateError::Json)?;
    let roles = stored.roles.iter().map(|name| Role::parse(name));
    Ok(User {
        username: read(field::USERNAME, stored.username)?,
        email: read(field::EMAIL, stored.email)?,
        full_name: read(field::FULL_NAME, stored.full_name)?,
        bio: read(field::BIO, stored.bio)?,
        image: read(field::IMAGE, stored.image)?,
        email_number: stored.email_number,
        email_verified: stored.email_verified,
        active: stored.active,
        roles: roles
            .collect::<Option<BTreeSet<_>>>()
            .ok_or(StateError::Malformed { what: "roles" })?,
        session_epoch: stored.session_epoch,
        second_factor: stored.second_factor,
        erased: stored.erased,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(deserialize_with = "present")]
    username: Option<StoredSealed>,
    #[serde(deserialize_with = "present")]
    email: Option<StoredSealed>,
    #[serde(deserialize_with = "present")]
    full_name: Option<StoredSealed>,
    #[serde(deserialize_with = "present")]
    bio: Option<StoredSealed>,
    #[serde(deserialize_with = "present")]
    image: Option<StoredSealed>,
    email_number: u32,
    email_verified: bool,
    active: bool,
    roles: Vec<String>,
    /// Absent before revision 2. Decisions fold such a state anew; verifying an erasure reads it.
    #[serde(default)]
    session_epoch: u32,
    /// As above.
    #[serde(default)]
    second_factor: bool,
    erased: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSealed {
    event_id: String,
    bytes: String,
}

/// A member that must stand there, if only as null: serde takes an `Option` as absent otherwise.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StoredSealed>, D::Error> {
    Option::deserialize(deserializer)
}

fn read(field: &'static str, stored: Option<StoredSealed>) -> Result<Option<Sealed>, StateError> {
    let malformed = || StateError::Malformed { what: field };
    let sealed = |stored: StoredSealed| {
        let event_id = Uuid::try_parse(&stored.event_id).map_err(|_| malformed())?;
        let bytes = STANDARD.decode(&stored.bytes).map_err(|_| malformed())?;
        Ok(Sealed { event_id, field, bytes })
    };
    stored.map(sealed).transpose()
}
