//! How a decision is answered, now and when the same request comes again.

use axum::body::Body;
use axum::response::Response;
use event_store::LogPlace;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use lifecycle::http::PREFERENCE_APPLIED;
use problem_details::Problem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::status;
use crate::expected_version::entity_tag;

const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// The answer to a command: what is kept under the request's name.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status, once the log has the event.
    pub status: StatusCode,
    /// Where the thing is read.
    pub location: Option<String>,
    /// Its version, for the `ETag`.
    pub version: Option<u64>,
    /// The thing as JSON; none where there is nothing to show.
    pub body: Option<Box<RawValue>>,
}

/// The last event of a decision.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    pub(super) stream_id: String,
    pub(super) version: u64,
    pub(super) event_id: Uuid,
    /// Where the log holds it, if that is known already.
    pub(super) place: Option<LogPlace>,
}

/// An answer as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    status: u16,
    location: Option<String>,
    version: Option<u64>,
    body: Option<Box<RawValue>>,
}

impl Answer {
    /// An answer that shows the thing.
    pub fn showing(status: StatusCode, version: u64, body: &impl Serialize) -> Self {
        let body = serde_json::value::to_raw_value(body).ok();
        Self { status, location: None, version: Some(version), body }
    }

    /// An answer that shows nothing.
    pub fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, location: None, version: None, body: None }
    }

    /// With where the thing is read.
    #[must_use]
    pub fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }

    pub(super) fn of_problem(problem: &Problem) -> Self {
        let body = serde_json::value::to_raw_value(problem).ok();
        Self { status: problem.kind().status(), location: None, version: None, body }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            status: self.status.as_u16(),
            location: self.location.clone(),
            version: self.version,
            body: self.body.clone(),
        };
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Stored { status, location, version, body } = serde_json::from_slice(bytes).ok()?;
        Some(Self { status: StatusCode::from_u16(status).ok()?, location, version, body })
    }

    /// The answer, with the token by which its effect is read.
    pub(super) fn respond(self, token: String) -> Response {
        let mut response = self.respond_plainly();
        // Base64url is always a header value.
        if let Ok(token) = HeaderValue::try_from(token) {
            response.headers_mut().insert(CONSISTENCY_TOKEN, token);
        }
        response
    }

    /// The answer without a token.
    pub(super) fn respond_plainly(self) -> Response {
        let is_problem = self.status.is_client_error() || self.status.is_server_error();
        let body = self.body.as_ref().map(|body| Body::from(body.get().to_owned()));
        let mut response = Response::new(body.unwrap_or_default());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.body.is_some() {
            let kind = if is_problem { PROBLEM } else { JSON };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(version) = self.version {
            headers.insert(ETAG, entity_tag(version));
        }
        if let Some(Ok(location)) = self.location.map(HeaderValue::try_from) {
            headers.insert(LOCATION, location);
        }
        response
    }

    /// It is decided and the log does not have it yet: `202` and where to ask.
    pub(super) fn respond_pending(self, settled: &Settled, was_preferred: bool) -> Response {
        let mut response = status::pending(settled.event_id, self.location.as_deref());
        if was_preferred {
            let applied = HeaderValue::from_static("respond-async");
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        response
    }
}
