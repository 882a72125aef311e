//! A request for a decision as it comes in: who asks, and what the body holds.

use std::sync::Arc;

use access::{Caller, Unauthenticated, Verifier};
use axum::extract::Request;
use event_store::claim::ClaimKey;
use http::header::ACCEPT;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use lifecycle::http::RequestContext;
use problem_details::{BodyLimits, MediaType, Problem, ProblemType, read_body};

use super::description::JSON;
use super::request::{Asked, Received};

/// A request, read to its end.
pub(crate) struct Incoming {
    pub(crate) body: Vec<u8>,
    parts: Parts,
    context: RequestContext,
}

impl Incoming {
    /// Reads a request whose body, where there is one, is JSON.
    ///
    /// # Errors
    /// It is something else, too large, or does not come in time.
    pub(crate) async fn read(
        request: Request,
        context: RequestContext,
        limits: BodyLimits,
    ) -> Result<Self, Problem> {
        let incoming = Self::read_any_type(request, context, limits).await?;
        incoming.must_be_json()?;
        Ok(incoming)
    }

    /// The same of a body that may be something else.
    ///
    /// # Errors
    /// It is too large, or does not come in time.
    pub(crate) async fn read_any_type(
        request: Request,
        context: RequestContext,
        limits: BodyLimits,
    ) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = read_body(&parts.headers, body, limits).await?.to_vec();
        Ok(Self { body, parts, context })
    }

    /// Whom the access token names, as [`caller`] tells.
    ///
    /// # Errors
    /// There is none that holds.
    pub(crate) fn caller(&self, verifier: &Verifier) -> Result<Arc<Caller>, Problem> {
        let Parts { headers, extensions, .. } = &self.parts;
        verifier.caller(headers, extensions).map_err(Unauthenticated::refuse)
    }

    /// There is no body, or it says that it is JSON.
    ///
    /// # Errors
    /// 415 where it says something else, or nothing.
    pub(crate) fn must_be_json(&self) -> Result<(), Problem> {
        if self.body.is_empty() { Ok(()) } else { must_be_json(&self.parts.headers) }
    }

    /// What is asked, beside the command.
    ///
    /// # Errors
    /// A header cannot be read.
    pub(crate) fn asked(&self, actor: &str, claim_key: &ClaimKey) -> Result<Asked<'_>, Problem> {
        let received = Received {
            method: &self.parts.method,
            path: self.parts.uri.path_and_query().map_or("/", PathAndQuery::as_str),
            headers: &self.parts.headers,
            context: &self.context,
            body: &self.body,
        };
        Asked::read(received, actor, claim_key)
    }
}

/// Whom the access token names. What they may do is the slice's to say.
///
/// # Errors
/// There is none that holds.
pub(crate) fn caller(verifier: &Verifier, request: &Request) -> Result<Arc<Caller>, Problem> {
    verifier.caller(request.headers(), request.extensions()).map_err(Unauthenticated::refuse)
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    if MediaType::of(headers)?.is_some_and(|media_type| media_type.is(JSON)) {
        return Ok(());
    }
    let detail = "send the body as `Content-Type: application/json`";
    let problem = Problem::new(ProblemType::UnsupportedMediaType, detail);
    Err(problem.with_header(ACCEPT, HeaderValue::from_static(JSON)))
}
