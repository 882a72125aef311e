//! One problem as an answer.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::ProblemType;

/// The media type of a problem document.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem document; becomes a response with the status of its type.
///
/// Texts are shown to the caller: they hold what the caller sent and our limits, never an access
/// token, host, path or statement of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Document>);

#[derive(Debug, Clone, PartialEq)]
struct Document {
    kind: ProblemType,
    detail: Cow<'static, str>,
    request_id: Option<String>,
    errors: Vec<FieldError>,
    parameter_errors: Vec<ParameterError>,
    members: Vec<Member>,
    headers: Vec<(HeaderName, HeaderValue)>,
    refused_caller: Option<RefusedCaller>,
}

/// A member that only some problems have. Printed, it tells its name alone: it may hold a credential.
#[derive(Clone, PartialEq)]
struct Member {
    name: &'static str,
    value: Value,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a caller was refused, for the audit: it goes with an answer as an extension, and is no part of what
/// the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCaller {
    /// The stable name of why.
    pub reason: &'static str,
    /// Who, as an opaque id, where it is known.
    pub actor: Option<String>,
}

/// One rule that a part of the request breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The part, as a JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// The rule's stable name.
    pub rule: &'static str,
    /// The limit that was passed, where the rule has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The rule in words.
    pub detail: String,
}

/// One rule that a parameter of the request's query breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParameterError {
    /// The parameter's name.
    pub parameter: String,
    /// The rule's stable name.
    pub rule: &'static str,
    /// The limit that was passed, where the rule has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The rule in words.
    pub detail: String,
}

impl Problem {
    /// A problem of this type; `detail` says what it means for this request and what to do.
    pub fn new(kind: ProblemType, detail: impl Into<Cow<'static, str>>) -> Self {
        let (request_id, errors, headers) = (None, Vec::new(), Vec::new());
        let (detail, parameter_errors, members) = (detail.into(), Vec::new(), Vec::new());
        Self(Box::new(Document {
            kind,
            detail,
            request_id,
            errors,
            parameter_errors,
            members,
            headers,
            refused_caller: None,
        }))
    }

    /// Names the rules that parts of the body break.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Names the rules that parameters of the query break.
    pub fn with_parameter_errors(mut self, errors: Vec<ParameterError>) -> Self {
        self.0.parameter_errors = errors;
        self
    }

    /// Names the event that the request would have become (`request_id`).
    pub fn with_request_id(mut self, request_id: impl ToString) -> Self {
        self.0.request_id = Some(request_id.to_string());
        self
    }

    /// Says more, in a member of its own behind all others. What cannot be written as JSON is left out, and the
    /// rest is told.
    pub fn with_member(mut self, name: &'static str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.members.push(Member { name, value });
        }
        self
    }

    /// Asks the caller to come back no sooner than this; whole seconds, rounded up, at least one.
    pub fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Says which credentials are asked for (`WWW-Authenticate`).
    pub fn with_challenge(self, challenge: HeaderValue) -> Self {
        self.with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Why its caller was refused, where the audit is to be told.
    pub fn refused_caller(&self) -> Option<&RefusedCaller> {
        self.0.refused_caller.as_ref()
    }

    /// Says for the audit why its caller was refused.
    pub fn with_refused_caller(mut self, refused: RefusedCaller) -> Self {
        self.0.refused_caller = Some(refused);
        self
    }

    /// Adds a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The type.
    pub fn kind(&self) -> ProblemType {
        self.0.kind
    }

    /// What it means for this request.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The rules that parts of the body break.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The rules that parameters of the query break.
    pub fn parameter_errors(&self) -> &[ParameterError] {
        &self.0.parameter_errors
    }
}

/// The members of the document, in the order of RFC 9457 and ours after them.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Errors::is_empty")]
    errors: Errors<'a>,
    #[serde(flatten)]
    members: Members<'a>,
}

/// Members that only some problems have.
struct Members<'a>(&'a [Member]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|member| (member.name, &member.value)))
    }
}

/// Rules that parts of the body break, then those that parameters break.
struct Errors<'a>(&'a [FieldError], &'a [ParameterError]);

impl Errors<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty() && self.1.is_empty()
    }
}

impl Serialize for Errors<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_seq(Some(self.0.len() + self.1.len()))?;
        self.0.iter().try_for_each(|error| all.serialize_element(error))?;
        self.1.iter().try_for_each(|error| all.serialize_element(error))?;
        all.end()
    }
}

