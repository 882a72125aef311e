//! Answering one request: around every handler of every process.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, CONNECTION};
use http::{HeaderValue, Method};
use problem_details::{Problem, ProblemType, RefusedCaller};
use telemetry::{AccessRefused, HandlerPanicked, HttpRequestServed, HttpTimers, RequestIds, trace};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

use super::body::{IsLate, TimedBody};
use super::context::caller_s_trace;
use super::protection::protect;
use super::{REQUEST_ID, RequestContext, compression};
use crate::server::HttpConfig;

/// Gives each request its id and trace, its handler its time, and a panic an answer.
///
/// It is a layer of our own, as are [quotas](super::quota): one made of a function would copy all that is within
/// it for each request, and box it thrice.
#[derive(Clone)]
pub(crate) struct AnswerLayer(Arc<Limits>);

/// A service with [`AnswerLayer`] around it.
#[derive(Clone)]
pub(crate) struct Answering<S> {
    inner: S,
    limits: Arc<Limits>,
}

/// What holds for every request.
struct Limits {
    request: Duration,
    body: Duration,
    strict_transport: Option<HeaderValue>,
    timers: HttpTimers,
}

/// What a panic was about.
type Panic = Box<dyn Any + Send>;

impl AnswerLayer {
    pub(crate) fn of(config: &HttpConfig) -> Self {
        let (request, body) = (config.request_timeout, config.body_timeout);
        let strict_transport = config.strict_transport.clone();
        let timers = HttpTimers::default();
        Self(Arc::new(Limits { request, body, strict_transport, timers }))
    }
}

impl<S> Layer<S> for AnswerLayer {
    type Service = Answering<S>;

    fn layer(&self, inner: S) -> Answering<S> {
        Answering { inner, limits: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request> for Answering<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (asked, request) = Asked::of(request, &self.limits);
        let begin = AssertUnwindSafe(|| self.inner.call(request));
        let handling = asked.in_scope(|| catch_unwind(begin));
        let limits = Arc::clone(&self.limits);
        Box::pin(async move { Ok(asked.answer(handling, &limits).await) })
    }
}

/// What is known of a request while it is answered.
struct Asked {
    started: Instant,
    method: Method,
    matched: Option<MatchedPath>,
    ids: RequestIds,
    traced: Span,
    is_late: IsLate,
    /// In what it may be answered.
    coding: Option<HeaderValue>,
}

impl Asked {
    /// What is known, and the request with what its handlers are to know.
    fn of(request: Request, limits: &Limits) -> (Self, Request) {
        let started = Instant::now();
        let mut context = RequestContext::from_headers(request.headers());
        let method = request.method().clone();
        let matched = request.extensions().get::<MatchedPath>().cloned();
        let traced = traced(&request, &method, route(matched.as_ref()));
        if let Some(trace) = trace::parent(&traced) {
            context.trace = trace;
        }
        let ids = context.ids();
        let (mut request, is_late) = timed(request, limits.body);
        compression::choose(request.headers_mut());
        let coding = request.headers().get(ACCEPT_ENCODING).cloned();
        request.extensions_mut().insert(context);
        (Self { started, method, matched, ids, traced, is_late, coding }, request)
    }

    fn in_scope<T>(&self, act: impl FnOnce() -> T) -> T {
        self.traced.in_scope(|| self.ids.sync_scope(act))
    }

    async fn answer<F>(self, handling: Result<F, Panic>, limits: &Limits) -> Response
    where
        F: Future<Output = Result<Response, Infallible>>,
    {
        let handled = match handling {
            Ok(handling) => {
                let handling = AssertUnwindSafe(handling).catch_unwind();
                let handling = tokio::time::timeout(limits.request, handling);
                self.ids.clone().scope(handling).instrument(self.traced.clone()).await
            }
            Err(panic) => Ok(Err(panic)),
        };
        let mut response = self.in_scope(|| match handled {
            _ if self.is_late.get() => body_is_late(limits.body),
            Ok(Ok(Ok(response))) => response,
            Ok(Err(_panic)) => panicked(route(self.matched.as_ref())),
            Err(_elapsed) => took_too_long(&self.method, limits.request),
        });
        if compression::is_worth_it(&response) {
            // Boxed, so that the future of the usual answer is no larger for it.
            response = Box::pin(compression::compress(self.coding.clone(), response)).await;
        }
        self.in_scope(|| self.tell(&mut response, limits));
        response
    }

    /// Tells the caller what every answer tells, and the metrics, the log and the trace what became of it.
    fn tell(&self, response: &mut Response, limits: &Limits) {
        let refused = response.extensions_mut().remove::<RefusedCaller>();
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.ids.request_id.clone());
        protect(headers, limits.strict_transport.as_ref());
        let served = HttpRequestServed {
            method: label(&self.method),
            route: route(self.matched.as_ref()),
            status: response.status().as_u16(),
            duration: self.started.elapsed(),
            refused: refused.as_ref().map(access_refused),
        };
        served.emit(&limits.timers);
        trace::answered(&self.traced, served.status);
    }
}

fn route(matched: Option<&MatchedPath>) -> &str {
    matched.map_or("unmatched", MatchedPath::as_str)
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
