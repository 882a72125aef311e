//! Users' events on their way out of the log.

use domain::decision::Decided;
use domain::user::{UserEvent, field};
use serde::de::DeserializeOwned;

use super::sealed::SealedFields;
use super::{profile, record};
use crate::decided::{self, Record};
use crate::decode::{DecodeError, EventFamily};
use crate::personal::Sealed;
use crate::schema::{Family, Schema, UserSchema};

impl EventFamily for Decided<UserEvent<Sealed>> {
    const FAMILY: Family = Family::User;

    fn read(schema: Schema, datum: &mut &[u8]) -> Result<Self, DecodeError> {
        let version = match schema {
            Schema::User(version) => version,
            Schema::Device(_) | Schema::Session(_) => {
                return Err(DecodeError::Malformed { what: "schema" });
            }
        };
        let from = Datum { schema, datum };
        match version {
            UserSchema::RegisteredV1 => from.read::<record::Registered>(registered),
            UserSchema::EmailVerificationRequestedV1 => from
                .read::<record::EmailVerificationRequested>(|_, ()| {
                    Ok(UserEvent::EmailVerificationRequested)
                }),
            UserSchema::EmailVerifiedV1 => {
                from.read::<record::EmailVerified>(|_, ()| Ok(UserEvent::EmailVerified))
            }
            UserSchema::ProfileUpdatedV1 => from.read::<record::ProfileUpdated>(|fields, body| {
                Ok(UserEvent::ProfileUpdated { change: profile::read(fields, body)? })
            }),
            UserSchema::EmailChangedV1 => from.read::<record::EmailChanged>(|fields, (email,)| {
                Ok(UserEvent::EmailChanged { email: fields.read(field::EMAIL, email)? })
            }),
            UserSchema::DeactivatedV1 => {
                from.read::<record::Deactivated>(|_, ()| Ok(UserEvent::Deactivated))
            }
            UserSchema::ReactivatedV1 => {
                from.read::<record::Reactivated>(|_, ()| Ok(UserEvent::Reactivated))
            }
            UserSchema::RoleGrantedV1 => from.read::<record::RoleGranted>(|_, (role,)| {
                Ok(UserEvent::RoleGranted { role: role.read("role")? })
            }),
            UserSchema::RoleRevokedV1 => from.read::<record::RoleRevoked>(|_, (role,)| {
                Ok(UserEvent::RoleRevoked { role: role.read("role")? })
            }),
            UserSchema::PasswordChangedV1 => {
                from.read::<record::PasswordChanged>(|_, ()| Ok(UserEvent::PasswordChanged))
            }
            UserSchema::SessionsEndedV1 => {
                from.read::<record::SessionsEnded>(|_, ()| Ok(UserEvent::SessionsEnded))
            }
            UserSchema::SecondFactorEnrolledV1 => from
                .read::<record::SecondFactorEnrolled>(|_, ()| Ok(UserEvent::SecondFactorEnrolled)),
            UserSchema::SecondFactorRemovedV1 => {
                from.read::<record::SecondFactorRemoved>(|_, ()| Ok(UserEvent::SecondFactorRemoved))
            }
            UserSchema::ErasedV1 => from.read::<record::Erased>(|_, ()| Ok(UserEvent::Erased)),
        }
    }
}

fn registered(
    fields: SealedFields,
    (username, email, full_name, bio, image, roles): <record::Registered as Record>::Body,
) -> Result<UserEvent<Sealed>, DecodeError> {
    Ok(UserEvent::Registered {
        username: fields.read(field::USERNAME, username)?,
        email: fields.read(field::EMAIL, email)?,
        full_name: fields.read_optional(field::FULL_NAME, full_name),
        bio: fields.read_optional(field::BIO, bio),
        image: fields.read_optional(field::IMAGE, image),
        roles: roles.into_iter().map(|role| role.read("roles")).collect::<Result<_, _>>()?,
    })
}

/// The datum to be read, and the schema it was written in.
struct Datum<'a, 'b> {
    schema: Schema,
    datum: &'a mut &'b [u8],
}

impl Datum<'_, '_> {
    fn read<R: Record + DeserializeOwned>(
        self,
        event: impl FnOnce(SealedFields, R::Body) -> Result<UserEvent<Sealed>, DecodeError>,
    ) -> Result<Decided<UserEvent<Sealed>>, DecodeError> {
        let (place, body) = decided::read::<R>(self.schema, self.datum)?;
        place.try_map(|event_id, ()| event(SealedFields { event_id }, body))
    }
}
