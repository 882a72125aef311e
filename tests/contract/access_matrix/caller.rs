//! Who asks.

use std::fmt;

use anyhow::Result;
use domain::role::Role;
use test_support::AccessToken;

use super::stage::{Person, Stage};

/// Who asks. "Owner" is the user whom the request is about, or whose session or device it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody without an access token.
    NoToken,
    /// The owner, who may be everything, with a token that has expired.
    Expired,
    /// The same, with a token that is not valid before an hour from now.
    NotYetValid,
    /// The same, with a token for another audience.
    AnotherAudience,
    /// The same, with a token that says to come from another issuer.
    AnotherIssuer,
    /// The same, with a token that somebody else has signed.
    Forged,
    /// A user who may be everything and was deactivated, with a token from before.
    Deactivated,
    /// A user who may be everything, with a token of a session that was ended.
    OfEndedSession,
    /// The owner.
    Owner,
    /// The owner, who may be nothing any more.
    OwnerWithoutRole,
    /// Another user.
    Other,
    /// Somebody who has not registered here, with one role.
    Only(Role),
    /// The owner, who may be everything, with a token that is bound to the device of the request.
    BoundHere,
    /// The same, bound to another device.
    BoundElsewhere,
}

/// Why nobody is known by what was sent; a forger learns nothing more than these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unknown {
    /// Nothing was sent.
    Missing,
    /// It was never ours, or not for us, or is not yet.
    Invalid,
    /// It was ours and is no more.
    Expired,
    /// It was taken back.
    Revoked,
}

impl Caller {
    /// Every kind.
    pub(super) const ALL: [Self; 19] = [
        Self::NoToken,
        Self::Expired,
        Self::NotYetValid,
        Self::AnotherAudience,
        Self::AnotherIssuer,
        Self::Forged,
        Self::Deactivated,
        Self::OfEndedSession,
        Self::Owner,
        Self::OwnerWithoutRole,
        Self::Other,
        Self::Only(Role::User),
        Self::Only(Role::Approver),
        Self::Only(Role::Admin),
        Self::Only(Role::Device),
        Self::Only(Role::Responder),
        Self::Only(Role::Analyst),
        Self::BoundHere,
        Self::BoundElsewhere,
    ];

    /// Why nobody is known by their token, where nobody is.
    pub(super) fn unknown(self) -> Option<Unknown> {
        match self {
            Self::NoToken => Some(Unknown::Missing),
            Self::NotYetValid | Self::AnotherAudience | Self::AnotherIssuer | Self::Forged => {
                Some(Unknown::Invalid)
            }
            Self::Expired => Some(Unknown::Expired),
            Self::Deactivated | Self::OfEndedSession => Some(Unknown::Revoked),
            Self::Owner | Self::OwnerWithoutRole | Self::Other | Self::Only(_) => None,
            Self::BoundHere | Self::BoundElsewhere => None,
        }
    }

    /// Their access token for a request about this person. Each that is not taken would be, were it not for
    /// the one thing that is wrong with it: without the check of that, it opens everything.
    pub(super) fn token(self, stage: &Stage, about: &Person) -> Result<Option<String>> {
        let token = match self {
            Self::NoToken => return Ok(None),
            Self::Forged => {
                return with_all_roles(&about.id).sign_with("another-secret").map(Some);
            }
            Self::Expired => with_all_roles(&about.id).expired(3_600),
            Self::NotYetValid => with_all_roles(&about.id).not_before(3_600),
            Self::AnotherAudience => with_all_roles(&about.id).claim("aud", "elsewhere"),
            Self::AnotherIssuer => with_all_roles(&about.id).claim("iss", "elsewhere"),
            Self::Deactivated => {
                stage.deactivated.of_session(with_all_roles(&stage.deactivated.id))
            }
            Self::OfEndedSession => stage.ended.of_session(with_all_roles(&stage.ended.id)),
            Self::Owner => about.of_session(AccessToken::user(&about.id)),
            Self::OwnerWithoutRole => AccessToken::user(&about.id).roles(&[]),
            Self::Other => AccessToken::user(&stage.other.id),
            Self::Only(role) => AccessToken::user(&stage.nobody).roles(&[role.name()]),
            Self::BoundHere => with_all_roles(&about.id).device(&about.device),
            Self::BoundElsewhere => with_all_roles(&about.id).device("another-device"),
        };
        token.sign().map(Some)
    }
}

/// Of somebody who may be everything.
pub(super) fn with_all_roles(id: &str) -> AccessToken {
    AccessToken::user(id).roles(&Role::ALL.map(Role::name))
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "no-token",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::AnotherAudience => "another-audience",
            Self::AnotherIssuer => "another-issuer",
            Self::Forged => "forged",
            Self::Deactivated => "deactivated",
            Self::OfEndedSession => "of-ended-session",
            Self::Owner => "owner",
            Self::OwnerWithoutRole => "owner-without-role",
            Self::Other => "other",
            Self::Only(role) => return write!(f, "only-{}", role.name()),
            Self::BoundHere => "bound-here",
            Self::BoundElsewhere => "bound-elsewhere",
        })
    }
}
