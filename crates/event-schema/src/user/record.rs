//! The records of users' events, field by field as their schemas have them.

use serde::{Deserialize, Serialize};

use crate::decided::records;

/// The bytes of a sealed field.
pub(super) type SealedBytes = Option<Vec<u8>>;

records! {
    user_id:
    "UserRegistered" => Registered {
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
    }
    "EmailVerificationRequested" => EmailVerificationRequested {}
    "EmailVerified" => EmailVerified {}
    "UserProfileUpdated" => ProfileUpdated {
        changed: Vec<ProfileField>,
        #[serde(with = "apache_avro::serde::bytes_opt")]
        full_name: SealedBytes,
        #[serde(with = "apache_avro::serde::bytes_opt")]
        bio: SealedBytes,
        #[serde(with = "apache_avro::serde::bytes_opt")]
        image: SealedBytes,
    }
    "EmailChanged" => EmailChanged {
        #[serde(with = "apache_avro::serde::bytes_opt")]
        email: SealedBytes,
    }
    "UserDeactivated" => Deactivated {}
    "UserReactivated" => Reactivated {}
    "RoleGranted" => RoleGranted { role: RoleRecord }
    "RoleRevoked" => RoleRevoked { role: RoleRecord }
    "PasswordChanged" => PasswordChanged {}
    "UserSessionsEnded" => SessionsEnded {}
    "SecondFactorEnrolled" => SecondFactorEnrolled {}
    "SecondFactorRemoved" => SecondFactorRemoved {}
    "UserErased" => Erased {}
}

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
