//! Devices report what happened: `POST /api/v1/events`, and the older `POST /events`.

mod identity;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use access::{Caller, Role, Unauthenticated, Verifier};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use consistency_token::{Token, TokenKey};
use domain::Timestamp;
use domain::device::DeviceEventReported;
use event_schema::device::{WRITTEN, encode};
use event_schema::header::{Headers, SOURCE_COMMAND_API};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use kafka_io::producer::{Delivered, Refusal, SendError};
use lifecycle::http::RequestContext;
use problem_details::{BodyLimits, FieldError, Problem, ProblemType, read_json_body};
use uuid::Uuid;

use crate::deployment::{Deployed, Known};
use crate::idempotency_key::IdempotencyKey;
use crate::log::{Log, NewRecord};
use crate::occurrence::Outcomes;
use identity::{ClientId, Identity, Reported};
use request::Report;

pub use request::ReportLimits;

/// The canonical path.
pub const PATH: &str = "/api/v1/events";

/// The older path, which means the same.
pub const ALIAS: &str = "/events";

/// Who may report.
const REPORTERS: &[Role] = &[Role::Device, Role::User, Role::Admin];

/// How long a client waits before it asks again while nothing is taken.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// What reporting needs.
pub struct Reporting<L> {
    /// Verifies access tokens.
    pub verifier: Arc<Verifier>,
    /// Signs consistency tokens.
    pub token_key: TokenKey,
    /// What a report may hold.
    pub limits: ReportLimits,
    /// How much of a body is taken.
    pub body: BodyLimits,
    /// What was deployed, once it is known.
    pub known: Known,
    /// Where events go.
    pub log: Arc<L>,
}

struct Shared<L> {
    reporting: Reporting<L>,
    outcomes: Outcomes,
}

/// The slice's routes.
pub fn routes<L: Log>(reporting: Reporting<L>) -> Router {
    let shared = Arc::new(Shared { reporting, outcomes: Outcomes::new() });
    Router::new()
        .route(PATH, post(report_device_event::<L>))
        .route(ALIAS, post(report_device_event_by_alias::<L>))
        .with_state(shared)
}

async fn report_device_event_by_alias<L: Log>(
    shared: State<Arc<Shared<L>>>,
    context: RequestContext,
    request: Request,
) -> Response {
    let mut response = report_device_event(shared, context, request).await;
    let canonical = HeaderValue::from_static(r#"</api/v1/events>; rel="canonical""#);
    response.headers_mut().append(LINK, canonical);
    response
}

async fn report_device_event<L: Log>(
    State(shared): State<Arc<Shared<L>>>,
    context: RequestContext,
    request: Request,
) -> Response {
    match shared.report(&context, request).await {
        Ok(accepted) => accepted.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// What the client is told of an event that is in the log.
struct Accepted {
    request_id: Uuid,
    /// Absent where the log did not say where the event stands.
    token: Option<String>,
}

impl<L: Log> Shared<L> {
    async fn report(
        &self,
        context: &RequestContext,
        request: Request,
    ) -> Result<Accepted, Problem> {
        let now = now();
        let (parts, body) = request.into_parts();
        let not_taken = |problem: &Problem| self.outcomes.not_taken(problem);
        let caller = self.caller(&parts.headers, now).inspect_err(not_taken)?;
        let Reporting { body: body_limits, limits, .. } = &self.reporting;
        let body =
            read_json_body(&parts.headers, body, *body_limits).await.inspect_err(not_taken)?;
        let (event, key) = Report::read(&body, limits, now)
            .and_then(|report| identified(report, &caller, &parts.headers))
            .inspect_err(not_taken)?;
        self.append(event, key, &caller, context, now).await
    }

    fn caller(&self, headers: &HeaderMap, now: Timestamp) -> Result<Arc<Caller>, Problem> {
        let seconds = now.micros() / 1_000_000;
        let verified = self.reporting.verifier.verify(headers, seconds);
        let caller = verified.map_err(Unauthenticated::refuse)?;
        caller.must_be_any(REPORTERS).map_err(|error| error.refuse(&caller))?;
        Ok(caller)
    }

    async fn append(
        &self,
        event: DeviceEventReported,
        key: Option<IdempotencyKey>,
        caller: &Caller,
        context: &RequestContext,
        now: Timestamp,
    ) -> Result<Accepted, Problem> {
        let Some(deployed) = self.reporting.known.get() else {
            self.outcomes.not_ready();
            let detail = "the service has not finished its start; nothing was written";
            return Err(Problem::new(ProblemType::NotReady, detail).with_retry_after(RETRY_AFTER));
        };
        let value = encode(&event, deployed.schema_id).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "event not encoded");
            Problem::new(ProblemType::InternalError, "the event could not be written")
        })?;
        let traceparent = context.trace.to_string();
        let headers = Headers {
            id: event.request_id,
            source: SOURCE_COMMAND_API,
            event_type: WRITTEN.event_type(),
            stream_id: event.device_id.as_str(),
            time: Some(event.occurred_at.unwrap_or(now)),
            stream_version: None,
            previous_id: None,
            correlation_id: Some(context.request_id.as_str()),
            causation_id: None,
            actor: Some(&caller.actor),
            traceparent: Some(&traceparent),
        };
        let (topic, stream_id) = (deployed.topic.as_str(), event.device_id.as_str());
        let record = NewRecord { topic, stream_id, value: &value, headers };
        let began = Instant::now();
        match self.reporting.log.append(record).await {
            Ok(delivered) => {
                self.outcomes.accepted(event.request_id, began.elapsed());
                Ok(self.accepted(event.request_id, deployed, delivered))
            }
            Err(error) => {
                self.outcomes.not_appended(event.request_id, &error);
                Err(not_appended(&error, event.request_id, key.is_some()))
            }
        }
    }

    fn accepted(&self, request_id: Uuid, deployed: &Deployed, delivered: Delivered) -> Accepted {
        let token = token(deployed, delivered).map(|token| token.encode(&self.reporting.token_key));
        Accepted { request_id, token }
    }
}

