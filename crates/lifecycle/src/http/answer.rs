//! Answering one request: around every handler of every process.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::header::{ACCEPT_ENCODING, CONNECTION};
use http::{HeaderValue, Method};
use problem_details::{Problem, ProblemType, RefusedCaller};
use telemetry::{AccessRefused, HandlerPanicked, HttpRequestServed, HttpTimers, trace};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::body::{IsLate, TimedBody};
use super::context::caller_s_trace;
use super::protection::protect;
use super::{REQUEST_ID, RequestContext, compression};
use crate::server::HttpConfig;

/// What holds for every request.
#[derive(Clone)]
pub(crate) struct Limits {
    request: Duration,
    body: Duration,
    strict_transport: Option<HeaderValue>,
    timers: HttpTimers,
}

impl Limits {
    pub(crate) fn of(config: &HttpConfig) -> Self {
        let (request, body) = (config.request_timeout, config.body_timeout);
        let strict_transport = config.strict_transport.clone();
        Self { request, body, strict_transport, timers: HttpTimers::default() }
    }
}

/// Gives the request its id and trace, its handler its time, and a panic an answer.
pub(crate) async fn answer(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let mut context = RequestContext::from_headers(request.headers());
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let traced = traced(&request, &method, route);
    if let Some(trace) = trace::parent(&traced) {
        context.trace = trace;
    }
    // Also where nothing is recorded, and where a task goes on with it that outlives its caller.
    let span = tracing::info_span!(
        "request",
        request.id = context.request_id.as_str(),
        trace_id = format_args!("{:032x}", context.trace.trace_id),
    );

    let (mut request, is_late) = timed(request, limits.body);
    compression::choose(request.headers_mut());
    let coding = request.headers().get(ACCEPT_ENCODING).cloned();
    request.extensions_mut().insert(context.clone());
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    let handled = tokio::time::timeout(limits.request, handled)
        .instrument(span.clone())
        .instrument(traced.clone())
        .await;
    let respond = || match handled {
        _ if is_late.get() => body_is_late(limits.body),
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => panicked(route),
        Err(_elapsed) => took_too_long(&method, limits.request),
    };
    let mut response = traced.in_scope(|| span.in_scope(respond));
    if compression::is_worth_it(&response) {
        // Boxed, so that the future of the usual answer is no larger for it.
        response = Box::pin(compression::compress(coding, response)).await;
    }
    let (_traced, _entered) = (traced.enter(), span.enter());
    let refused = response.extensions_mut().remove::<RefusedCaller>();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, context.request_id.header_value());
    protect(headers, limits.strict_transport.as_ref());
    let served = HttpRequestServed {
        method: label(&method),
        route,
        status: response.status().as_u16(),
        duration: started.elapsed(),
        refused: refused.as_ref().map(access_refused),
    };
    served.emit(&limits.timers);
    trace::answered(&traced, served.status);
    response
}

fn access_refused(refused: &RefusedCaller) -> AccessRefused<'_> {
    AccessRefused { reason: refused.reason, actor: refused.actor.as_deref() }
}

/// Health checks and scrapes are nobody's way through the system.
fn traced(request: &Request, method: &Method, route: &str) -> Span {
    if !trace::is_on() || route == "/metrics" || route.starts_with("/health") {
        return Span::none();
    }
    trace::request(label(method), route, caller_s_trace(request.headers()))
}

fn timed(request: Request, limit: Duration) -> (Request, IsLate) {
    let (parts, body) = request.into_parts();
    let (body, is_late) = TimedBody::wrap(body, limit);
    (Request::from_parts(parts, body), is_late)
}

fn body_is_late(limit: Duration) -> Response {
    let millis = limit.as_millis();
    let detail = format!("the body did not arrive within {millis} ms; send it again");
    Problem::new(ProblemType::RequestTimeout, detail)
        .with_header(CONNECTION, HeaderValue::from_static("close"))
        .into_response()
}

fn panicked(route: &str) -> Response {
    HandlerPanicked { route }.emit();
    let detail = "the request met a defect of the service; its id helps to find it";
    Problem::new(ProblemType::InternalError, detail).into_response()
}

/// A read that took too long had no effect; of anything else nobody knows.
fn took_too_long(method: &Method, limit: Duration) -> Response {
    let millis = limit.as_millis();
    let (kind, detail) = if method.is_safe() {
        let detail = format!("there was no answer within {millis} ms; come back later");
        (ProblemType::NotReady, detail)
    } else {
        let detail = format!(
            "there was no answer within {millis} ms and it may have taken effect; with an \
             Idempotency-Key it may safely be sent again, without one it may take effect twice"
        );
        (ProblemType::UnknownOutcome, detail)
    };
    Problem::new(kind, detail).with_retry_after(Duration::from_secs(1)).into_response()
}

/// The label of a method: a client may invent methods, and each would be a new series.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
