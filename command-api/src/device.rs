//! Devices report what happened: `POST /api/v1/events`, and the older `POST /events`.
//!
//! One report as plain JSON is what most requests are, and has the shortest way. Other forms, arrays
//! and CloudEvents, part from it once the body is read.

mod answer;
mod append;
mod cloud_event;
mod description;
mod fields;
mod form;
mod identity;
mod many;
mod reading;
mod request;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::{Caller, Role, Unauthenticated, Verifier};
use api_description::{Described, Description};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use consistency_token::TokenKey;
use domain::Timestamp;
use http::HeaderValue;
use http::header::LINK;
use http::request::Parts;
use kafka_io::producer::Producer;
use lifecycle::http::RequestContext;
use problem_details::{BodyLimits, Problem, read_body};
use telemetry::trace;

use crate::deployment::Known;
use crate::log::Log;
use crate::occurrence::Outcomes;
use answer::{accepted, token};
use append::{Asked, NewEvent};
use fields::Place;
use form::Form;

pub use request::ReportLimits;

/// The canonical path.
pub const PATH: &str = "/api/v1/events";

/// The older path, which means the same.
pub const ALIAS: &str = "/events";

/// Who may report.
const REPORTERS: &[Role] = &[Role::Device, Role::User, Role::Admin];

/// How long a client waits before it asks again while nothing is taken.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
    described().into_router().with_state(shared)
}

/// What they are.
pub fn description() -> Description {
    described::<Producer>().into_description()
}

fn described<L: Log>() -> Described<Arc<Shared<L>>> {
    let report = description::operation();
    let by_alias = report.clone().by_older_path(ALIAS, "reportDeviceEventsByOlderPath");
    description::with_schemas(Described::default())
        .on(report, report_device_event::<L>)
        .on(by_alias, report_device_event_by_alias::<L>)
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
    shared.report(&context, request).await.unwrap_or_else(Problem::into_response)
}

impl<L: Log> Shared<L> {
    async fn report(
        &self,
        context: &RequestContext,
        request: Request,
    ) -> Result<Response, Problem> {
        let now = now();
        let (parts, body) = request.into_parts();
        let not_taken = |problem: &Problem| self.outcomes.not_taken(problem);
        let caller = self.caller(&parts).inspect_err(not_taken)?;
        let form = Form::of(&parts.headers).inspect_err(not_taken)?;
        let Reporting { body: body_limits, limits, .. } = &self.reporting;
        let body = read_body(&parts.headers, body, *body_limits).await.inspect_err(not_taken)?;
        let asked = Asked { headers: &parts.headers, caller: &caller, context, now };
        if form != Form::Json || is_array(&body) {
            // Boxed, so that the future of the usual request is no larger for it.
            return Box::pin(self.report_otherwise(form, &body, asked)).await;
        }
        let new = asked.report(&body, limits).inspect_err(not_taken)?;
        self.append(new, asked).await
    }

    async fn report_otherwise(
        &self,
        form: Form,
        body: &[u8],
        asked: Asked<'_>,
    ) -> Result<Response, Problem> {
        let not_taken = |problem: &Problem| self.outcomes.not_taken(problem);
        let limits = &self.reporting.limits;
        match form {
            Form::Json => {
                let many = asked.reports(body, limits).inspect_err(not_taken)?;
                self.append_all(many, asked).await
            }
            Form::Batch => {
                let many = asked.cloud_events(body, limits).inspect_err(not_taken)?;
                self.append_all(many, asked).await
            }
            Form::Binary | Form::Structured => {
                let new = asked.cloud_event(form, body, limits).inspect_err(not_taken)?;
                self.append(new, asked).await
            }
        }
    }

    fn caller(&self, parts: &Parts) -> Result<Arc<Caller>, Problem> {
        let verified = self.reporting.verifier.caller(&parts.headers, &parts.extensions);
        let caller = verified.map_err(Unauthenticated::refuse)?;
        caller.must_be_any(REPORTERS).map_err(|error| error.refuse(&caller))?;
        Ok(caller)
    }

    /// Appends one event and answers once it is in the log.
    async fn append(&self, new: NewEvent, asked: Asked<'_>) -> Result<Response, Problem> {
        let deployed = self.deployed()?;
        let sending = trace::send(&deployed.topic, 1);
        let queued = self.queue(deployed, &new, Place::Body, asked, &sending);
        let queued = queued.map_err(|why| self.not_queued(new.reference(Place::Body), why))?;
        // Not kept while the log is waited for: the record has left.
        drop(new);
        let request_id = queued.event.request_id;
        let settled = self.settled(queued).await;
        let delivered = settled.inspect_err(|_| trace::failed(&sending, "unknown"))?;
        let token = token(deployed, delivered);
        Ok(accepted(request_id, token.map(|token| token.encode(&self.reporting.token_key))))
    }
}

fn is_array(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
