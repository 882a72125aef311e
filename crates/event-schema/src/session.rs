//! Sessions' events as Avro records, a record type per schema version, raised to today's event in
//! plain code; and sessions' states as they are stored. Nothing in either tells of a person.

mod read;
mod record;
mod state;
mod write;

use domain::session::SessionEvent;

pub use self::state::{StateError, decode_state, encode_state};
pub use self::write::encode;
pub use crate::decided::EncodeError;
use crate::schema::{Schema, SessionSchema};

/// The schema that an event is written with; its id is what [`encode`] is given.
pub const fn schema_of(event: &SessionEvent) -> Schema {
    Schema::Session(match event {
        SessionEvent::LoggedIn { .. } => SessionSchema::LoggedInV1,
        SessionEvent::Refreshed { .. } => SessionSchema::RefreshedV1,
        SessionEvent::ReuseDetected { .. } => SessionSchema::ReuseDetectedV1,
        SessionEvent::LoggedOut => SessionSchema::LoggedOutV1,
        SessionEvent::Revoked => SessionSchema::RevokedV1,
    })
}

#[cfg(test)]
mod tests;
