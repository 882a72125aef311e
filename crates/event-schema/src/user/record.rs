//! The records of users' events, field by field as their schemas have them.

use domain::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::EncodeError;
use crate::decode::DecodeError;

/// What every record of a user begins with: the event's place in its stream.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) event_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) stream_version: u64,
    pub(super) previous_id: Option<Uuid>,
    pub(super) occurred_at: Timestamp,
}

/// The fields of a [`Place`], as they are written.
pub(super) struct PlaceFields {
    event_id: String,
    user_id: String,
    stream_version: i64,
    previous_id: Option<String>,
    occurred_at: i64,
}

impl Place {
    pub(super) fn fields(self) -> Result<PlaceFields, EncodeError> {
        let version = self.stream_version;
        let stream_version = i64::try_from(version).map_err(|_| EncodeError::Place { version })?;
        if !stands(stream_version, self.previous_id.as_ref()) {
            return Err(EncodeError::Place { version });
        }
        Ok(PlaceFields {
            event_id: self.event_id.to_string(),
            user_id: self.user_id.to_string(),
            stream_version,
            previous_id: self.previous_id.map(|id| id.to_string()),
            occurred_at: self.occurred_at.micros(),
        })
    }
}

impl PlaceFields {
    pub(super) fn read(self) -> Result<Place, DecodeError> {
        let uuid =
            |what, text: &str| Uuid::try_parse(text).map_err(|_| DecodeError::Malformed { what });
        let malformed = |what| DecodeError::Malformed { what };
        let stream_version =
            u64::try_from(self.stream_version).map_err(|_| malformed("stream_version"))?;
        if !stands(self.stream_version, self.previous_id.as_ref()) {
            return Err(malformed(if stream_version == 0 {
                "stream_version"
            } else {
                "previous_id"
            }));
        }
        Ok(Place {
            event_id: uuid("event_id", &self.event_id)?,
            user_id: uuid("user_id", &self.user_id)?,
            stream_version,
            previous_id: self.previous_id.map(|text| uuid("previous_id", &text)).transpose()?,
            occurred_at: Timestamp(self.occurred_at),
        })
    }
}

/// Versions begin with 1, and exactly the first event follows none.
fn stands<I>(version: i64, previous_id: Option<&I>) -> bool {
    version >= 1 && (version == 1) == previous_id.is_none()
}

/// A record, split into the event's place and what else it holds, in the order of its schema.
pub(super) trait Record: Sized {
    /// What the record holds besides the event's place.
    type Body;

    fn new(place: PlaceFields, body: Self::Body) -> Self;

    fn split(self) -> (PlaceFields, Self::Body);
}

/// A record of the name that its schema has.
macro_rules! record {
    ($schema:literal, $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(rename = $schema)]
        pub(super) struct $name {
            event_id: String,
            user_id: String,
            stream_version: i64,
            previous_id: Option<String>,
            occurred_at: i64,
            $($(#[$attribute])* $field: $type,)*
        }

        impl Record for $name {
            type Body = ($($type,)*);

            fn new(place: PlaceFields, ($($field,)*): Self::Body) -> Self {
                let PlaceFields { event_id, user_id, stream_version, previous_id, occurred_at } =
                    place;
                Self { event_id, user_id, stream_version, previous_id, occurred_at, $($field,)* }
            }

            fn split(self) -> (PlaceFields, Self::Body) {
                let Self { event_id, user_id, stream_version, previous_id, occurred_at, $($field,)* } =
                    self;
                let place =
                    PlaceFields { event_id, user_id, stream_version, previous_id, occurred_at };
                (place, ($($field,)*))
            }
        }
    };
}

/// The bytes of a sealed field.
pub(super) type SealedBytes = Option<Vec<u8>>;

record!("UserRegistered", Registered {
    #[serde(with = "apache_avro::serde::bytes_opt")]
    username: SealedBytes,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    email: SealedBytes,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    full_name: SealedBytes,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    bio: SealedBytes,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    image: SealedBytes,
    roles: Vec<RoleRecord>,
});
record!("EmailVerificationRequested", EmailVerificationRequested {});
record!("EmailVerified", EmailVerified {});
record!("UserProfileUpdated", ProfileUpdated {
    changed: Vec<ProfileField>,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    full_name: SealedBytes,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    bio: SealedBytes,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    image: SealedBytes,
});
record!(
    "EmailChanged",
    EmailChanged {
        #[serde(with = "apache_avro::serde::bytes_opt")]
        email: SealedBytes,
    }
);
record!("UserDeactivated", Deactivated {});
record!("UserReactivated", Reactivated {});
record!("RoleGranted", RoleGranted { role: RoleRecord });
record!("RoleRevoked", RoleRevoked { role: RoleRecord });
record!("UserErased", Erased {});

/// A role as it is written. `Other` is what readers of other versions see, and is never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Role", rename_all = "snake_case")]
pub(super) enum RoleRecord {
    Other,
    User,
    Approver,
    Admin,
    Device,
    Responder,
    Analyst,
}

/// A field of a profile as it is written; `Other` as above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProfileField {
    Other,
    FullName,
    Bio,
    Image,
}
