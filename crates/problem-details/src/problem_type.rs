//! The catalogue of problems.

use axum::http::StatusCode;

/// What went wrong, as programs tell it: the slug, status and title of a type never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemType {
    /// The body is no JSON.
    MalformedJson,
    /// The request is understood and breaks rules; `errors` names each.
    InvalidRequest,
    /// A header's value cannot be read.
    InvalidHeader,
    /// The consistency token was not made by this deployment, or was changed.
    InvalidConsistencyToken,
    /// The cursor was not made by this deployment, was changed, or is of another query.
    InvalidCursor,
    /// The link's token was not made by this deployment, was used or has lapsed.
    InvalidVerificationToken,
    /// What an OAuth client brings for an access token is none of ours, or is good for nothing any more.
    InvalidGrant,
    /// What an OAuth client brings for an access token is of a kind that is not taken here.
    UnsupportedGrantType,
    /// There is no usable access token.
    Unauthenticated,
    /// Nobody is known by this name and password.
    LoginFailed,
    /// The refresh token is none of ours, or is good for nothing any more.
    InvalidRefreshToken,
    /// The password is right, and a code of the second factor is needed beside it.
    SecondFactorRequired,
    /// The code of the second factor is wrong, was used, or has lapsed.
    InvalidSecondFactor,
    /// The access token does not allow this.
    Forbidden,
    /// Whoever logs in was deactivated.
    Deactivated,
    /// Whoever logs in has to enrol a second factor first.
    SecondFactorNotEnrolled,
    /// Nothing is found under this path.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A value that only one may have belongs to somebody else; `errors` names the fields.
    AlreadyTaken,
    /// What the request is about is in a state that does not allow it.
    StateConflict,
    /// The person was erased, and what belonged to them.
    Erased,
    /// What the request is about has another version than the caller expected.
    VersionMismatch,
    /// The body or a part of it is too large.
    ContentTooLarge,
    /// The request's target is longer than the front door takes.
    UriTooLong,
    /// The body's media type is not taken here.
    UnsupportedMediaType,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// The request must say which version it expects.
    PreconditionRequired,
    /// More is asked for than is taken at a time.
    TooManyRequests,
    /// It was tried in vain too often; the next attempt has to wait.
    TooManyAttempts,
    /// A quota of the caller is used up.
    QuotaExceeded,
    /// The request's headers are larger than the front door takes.
    HeaderTooLarge,
    /// A defect of ours.
    InternalError,
    /// The request asks the front door for something that it cannot do.
    NotImplemented,
    /// No process behind the front door answered; whether it took effect is not known.
    NoProcess,
    /// The log cannot be reached; nothing was written.
    BrokerUnavailable,
    /// Whether it was written is not known; the same id may be sent again.
    UnknownOutcome,
    /// The process has not finished its start, or stops.
    NotReady,
    /// The database cannot be reached.
    DatabaseUnavailable,
    /// It is not known yet whether the event store holds all that the log does; nothing is decided.
    StoreNotCompared,
    /// The log holds events that the event store has lost; nothing is decided until they are back.
    LogAheadOfStore,
    /// The view has not reached the consistency token's position.
    ProjectionBehind,
    /// The view cannot show what the token asks for: a record of it is set aside.
    ProjectionParked,
    /// The view is paused.
    ProjectionPaused,
    /// The view is being rebuilt.
    ProjectionRebuilding,
    /// The process behind the front door did not answer in time; whether it took effect is not known.
    NoAnswer,
    /// The request is of a version of HTTP that is not spoken here.
    VersionNotSupported,
}

