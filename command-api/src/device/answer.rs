//! What is answered once it is known what became of each event.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use consistency_token::Token;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use kafka_io::producer::Delivered;
use problem_details::{Problem, ProblemType};
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};
use uuid::Uuid;

use crate::deployment::DeployedFamily;

const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// Headers of an answer to an event, those of every answer counted.
const USUAL_HEADERS: usize = 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A token of a wrong position would promise a reader what it does not hold: better none.
pub(super) fn token(deployed: &DeployedFamily, delivered: Delivered) -> Option<Token> {
    let partition = u32::try_from(delivered.partition).ok()?;
    Some(Token::of_record(&deployed.topic, deployed.epoch, partition, delivered.offset?))
}

/// The answer to one event that is in the log; without a token where the log did not say where.
pub(super) fn accepted(request_id: Uuid, token: Option<String>) -> Response {
    let mut text = Uuid::encode_buffer();
    let id = request_id.as_hyphenated().encode_lower(&mut text);
    let body = format!(r#"{{"request_id":"{id}","status":"accepted"}}"#);
    with_token(StatusCode::ACCEPTED, body.into(), token)
}

/// What became of one of several events.
#[derive(Debug)]
pub(super) enum ItemResult {
    /// It is in the log.
    Accepted(Uuid),
    /// It is not in the log and will not be.
    Refused(Problem),
    /// It may be in the log or get there.
    Unknown(Uuid, Problem),
}

impl ItemResult {
    fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Accepted(_) => None,
            Self::Refused(problem) | Self::Unknown(_, problem) => Some(problem),
        }
    }
}

impl Serialize for ItemResult {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (request_id, status) = match self {
            Self::Accepted(id) => (Some(id), "accepted"),
            Self::Refused(_) => (None, "refused"),
            Self::Unknown(id, _) => (Some(id), "unknown"),
        };
        let mut result = to.serialize_struct("ItemResult", 3)?;
        if let Some(id) = request_id {
            let mut text = Uuid::encode_buffer();
            result.serialize_field("request_id", id.as_hyphenated().encode_lower(&mut text))?;
        }
        result.serialize_field("status", status)?;
        if let Some(problem) = self.problem() {
            result.serialize_field("problem", problem)?;
        }
        result.end()
    }
}

/// The answer to several events.
pub(super) fn several(results: &[ItemResult], token: Option<String>) -> Response {
    #[derive(Serialize)]
    struct Results<'a> {
        results: &'a [ItemResult],
    }
    if let Some(kind) = kind_of_all(results) {
        return refused_alike(kind, results);
    }
    let is_accepted = results.iter().all(|result| result.problem().is_none());
    let status = if is_accepted { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    let body = serde_json::to_vec(&Results { results }).unwrap_or_default();
    let mut response = with_token(status, body.into(), token);
    let passes = |problem: &Problem| problem.kind().status() == StatusCode::SERVICE_UNAVAILABLE;
    if results.iter().filter_map(ItemResult::problem).any(passes) {
        let seconds = super::RETRY_AFTER.as_secs();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The type of problem that all of them have.
fn kind_of_all(results: &[ItemResult]) -> Option<ProblemType> {
    let mut kinds = results.iter().map(|result| result.problem().map(Problem::kind));
    let first = kinds.next().flatten()?;
    kinds.all(|kind| kind == Some(first)).then_some(first)
}

/// None is known to be in the log, and all for one reason: whoever looks at the status alone, such as
/// a client that tries again by itself, is told the same as if each had come by itself.
fn refused_alike(kind: ProblemType, results: &[ItemResult]) -> Response {
    #[derive(Serialize)]
    struct Document<'a> {
        #[serde(flatten)]
        problem: Problem,
        results: &'a [ItemResult],
    }
    let detail = match kind {
        ProblemType::UnknownOutcome => {
            "whether the events are in the log is not known; `results` names each"
        }
        _ => "none of the events was taken; `results` says why",
    };
    let problem = Problem::new(kind, detail);
    let body = serde_json::to_vec(&Document { problem, results }).unwrap_or_default();
    // With the headers of the first, which are those of all.
    let first = results.iter().find_map(ItemResult::problem).cloned();
    let mut response = first.map(Problem::into_response).unwrap_or_default();
    *response.body_mut() = Body::from(body);
    response
}

fn with_token(status: StatusCode, body: Body, token: Option<String>) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // Room for those that every answer gets too: a map that grows is filled again.
    headers.reserve(USUAL_HEADERS);
    headers.insert(CONTENT_TYPE, JSON);
    // Base64url is always a header value.
    if let Some(Ok(token)) = token.map(HeaderValue::try_from) {
        headers.insert(CONSISTENCY_TOKEN, token);
    }
    response
}
