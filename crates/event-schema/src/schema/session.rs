//! The schemas of what happens to sessions.

use super::Released;

/// A version of the schema of a session's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionSchema {
    /// `millrace.session.UserLoggedIn`, version 1.
    LoggedInV1,
    /// `millrace.session.TokenRefreshed`, version 1.
    RefreshedV1,
    /// `millrace.session.TokenReuseDetected`, version 1.
    ReuseDetectedV1,
    /// `millrace.session.UserLoggedOut`, version 1.
    LoggedOutV1,
    /// `millrace.session.SessionRevoked`, version 1.
    RevokedV1,
}

impl SessionSchema {
    pub(super) const fn released(self) -> Released {
        match self {
            Self::LoggedInV1 => Released::first(
                include_str!("../../../../schemas/session/UserLoggedIn.v1.avsc"),
                "millrace.session.UserLoggedIn",
                "identity.session.logged-in.v1",
            ),
            Self::RefreshedV1 => Released::first(
                include_str!("../../../../schemas/session/TokenRefreshed.v1.avsc"),
                "millrace.session.TokenRefreshed",
                "identity.session.refreshed.v1",
            ),
            Self::ReuseDetectedV1 => Released::first(
                include_str!("../../../../schemas/session/TokenReuseDetected.v1.avsc"),
                "millrace.session.TokenReuseDetected",
                "identity.session.reuse-detected.v1",
            ),
            Self::LoggedOutV1 => Released::first(
                include_str!("../../../../schemas/session/UserLoggedOut.v1.avsc"),
                "millrace.session.UserLoggedOut",
                "identity.session.logged-out.v1",
            ),
            Self::RevokedV1 => Released::first(
                include_str!("../../../../schemas/session/SessionRevoked.v1.avsc"),
                "millrace.session.SessionRevoked",
                "identity.session.revoked.v1",
            ),
        }
    }
}