impl ProblemType {
    /// Every type, in the order of the documentation.
    pub const ALL: &[Self] = &[
        Self::MalformedJson,
        Self::InvalidRequest,
        Self::InvalidHeader,
        Self::InvalidConsistencyToken,
        Self::InvalidCursor,
        Self::InvalidVerificationToken,
        Self::InvalidGrant,
        Self::UnsupportedGrantType,
        Self::Unauthenticated,
        Self::LoginFailed,
        Self::InvalidRefreshToken,
        Self::SecondFactorRequired,
        Self::InvalidSecondFactor,
        Self::Forbidden,
        Self::Deactivated,
        Self::SecondFactorNotEnrolled,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::AlreadyTaken,
        Self::StateConflict,
        Self::Erased,
        Self::VersionMismatch,
        Self::ContentTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::PreconditionRequired,
        Self::TooManyRequests,
        Self::TooManyAttempts,
        Self::QuotaExceeded,
        Self::HeaderTooLarge,
        Self::InternalError,
        Self::NotImplemented,
        Self::NoProcess,
        Self::BrokerUnavailable,
        Self::UnknownOutcome,
        Self::NotReady,
        Self::DatabaseUnavailable,
        Self::StoreNotCompared,
        Self::LogAheadOfStore,
        Self::ProjectionBehind,
        Self::ProjectionParked,
        Self::ProjectionPaused,
        Self::ProjectionRebuilding,
        Self::NoAnswer,
        Self::VersionNotSupported,
    ];