/// As a document within another one: without what goes beside it.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Document { kind, detail, request_id, errors, parameter_errors, members, .. } = &*self.0;
        let body = Body {
            r#type: kind.uri(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail,
            request_id: request_id.as_deref(),
            errors: Errors(errors, parameter_errors),
            members: Members(members),
        };
        body.serialize(to)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let Document { kind, headers, refused_caller, .. } = *self.0;
        let mut response = (kind.status(), body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(kind);
        if let Some(refused) = refused_caller {
            response.extensions_mut().insert(refused);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn json_of(body: Body) -> Value {
        serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn a_problem_is_answered_as_rfc_9457_writes_it() {
        let error = FieldError {
            pointer: "/payload".into(),
            rule: "max-bytes",
            limit: Some(65_536),
            detail: "must have at most 65536 bytes, not 70000".into(),
        };
        let response = Problem::new(ProblemType::ContentTooLarge, "the payload is too large")
            .with_errors(vec![error])
            .into_response();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            json_of(response.into_body()).await,
            json!({
                "type": "/problems/content-too-large",
                "title": "The content is too large",
                "status": 413,
                "detail": "the payload is too large",
                "errors": [{
                    "pointer": "/payload",
                    "rule": "max-bytes",
                    "limit": 65_536,
                    "detail": "must have at most 65536 bytes, not 70000",
                }],
            })
        );
    }

    #[tokio::test]
    async fn a_parameter_is_named_where_a_body_has_pointers() {
        let error = ParameterError {
            parameter: "limit".into(),
            rule: "max",
            limit: Some(500),
            detail: "must be at most 500, not 501".into(),
        };
        let problem = Problem::new(ProblemType::InvalidRequest, "parameters break rules");
        let response = problem.with_parameter_errors(vec![error]).into_response();
        assert_eq!(
            json_of(response.into_body()).await["errors"],
            json!([{
                "parameter": "limit", "rule": "max", "limit": 500,
                "detail": "must be at most 500, not 501",
            }])
        );
    }

    #[tokio::test]
    async fn a_member_of_its_own_is_told_beside_the_others_and_never_printed() {
        let problem = Problem::new(ProblemType::Forbidden, "not yet")
            .with_member("error", "invalid_grant")
            .with_member("enrolment", json!({"secret": "JBSWY3DP"}));
        let printed = format!("{problem:?}");
        assert!(printed.contains("enrolment") && !printed.contains("JBSWY3DP"), "{printed}");
        let response = problem.into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            json_of(response.into_body()).await,
            json!({
                "type": "/problems/forbidden",
                "title": ProblemType::Forbidden.title(),
                "status": 403,
                "detail": "not yet",
                "error": "invalid_grant",
                "enrolment": {"secret": "JBSWY3DP"},
            })
        );
    }

    #[test]
    fn what_cannot_be_written_is_left_out_and_the_rest_is_told() {
        let problem = Problem::new(ProblemType::Forbidden, "not yet");
        let keys_are_no_texts = std::collections::HashMap::from([([1_u8], "one")]);
        let told = serde_json::to_value(&problem).unwrap();
        let problem = problem.with_member("more", keys_are_no_texts);
        assert_eq!(serde_json::to_value(&problem).unwrap(), told);
    }

    #[tokio::test]
    async fn why_a_caller_was_refused_goes_with_the_answer_and_is_not_told() {
        let refused = RefusedCaller { reason: "role", actor: Some("0198".to_owned()) };
        let problem = Problem::new(ProblemType::Forbidden, "not you");
        let plain = problem.clone().into_response();
        assert_eq!(plain.extensions().get::<RefusedCaller>(), None);
        let response = problem.with_refused_caller(refused.clone()).into_response();
        assert_eq!(response.extensions().get::<RefusedCaller>(), Some(&refused));
        assert_eq!(response.headers(), plain.headers());
        assert_eq!(json_of(response.into_body()).await, json_of(plain.into_body()).await);
    }

    #[tokio::test]
    async fn an_unknown_outcome_carries_the_id_to_send_again() {
        let response = Problem::new(ProblemType::UnknownOutcome, "send it again")
            .with_request_id("0198")
            .with_retry_after(Duration::from_millis(1_200))
            .into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(json_of(response.into_body()).await["request_id"], "0198");
    }
}
