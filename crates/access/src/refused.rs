//! Why a caller is refused, and what they are told.

use std::time::Duration;

use http::HeaderValue;
use problem_details::{Problem, ProblemType, RefusedCaller};
use telemetry::AccessRefused;

use crate::{Caller, Role};

/// When a caller may come back while tokens cannot be judged.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why there is no caller. The variants are for logs; every forged token gets the same answer, and only
/// one that was ours is told that it has expired or was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// There is no `Authorization` header.
    #[error("there is no access token")]
    Missing,
    /// The header is not one `Bearer` token.
    #[error("the Authorization header is not one bearer token")]
    NotBearer,
    /// The token is longer than any of ours.
    #[error("the access token is too long")]
    TooLong,
    /// It is no JSON Web Token, or one that asks for what we do not know.
    #[error("the access token is malformed")]
    Malformed,
    /// Its algorithm is none that a key of ours is used with.
    #[error("the access token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// There is no key at all, or not this one while some were not read yet: not the caller's fault.
    #[error("no access token can be verified now")]
    NoKeys,
    /// Its key is none of ours.
    #[error("the access token's key is not known")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("the access token's signature is wrong")]
    WrongSignature,
    /// It is no access token, or for another issuer or audience, or a claim is missing.
    #[error("the access token's claim {0} is missing or wrong")]
    WrongClaim(&'static str),
    /// It is not valid yet.
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// It is not valid any more.
    #[error("the access token has expired")]
    Expired,
    /// It was taken back before it expires.
    #[error("the access token was revoked")]
    Revoked,
    /// Whether it was taken back is not known, and this caller is not taken without: not their fault.
    #[error("whether the access token was revoked is not known now")]
    RevocationsUnknown,
}

impl Unauthenticated {
    /// The stable name, for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotBearer => "not-bearer",
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
            Self::AlgorithmNotAllowed => "algorithm-not-allowed",
            Self::NoKeys => "no-keys",
            Self::UnknownKey => "unknown-key",
            Self::WrongSignature => "wrong-signature",
            Self::WrongClaim(_) => "wrong-claim",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::RevocationsUnknown => "revocations-unknown",
        }
    }
}

impl Unauthenticated {
    /// Counts and logs the refusal, and makes its answer.
    pub fn refuse(self) -> Problem {
        let reason = self.reason();
        AccessRefused { reason, actor: None }.emit();
        self.problem().with_refused_caller(RefusedCaller { reason, actor: None })
    }

    fn problem(self) -> Problem {
        let (challenge, detail) = match self {
            Unauthenticated::NoKeys => {
                let detail = "no access token can be verified now; send it again";
                return Problem::new(ProblemType::NotReady, detail).with_retry_after(RETRY_AFTER);
            }
            Unauthenticated::RevocationsUnknown => {
                let detail = "whether the access token was revoked is not known; send it again";
                return Problem::new(ProblemType::NotReady, detail).with_retry_after(RETRY_AFTER);
            }
            Unauthenticated::Missing => (
                r#"Bearer realm="millrace""#,
                "send an access token as `Authorization: Bearer <token>`",
            ),
            Unauthenticated::Expired => (
                r#"Bearer realm="millrace", error="invalid_token", error_description="the access token has expired""#,
                "the access token has expired; get a new one",
            ),
            // Who holds a token that was valid learns nothing by it.
            Unauthenticated::Revoked => (
                r#"Bearer realm="millrace", error="invalid_token", error_description="the access token was revoked; log in again""#,
                "the access token was revoked; log in again",
            ),
            _ => (
                r#"Bearer realm="millrace", error="invalid_token""#,
                "the access token is not valid here",
            ),
        };
        Problem::new(ProblemType::Unauthenticated, detail)
            .with_challenge(HeaderValue::from_static(challenge))
    }
}

/// Why a known caller may not do this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// They have none of the roles it takes.
    #[error("the access token has none of the roles {}", names(.0))]
    NoneOfTheRoles(&'static [Role]),
    /// They speak for one device, and it is not this one.
    #[error("the access token is bound to another device")]
    AnotherDevice,
    /// They speak for a device, and this is nothing of a device.
    #[error("the access token is bound to a device")]
    BoundToDevice,
    /// They are somebody else, and nobody does this for others.
    #[error("the access token is another user's")]
    AnotherUser,
}

impl Forbidden {
    /// The stable name, for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoneOfTheRoles(_) => "role",
            Self::AnotherDevice => "another-device",
            Self::BoundToDevice => "bound-to-device",
            Self::AnotherUser => "another-user",
        }
    }
}

impl Forbidden {
    /// Counts and logs that this caller was refused, and makes the answer.
    pub fn refuse(self, caller: &Caller) -> Problem {
        let reason = self.reason();
        AccessRefused { reason, actor: Some(&caller.actor) }.emit();
        let actor = Some(caller.actor.clone());
        self.problem().with_refused_caller(RefusedCaller { reason, actor })
    }

    fn problem(self) -> Problem {
        let challenge = r#"Bearer realm="millrace", error="insufficient_scope""#;
        Problem::new(ProblemType::Forbidden, self.to_string())
            .with_challenge(HeaderValue::from_static(challenge))
    }
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}
