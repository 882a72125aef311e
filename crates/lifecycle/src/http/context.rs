//! What is known of a request before its handler runs.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use uuid::Uuid;

use super::{REQUEST_ID, RequestId, TRACE_PARENT, TraceParent};

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
        let trace = headers.get(TRACE_PARENT).and_then(TraceParent::parse);
        Self {
            request_id: request_id.unwrap_or_else(|| RequestId::of(uuid)),
            trace: trace.map_or_else(|| TraceParent::root(uuid), |caller| caller.child(uuid)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::from_headers(&parts.headers)))
    }
}
