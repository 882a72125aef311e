//! Users' events on their way into the log.

use domain::decision::Decided;
use domain::user::{UserEvent, field};
use serde::Serialize;

use super::record::{self, Place, Record, RoleRecord};
use super::sealed::SealedFields;
use super::{profile, schema_of};
use crate::personal::Sealed;
use crate::{datum, wire};

/// Why an event could not be written, which is a defect of whoever made it.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A personal field was sealed for another event or field, so it would never open.
    #[error("the {field} was sealed for another place")]
    Misplaced {
        /// The field.
        field: &'static str,
    },
    /// No version, or an event before the first, or none before a later one.
    #[error("an event cannot stand at version {version} behind what it names")]
    Place {
        /// The version.
        version: u64,
    },
    /// The event does not fit its own schema, which is a defect of this crate.
    #[error("the event could not be written as {record_name}")]
    Avro {
        /// The record.
        record_name: &'static str,
        /// What does not fit.
        #[source]
        source: apache_avro::Error,
    },
}

/// The value of a record in the log: the wire format's prefix and the event in the schema that
/// [`schema_of`] names, whose id in the registry is `schema_id`.
pub fn encode(
    decided: &Decided<UserEvent<Sealed>>,
    schema_id: u32,
) -> Result<Vec<u8>, EncodeError> {
    let to = Value { decided, schema_id };
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
        UserEvent::Erased => to.write::<record::Erased>(()),
    }
}

/// The value to be written.
struct Value<'a> {
    decided: &'a Decided<UserEvent<Sealed>>,
    schema_id: u32,
}

impl Value<'_> {
    fn write<R: Record + Serialize>(&self, body: R::Body) -> Result<Vec<u8>, EncodeError> {
        let Decided { event_id, aggregate_id, version, previous_id, occurred_at, event } =
            self.decided;
        let place = Place {
            event_id: *event_id,
            user_id: *aggregate_id,
            stream_version: *version,
            previous_id: *previous_id,
            occurred_at: *occurred_at,
        };
        let schema = schema_of(event);
        let mut value = Vec::new();
        wire::write_prefix(self.schema_id, &mut value);
        datum::writer(schema)
            .write_ser(&mut value, &R::new(place.fields()?, body))
            .map_err(|source| EncodeError::Avro { record_name: schema.record_name(), source })?;
        Ok(value)
    }
}
