//! What is known of a request before its handler runs.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use telemetry::RequestIds;
use uuid::Uuid;

use super::{REQUEST_ID, RequestId, TraceParent};

/// The header of a request's trace.
pub const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id and the trace of a request; handlers take it as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Its id, answered as `X-Request-Id`.
    pub request_id: RequestId,
    /// Its trace, with our own span as the parent of what it causes.
    pub trace: TraceParent,
}

impl RequestContext {
    /// From what the client sent, completed by what it did not.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        // One draw of random bits serves the id and the span.
        let uuid = Uuid::now_v7();
        let request_id = headers.get(REQUEST_ID).and_then(RequestId::parse);
        Self {
            request_id: request_id.unwrap_or_else(|| RequestId::of(uuid)),
            trace: trace_of(caller_s_trace(headers), uuid),
        }
    }

    /// What its lines are written for.
    pub(super) fn ids(&self) -> RequestIds {
        RequestIds { request_id: self.request_id.header_value(), trace_id: self.trace.trace_id }
    }
}

/// The trace that the client says its request belongs to.
pub(super) fn caller_s_trace(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get(TRACE_PARENT).and_then(TraceParent::parse)
}

/// The caller's trace or a new one, with a span that is made of the random half of a UUIDv7: its
/// variant bits make it never zero.
fn trace_of(caller: Option<TraceParent>, uuid: Uuid) -> TraceParent {
    let parent_id = uuid.as_u64_pair().1;
    match caller {
        Some(caller) => TraceParent { parent_id, ..caller },
        None => TraceParent { trace_id: uuid.as_u128(), parent_id, is_sampled: false },
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::from_headers(&parts.headers)))
    }
}