    /// The value of `type`, a reference relative to the service's root.
    pub fn uri(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// The value of `title`: the same sentence for every occurrence.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::MalformedJson => {
                ("/problems/malformed-json", S::BAD_REQUEST, "The body is not JSON")
            }
            Self::InvalidRequest => {
                ("/problems/invalid-request", S::BAD_REQUEST, "The request breaks rules")
            }
            Self::InvalidHeader => {
                ("/problems/invalid-header", S::BAD_REQUEST, "A header cannot be read")
            }
            Self::InvalidConsistencyToken => (
                "/problems/invalid-consistency-token",
                S::BAD_REQUEST,
                "The consistency token is not valid here",
            ),
            Self::InvalidCursor => {
                ("/problems/invalid-cursor", S::BAD_REQUEST, "The cursor is not valid here")
            }
            Self::InvalidVerificationToken => (
                "/problems/invalid-verification-token",
                S::BAD_REQUEST,
                "The link is not valid any more",
            ),
            Self::InvalidGrant => {
                ("/problems/invalid-grant", S::BAD_REQUEST, "The grant is not valid any more")
            }
            Self::UnsupportedGrantType => (
                "/problems/unsupported-grant-type",
                S::BAD_REQUEST,
                "Grants of this type are not taken here",
            ),
            Self::Unauthenticated => {
                ("/problems/unauthenticated", S::UNAUTHORIZED, "A valid access token is needed")
            }
            Self::LoginFailed => {
                ("/problems/login-failed", S::UNAUTHORIZED, "Name or password is wrong")
            }
            Self::InvalidRefreshToken => (
                "/problems/invalid-refresh-token",
                S::UNAUTHORIZED,
                "The refresh token is not valid any more",
            ),
            Self::SecondFactorRequired => (
                "/problems/second-factor-required",
                S::UNAUTHORIZED,
                "A code of the second factor is needed",
            ),
            Self::InvalidSecondFactor => (
                "/problems/invalid-second-factor",
                S::UNAUTHORIZED,
                "The code of the second factor is not valid any more",
            ),
            Self::Forbidden => {
                ("/problems/forbidden", S::FORBIDDEN, "The access token does not allow this")
            }
            Self::Deactivated => {
                ("/problems/deactivated", S::FORBIDDEN, "The account is deactivated")
            }
            Self::SecondFactorNotEnrolled => (
                "/problems/second-factor-not-enrolled",
                S::FORBIDDEN,
                "A second factor has to be enrolled first",
            ),
            Self::NotFound => ("/problems/not-found", S::NOT_FOUND, "Nothing is found here"),
            Self::MethodNotAllowed => (
                "/problems/method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "The method is not taken here",
            ),
            Self::RequestTimeout => {
                ("/problems/request-timeout", S::REQUEST_TIMEOUT, "The request took too long")
            }
            Self::AlreadyTaken => {
                ("/problems/already-taken", S::CONFLICT, "Somebody else has this already")
            }
            Self::StateConflict => {
                ("/problems/state-conflict", S::CONFLICT, "The present state does not allow this")
            }
            Self::Erased => ("/problems/erased", S::GONE, "The person was erased"),
            Self::VersionMismatch => (
                "/problems/version-mismatch",
                S::PRECONDITION_FAILED,
                "It has another version than was expected",
            ),
            Self::ContentTooLarge => {
                ("/problems/content-too-large", S::PAYLOAD_TOO_LARGE, "The content is too large")
            }
            Self::UriTooLong => {
                ("/problems/uri-too-long", S::URI_TOO_LONG, "The request's target is too long")
            }
            Self::UnsupportedMediaType => (
                "/problems/unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The media type is not taken here",
            ),
            Self::IdempotencyKeyReused => (
                "/problems/idempotency-key-reused",
                S::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Self::PreconditionRequired => (
                "/problems/precondition-required",
                S::PRECONDITION_REQUIRED,
                "The request must say which version it expects",
            ),
            Self::TooManyRequests => {
                ("/problems/too-many-requests", S::TOO_MANY_REQUESTS, "Too many requests")
            }
            Self::TooManyAttempts => (
                "/problems/too-many-attempts",
                S::TOO_MANY_REQUESTS,
                "Too many attempts have failed",
            ),
            Self::QuotaExceeded => {
                ("/problems/quota-exceeded", S::TOO_MANY_REQUESTS, "A quota is used up")
            }
            Self::HeaderTooLarge => (
                "/problems/header-too-large",
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request's headers are too large",
            ),
            Self::InternalError => {
                ("/problems/internal-error", S::INTERNAL_SERVER_ERROR, "An error of the service")
            }
            Self::NotImplemented => {
                ("/problems/not-implemented", S::NOT_IMPLEMENTED, "The request cannot be served")
            }
            Self::NoProcess => (
                "/problems/no-process",
                S::BAD_GATEWAY,
                "No process behind the front door answered",
            ),
            Self::BrokerUnavailable => (
                "/problems/broker-unavailable",
                S::SERVICE_UNAVAILABLE,
                "The log cannot be reached; nothing was written",
            ),
            Self::UnknownOutcome => (
                "/problems/unknown-outcome",
                S::SERVICE_UNAVAILABLE,
                "Whether it was written is not known",
            ),
            Self::NotReady => {
                ("/problems/not-ready", S::SERVICE_UNAVAILABLE, "The service is not ready")
            }
            Self::DatabaseUnavailable => (
                "/problems/database-unavailable",
                S::SERVICE_UNAVAILABLE,
                "The database cannot be reached",
            ),
            Self::StoreNotCompared => (
                "/problems/store-not-compared",
                S::SERVICE_UNAVAILABLE,
                "The event store is being compared with the log",
            ),
            Self::LogAheadOfStore => (
                "/problems/log-ahead-of-store",
                S::SERVICE_UNAVAILABLE,
                "The event store has lost what the log holds",
            ),
            Self::ProjectionBehind => {
                ("/problems/projection-behind", S::SERVICE_UNAVAILABLE, "The view is behind")
            }
            Self::ProjectionParked => (
                "/problems/projection-parked",
                S::SERVICE_UNAVAILABLE,
                "A record that the view needs is set aside",
            ),
            Self::ProjectionPaused => {
                ("/problems/projection-paused", S::SERVICE_UNAVAILABLE, "The view is paused")
            }
            Self::ProjectionRebuilding => (
                "/problems/projection-rebuilding",
                S::SERVICE_UNAVAILABLE,
                "The view is being rebuilt",
            ),
            Self::NoAnswer => (
                "/problems/no-answer",
                S::GATEWAY_TIMEOUT,
                "The process behind the front door did not answer in time",
            ),
            Self::VersionNotSupported => (
                "/problems/version-not-supported",
                S::HTTP_VERSION_NOT_SUPPORTED,
                "This version of HTTP is not spoken here",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_type_has_its_own_slug_and_title_and_is_an_error() {
        let all = || ProblemType::ALL.iter();
        assert_eq!(all().map(|t| t.uri()).collect::<HashSet<_>>().len(), all().len());
        assert_eq!(all().map(|t| t.title()).collect::<HashSet<_>>().len(), all().len());
        for kind in all() {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
            let slug = kind.uri().strip_prefix("/problems/").unwrap();
            assert!(slug.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{slug}");
        }
    }
}
