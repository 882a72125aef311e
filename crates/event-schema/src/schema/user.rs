//! The schemas of what happens to users.

use super::Released;

/// A version of the schema of a user's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserSchema {
    /// `millrace.user.UserRegistered`, version 1.
    RegisteredV1,
    /// `millrace.user.EmailVerificationRequested`, version 1.
    EmailVerificationRequestedV1,
    /// `millrace.user.EmailVerified`, version 1.
    EmailVerifiedV1,
    /// `millrace.user.UserProfileUpdated`, version 1.
    ProfileUpdatedV1,
    /// `millrace.user.EmailChanged`, version 1.
    EmailChangedV1,
    /// `millrace.user.UserDeactivated`, version 1.
    DeactivatedV1,
    /// `millrace.user.UserReactivated`, version 1.
    ReactivatedV1,
    /// `millrace.user.RoleGranted`, version 1.
    RoleGrantedV1,
    /// `millrace.user.RoleRevoked`, version 1.
    RoleRevokedV1,
    /// `millrace.user.PasswordChanged`, version 1.
    PasswordChangedV1,
    /// `millrace.user.UserSessionsEnded`, version 1.
    SessionsEndedV1,
    /// `millrace.user.SecondFactorEnrolled`, version 1.
    SecondFactorEnrolledV1,
    /// `millrace.user.SecondFactorRemoved`, version 1.
    SecondFactorRemovedV1,
    /// `millrace.user.UserErased`, version 1.
    ErasedV1,
}

impl UserSchema {
    pub(super) const fn released(self) -> Released {
        match self {
            Self::RegisteredV1 => Released::first(
                include_str!("../../../../schemas/user/UserRegistered.v1.avsc"),
                "millrace.user.UserRegistered",
                "identity.user.registered.v1",
            ),
            Self::EmailVerificationRequestedV1 => Released::first(
                include_str!("../../../../schemas/user/EmailVerificationRequested.v1.avsc"),
                "millrace.user.EmailVerificationRequested",
                "identity.user.email-verification-requested.v1",
            ),
            Self::EmailVerifiedV1 => Released::first(
                include_str!("../../../../schemas/user/EmailVerified.v1.avsc"),
                "millrace.user.EmailVerified",
                "identity.user.email-verified.v1",
            ),
            Self::ProfileUpdatedV1 => Released::first(
                include_str!("../../../../schemas/user/UserProfileUpdated.v1.avsc"),
                "millrace.user.UserProfileUpdated",
                "identity.user.profile-updated.v1",
            ),
            Self::EmailChangedV1 => Released::first(
                include_str!("../../../../schemas/user/EmailChanged.v1.avsc"),
                "millrace.user.EmailChanged",
                "identity.user.email-changed.v1",
            ),
            Self::DeactivatedV1 => Released::first(
                include_str!("../../../../schemas/user/UserDeactivated.v1.avsc"),
                "millrace.user.UserDeactivated",
                "identity.user.deactivated.v1",
            ),
            Self::ReactivatedV1 => Released::first(
                include_str!("../../../../schemas/user/UserReactivated.v1.avsc"),
                "millrace.user.UserReactivated",
                "identity.user.reactivated.v1",
            ),
            Self::RoleGrantedV1 => Released::first(
                include_str!("../../../../schemas/user/RoleGranted.v1.avsc"),
                "millrace.user.RoleGranted",
                "identity.user.role-granted.v1",
            ),
            Self::RoleRevokedV1 => Released::first(
                include_str!("../../../../schemas/user/RoleRevoked.v1.avsc"),
                "millrace.user.RoleRevoked",
                "identity.user.role-revoked.v1",
            ),
            Self::PasswordChangedV1 => Released::first(
                include_str!("../../../../schemas/user/PasswordChanged.v1.avsc"),
                "millrace.user.PasswordChanged",
                "identity.user.password-changed.v1",
            ),
            Self::SessionsEndedV1 => Released::first(
                include_str!("../../../../schemas/user/UserSessionsEnded.v1.avsc"),
                "millrace.user.UserSessionsEnded",
                "identity.user.sessions-ended.v1",
            ),
            Self::SecondFactorEnrolledV1 => Released::first(
                include_str!("../../../../schemas/user/SecondFactorEnrolled.v1.avsc"),
                "millrace.user.SecondFactorEnrolled",
                "identity.user.second-factor-enrolled.v1",
            ),
            Self::SecondFactorRemovedV1 => Released::first(
                include_str!("../../../../schemas/user/SecondFactorRemoved.v1.avsc"),
                "millrace.user.SecondFactorRemoved",
                "identity.user.second-factor-removed.v1",
            ),
            Self::ErasedV1 => Released::first(
                include_str!("../../../../schemas/user/UserErased.v1.avsc"),
                "millrace.user.UserErased",
                "identity.user.erased.v1",
            ),
        }
    }
}
