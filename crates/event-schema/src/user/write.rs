//! Users' events on their way into the log.

use domain::decision::Decided;
use domain::user::{UserEvent, field};

use super::record::{self, RoleRecord};
use super::sealed::SealedFields;
use super::{EncodeError, profile, schema_of};
use crate::decided::Value;
use crate::personal::Sealed;

/// The value of a record in the log: the wire format's prefix and the event in the schema that
/// [`schema_of`] names, whose id in the registry is `schema_id`.
pub fn encode(
    decided: &Decided<UserEvent<Sealed>>,
    schema_id: u32,
) -> Result<Vec<u8>, EncodeError> {
    let to = Value { decided, schema: schema_of(&decided.event), schema_id };
    let fields = SealedFields { event_id: decided.event_id };
    match &decided.event {
        UserEvent::Registered { username, email, full_name, bio, image, roles } => {
            to.write::<record::Registered>((
                fields.write(field::USERNAME, username)?,
                fields.write(field::EMAIL, email)?,
                fields.write_optional(field::FULL_NAME, full_name.as_ref())?,
                fields.write_optional(field::BIO, bio.as_ref())?,
                fields.write_optional(field::IMAGE, image.as_ref())?,
                roles.iter().copied().map(RoleRecord::from).collect(),
            ))
        }
        UserEvent::EmailVerificationRequested => to.write::<record::EmailVerificationRequested>(()),
        UserEvent::EmailVerified => to.write::<record::EmailVerified>(()),
        UserEvent::ProfileUpdated { change } => {
            to.write::<record::ProfileUpdated>(profile::write(fields, change)?)
        }
        UserEvent::EmailChanged { email } => {
            to.write::<record::EmailChanged>((fields.write(field::EMAIL, email)?,))
        }
        UserEvent::Deactivated => to.write::<record::Deactivated>(()),
        UserEvent::Reactivated => to.write::<record::Reactivated>(()),
        UserEvent::RoleGranted { role } => to.write::<record::RoleGranted>(((*role).into(),)),
        UserEvent::RoleRevoked { role } => to.write::<record::RoleRevoked>(((*role).into(),)),
        UserEvent::PasswordChanged => to.write::<record::PasswordChanged>(()),
        UserEvent::SessionsEnded => to.write::<record::SessionsEnded>(()),
        UserEvent::SecondFactorEnrolled => to.write::<record::SecondFactorEnrolled>(()),
        UserEvent::SecondFactorRemoved => to.write::<record::SecondFactorRemoved>(()),
        UserEvent::Erased => to.write::<record::Erased>(()),
    }
}
