//! Users' events as Avro records, a record type per schema version, raised to today's event in
//! plain code; and users' states as they are stored. Personal fields stay sealed in both.

mod profile;
mod read;
mod record;
mod role;
mod sealed;
mod state;
mod write;

use domain::user::UserEvent;

pub use self::state::{StateError, decode_state, encode_state};
pub use self::write::encode;
pub use crate::decided::EncodeError;
use crate::schema::{Schema, UserSchema};

/// The schema that an event is written with; its id is what [`encode`] is given.
pub const fn schema_of<P>(event: &UserEvent<P>) -> Schema {
    Schema::User(match event {
        UserEvent::Registered { .. } => UserSchema::RegisteredV1,
        UserEvent::EmailVerificationRequested => UserSchema::EmailVerificationRequestedV1,
        UserEvent::EmailVerified => UserSchema::EmailVerifiedV1,
        UserEvent::ProfileUpdated { .. } => UserSchema::ProfileUpdatedV1,
        UserEvent::EmailChanged { .. } => UserSchema::EmailChangedV1,
        UserEvent::Deactivated => UserSchema::DeactivatedV1,
        UserEvent::Reactivated => UserSchema::ReactivatedV1,
        UserEvent::RoleGranted { .. } => UserSchema::RoleGrantedV1,
        UserEvent::RoleRevoked { .. } => UserSchema::RoleRevokedV1,
        UserEvent::PasswordChanged => UserSchema::PasswordChangedV1,
        UserEvent::SessionsEnded => UserSchema::SessionsEndedV1,
        UserEvent::SecondFactorEnrolled => UserSchema::SecondFactorEnrolledV1,
        UserEvent::SecondFactorRemoved => UserSchema::SecondFactorRemovedV1,
        UserEvent::Erased => UserSchema::ErasedV1,
    })
}

#[cfg(test)]
mod tests;
