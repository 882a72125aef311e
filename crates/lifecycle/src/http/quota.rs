//! How much whoever calls may ask for: every answer tells it, and who has asked for more is answered `429`.
//!
//! Callers are the devices and users whom access tokens name, and addresses where there is no token that is
//! taken. The rules are those of [`rate_limit`]; what a request counts as is said beside its handler, in its
//! [`Operation`](api_description::Operation).

mod caller;
mod config;
mod fields;
mod occurrence;
mod ratings;
mod sharing;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use api_description::Description;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::Either;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use metrics::Counter;
use pin_project_lite::pin_project;
use problem_details::{Problem, ProblemType};
use rate_limit::{
    Class, Decision, LimitKey, Limiter, Moment, PerClass, Rated, SharedBuckets, Told,
};
use telemetry::Metric;
use tokio::sync::Notify;
use tower::{Layer, Service};

use super::ClientAddress;
use occurrence::{Alone, QuotaExceeded};
use ratings::Ratings;

pub use caller::CallerKeys;
pub use config::RateLimitConfig;
pub(crate) use fields::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// The quotas of one process. Clones are the same.
#[derive(Clone)]
pub struct RateLimits(Arc<Inner>);

struct Inner {
    limiter: Limiter,
    keys: CallerKeys,
    identify: Box<Identify>,
    ratings: Ratings,
    classes: PerClass<OfClass>,
    /// From here on time is counted.
    began: Instant,
    /// There is something to charge the shared buckets with.
    waiting: Notify,
}

type Identify = dyn Fn(&mut Parts, &CallerKeys) -> Option<LimitKey> + Send + Sync;

/// What does not change from one request of a class to the next.
struct OfClass {
    /// The quotas, as answers tell them.
    policy: Option<HeaderValue>,
    admitted: Counter,
    refused: Counter,
}

impl RateLimits {
    /// Quotas for the operations of a description. `identify` tells without I/O who sends a request, where its
    /// headers show that, and may leave in its extensions what it found. Where processes share no buckets, each
    /// keeps to its part of every quota.
    pub fn new(
        config: &RateLimitConfig,
        description: &Description,
        identify: impl Fn(&mut Parts, &CallerKeys) -> Option<LimitKey> + Send + Sync + 'static,
        has_shared: bool,
    ) -> Self {
        let limiter = Limiter::new(config.limits, has_shared);
        Alone { is_alone: limiter.is_alone(), is_news: false }.emit();
        let classes = PerClass::new(|class: Class| {
            let counter = |outcome| Metric::RateLimitRequests.counter(&[class.name(), outcome]);
            OfClass {
                policy: fields::policy(limiter.quotas(class)),
                admitted: counter("admitted"),
                refused: counter("refused"),
            }
        });
        Self(Arc::new(Inner {
            limiter,
            keys: config.keys.clone(),
            identify: Box::new(identify),
            ratings: Ratings::of(description),
            classes,
            began: Instant::now(),
            waiting: Notify::new(),
        }))
    }

    /// Charges the buckets that processes share, for as long as it is polled. No request waits for it.
    pub async fn share(self, buckets: impl SharedBuckets) {
        sharing::share(&self.0, &buckets).await;
    }
}

/// Lets requests through or refuses them, and tells their callers where they stand; lets all through where there
/// are no quotas.
#[derive(Clone)]
pub(crate) struct QuotaLayer(pub(crate) Option<RateLimits>);

/// A service with [`QuotaLayer`] around it.
#[derive(Clone)]
pub(crate) struct Limited<S> {
    inner: S,
    quotas: Option<RateLimits>,
}

impl<S> Layer<S> for QuotaLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, quotas: self.0.clone() }
    }
}

impl<S> Service<Request> for Limited<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Limiting<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let quotas = self.quotas.as_ref().map(|RateLimits(quotas)| quotas);
        let Some((quotas, rated)) = quotas.and_then(|it| Some((it, it.ratings.rated(&request)?)))
        else {
            return Limiting { of: Either::Left(self.inner.call(request)), told: None };
        };
        let (mut parts, body) = request.into_parts();
        let Decision { is_admitted, wakes, told } = quotas.decide(&mut parts, rated);
        if wakes {
            quotas.waiting.notify_one();
        }
        let of_class = quotas.classes.of(rated.class);
        let of = if is_admitted {
            of_class.admitted.increment(1);
            Either::Left(self.inner.call(Request::from_parts(parts, body)))
        } else {
            of_class.refused.increment(1);
            QuotaExceeded { class: rated.class, quota: told.quota.name }.emit();
            Either::Right(ready(Ok(refusal(&told))))
        };
        let policy = of_class.policy.clone();
        Limiting { of, told: Some(Fields { policy, standing: fields::standing(&told) }) }
    }
}

pin_project! {
    /// The answer of a handler or a refusal, with what its caller is told of their quotas.
    pub(crate) struct Limiting<F> {
        #[pin]
        of: Either<F, Ready<Result<Response, Infallible>>>,
        told: Option<Fields>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Limiting<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = std::task::ready!(this.of.poll(context));
        if let Some(told) = this.told.take() {
            told.tell(response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

/// What an answer tells of quotas.
struct Fields {
    policy: Option<HeaderValue>,
    standing: Option<HeaderValue>,
}

impl Fields {
    fn tell(self, headers: &mut HeaderMap) {
        for (name, value) in [(RATE_LIMIT_POLICY, self.policy), (RATE_LIMIT, self.standing)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }
}

impl Inner {
    fn decide(&self, parts: &mut Parts, rated: Rated) -> Decision {
        let known = (self.identify)(parts, &self.keys);
        let key = known.unwrap_or_else(|| {
            let ClientAddress(address) = ClientAddress::of(&parts.extensions, &parts.headers);
            self.keys.address(address)
        });
        self.limiter.decide(key, rated, self.now())
    }

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Who is refused is told when to come back: never sooner than there is enough for the request.
fn refusal(told: &Told) -> Response {
    let (quota, seconds) = (told.quota, fields::seconds(told.after));
    let (name, units, window) = (quota.name, quota.units, quota.window.as_secs());
    let detail = format!(
        "not enough is left of the quota `{name}` ({units} in {window} s); come back in {seconds} s"
    );
    Problem::new(ProblemType::QuotaExceeded, detail)
        .with_retry_after(Duration::from_secs(seconds))
        .into_response()
}