/// A token of a wrong position would promise a reader what it does not hold: better none.
fn token(deployed: &Deployed, delivered: Delivered) -> Option<Token> {
    let partition = u32::try_from(delivered.partition).ok()?;
    Some(Token::of_record(&deployed.topic, deployed.epoch, partition, delivered.offset?))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The event that the report is, if the caller may make it.
fn identified(
    report: Report<'_>,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<(DeviceEventReported, Option<IdempotencyKey>), Problem> {
    let Report { device_id, occurred_at, payload } = report;
    caller.must_own_device(&device_id).map_err(|error| error.refuse(caller))?;
    let key = IdempotencyKey::from_headers(headers)?;
    let identity = match &key {
        None => Identity::new(),
        Some(key) => {
            let (issuer, subject) = (caller.issuer.as_str(), caller.subject.as_str());
            let id = ClientId { issuer, subject, source: "", key, item: 0 };
            let occurred_at = occurred_at.as_ref().map(|(_, text)| &**text);
            Identity::of_client(id, Reported { device_id: &device_id, occurred_at, payload })
        }
    };
    let event = DeviceEventReported {
        device_id,
        request_id: identity.request_id,
        dedupe: identity.dedupe,
        body_hash: identity.body_hash,
        occurred_at: occurred_at.map(|(time, _)| time),
        payload: payload.to_owned(),
    };
    Ok((event, key))
}

fn not_appended(error: &SendError, request_id: Uuid, has_key: bool) -> Problem {
    let problem = match error {
        SendError::Refused(Refusal::TooLarge) => {
            let detail = "the event is larger than the log takes; nothing was written";
            let errors = vec![FieldError {
                pointer: "/payload".to_owned(),
                rule: "max-record-bytes",
                limit: None,
                detail: "must fit a record of the log".to_owned(),
            }];
            return Problem::new(ProblemType::ContentTooLarge, detail).with_errors(errors);
        }
        SendError::Refused(_) => {
            let detail = "the log takes no events now and nothing was written; send it again";
            Problem::new(ProblemType::BrokerUnavailable, detail)
        }
        SendError::Unknown(_) => {
            let detail = if has_key {
                "the event may be in the log; send it again with the same Idempotency-Key and it takes effect once"
            } else {
                "the event may be in the log; without an Idempotency-Key, sending it again may record it twice"
            };
            Problem::new(ProblemType::UnknownOutcome, detail).with_request_id(request_id)
        }
    };
    problem.with_retry_after(RETRY_AFTER)
}

impl Accepted {
    fn into_response(self) -> Response {
        let mut text = Uuid::encode_buffer();
        let id = self.request_id.as_hyphenated().encode_lower(&mut text);
        let body = format!(r#"{{"request_id":"{id}","status":"accepted"}}"#);
        let mut response = (StatusCode::ACCEPTED, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Base64url is always a header value.
        if let Some(Ok(token)) = self.token.map(HeaderValue::try_from) {
            headers.insert(CONSISTENCY_TOKEN, token);
        }
        response
    }
}
