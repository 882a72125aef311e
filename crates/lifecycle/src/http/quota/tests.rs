//! Quotas in front of handlers.

use std::sync::atomic::{AtomicBool, Ordering};

use api_description::{Operation, Verb};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::routing::get;
use parking_lot::Mutex;
use rate_limit::{Charge, Debts, NotCharged};
use settings::{Settings, table};
use tower::ServiceExt as _;

use super::*;

/// Says who sends a request, as access tokens do.
const USER: &str = "x-user";

fn config(instances: &str) -> RateLimitConfig {
    let pairs = [
        ("MILLRACE_PROFILE", "dev"),
        (table::RATE_LIMIT_PROFILE.name, "app"),
        (table::RATE_LIMIT_INSTANCES.name, instances),
    ];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut settings = Settings::new(pairs);
    let config = RateLimitConfig::from_settings(&mut settings);
    settings.finish(config).unwrap().unwrap()
}

fn limits(instances: &str, has_shared: bool) -> RateLimits {
    let operation = |verb, path, id| Operation::new(verb, path, id, "An operation");
    let description = Description::default()
        .with(operation(Verb::Get, "/things", "listThings").listing())
        .with(operation(Verb::Post, "/things", "addThing"))
        .with(operation(Verb::Get, "/things/{id}", "getThing"))
        .with(operation(Verb::Post, "/login", "logIn").authenticating());
    let identify = |parts: &mut Parts, keys: &CallerKeys| {
        Some(keys.user("issuer", parts.headers.get(USER)?.to_str().ok()?))
    };
    RateLimits::new(&config(instances), &description, identify, has_shared)
}

fn router(limits: &RateLimits) -> Router {
    let ok = || async { "ok" };
    Router::new()
        .route("/things", get(ok).post(ok))
        .route("/things/{id}", get(ok))
        .route("/login", axum::routing::post(ok))
        .route("/health/ready", get(ok))
        .route("/metrics", get(ok))
        .layer(QuotaLayer(Some(limits.clone())))
}

async fn ask(limits: &RateLimits, method: &str, path: &str, user: &str) -> Response {
    let request = Request::builder().method(method).uri(path);
    let request = if user.is_empty() { request } else { request.header(USER, user) };
    router(limits).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn ask_from(limits: &RateLimits, address: &str) -> Response {
    let request = Request::builder().uri("/things/1");
    let request = request.extension(ClientAddress(address.parse().unwrap()));
    router(limits).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// How many requests of a user are let through before one is not, and that one's answer.
async fn until_refused(limits: &RateLimits, user: &str) -> (usize, Response) {
    for admitted in 0..1_000 {
        let response = ask(limits, "GET", "/things/1", user).await;
        if response.status() != 200 {
            return (admitted, response);
        }
    }
    panic!("{user} is never refused");
}

#[tokio::test]
async fn answers_tell_what_is_left_and_a_refusal_when_to_come_back() {
    let limits = limits("1", false);
    let first = ask(&limits, "GET", "/things/1", "ann").await;
    assert_eq!(field(&first, "ratelimit"), r#""short";r=99;t=1"#);
    assert!(field(&first, "ratelimit-policy").starts_with(r#""short";q=100;w=60, "#));
    let (more, refused) = until_refused(&limits, "ann").await;
    assert!((99..110).contains(&more), "{more}");
    assert_eq!(refused.status(), 429);
    assert_eq!(field(&refused, "ratelimit"), r#""short";r=0;t=1"#);
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    assert_eq!(field(&refused, "ratelimit-policy"), field(&first, "ratelimit-policy"));
    assert_eq!(refused.headers()[CONTENT_TYPE], "application/problem+json");
    let body = to_bytes(refused.into_body(), usize::MAX).await.unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "/problems/quota-exceeded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`short` (100 in 60 s); come back in 1 s"), "{detail}");
}

#[tokio::test]
async fn a_user_is_counted_wherever_they_are_and_a_stranger_by_address() {
    let limits = limits("1", false);
    until_refused(&limits, "ann").await;
    assert_eq!(ask(&limits, "GET", "/things/1", "bob").await.status(), 200);
    assert_eq!(ask(&limits, "GET", "/things/1", "").await.status(), 200);
    for _ in 0..110 {
        ask_from(&limits, "2001:db8::7").await;
    }
    assert_eq!(ask_from(&limits, "2001:db8::8").await.status(), 429, "the same network");
    assert_eq!(ask_from(&limits, "2001:db8:0:1::7").await.status(), 200);
    assert_eq!(ask_from(&limits, "198.51.100.7").await.status(), 200);
}

#[tokio::test]
async fn requests_count_as_their_operation_says() {
    let limits = limits("1", false);
    for (method, path, told) in [
        // 50 decisions are as much work as 100 lists and 500 reads.
        ("POST", "/things", r#""work";r=490;t=1"#),
        ("GET", "/things", r#""short";r=99;t=1"#),
        ("HEAD", "/things/1", r#""short";r=99;t=1"#),
        ("GET", "/nowhere", r#""short";r=99;t=1"#),
        ("POST", "/login", r#""auth";r=9;t=1"#),
    ] {
        // Each time somebody else.
        let response = ask(&limits, method, path, &format!("{method} {path}")).await;
        assert_eq!(field(&response, "ratelimit"), told, "{method} {path}");
    }
}

#[tokio::test]
async fn whoever_looks_after_the_process_is_not_counted() {
    let limits = limits("1", false);
    until_refused(&limits, "ann").await;
    for path in ["/health/ready", "/metrics"] {
        let response = ask(&limits, "GET", path, "ann").await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!((field(&response, "ratelimit"), field(&response, "ratelimit-policy")), ("", ""));
    }
}

#[tokio::test]
async fn without_shared_buckets_a_process_keeps_to_its_part() {
    let (admitted, _) = until_refused(&limits("2", false), "ann").await;
    assert!((50..55).contains(&admitted), "{admitted}");
}

/// Buckets that are told and tell what a test says.
#[derive(Default)]
struct Fake {
    is_away: AtomicBool,
    charged: Mutex<Vec<Charge>>,
}

impl SharedBuckets for &'static Fake {
    async fn charge(&self, charges: &[Charge]) -> Result<Vec<Debts>, NotCharged> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(NotCharged);
        }
        self.charged.lock().extend(charges);
        // Nothing is left, whoever asks.
        Ok(charges.iter().map(|_| std::iter::repeat_n(u64::MAX / 4, 4).collect()).collect())
    }
}

async fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came true that {what}");
}

#[tokio::test]
async fn what_is_let_through_is_charged_beside_the_requests_and_what_is_told_counts() {
    let buckets: &'static Fake = Box::leak(Box::default());
    let limits = limits("2", true);
    let sharing = tokio::spawn(limits.clone().share(buckets));
    assert_eq!(ask(&limits, "GET", "/things/1", "ann").await.status(), 200);
    eventually("it is charged", || !buckets.charged.lock().is_empty()).await;
    let charge = buckets.charged.lock()[0];
    assert_eq!(charge.nanos()[0], 600_000_000);
    eventually("the process was told", || {
        let keys = config("2").keys;
        let key = keys.user("issuer", "ann");
        !limits.0.limiter.decide(key, Rated::READ, limits.0.now()).is_admitted
    })
    .await;
    assert_eq!(ask(&limits, "GET", "/things/1", "ann").await.status(), 429);
    sharing.abort();
}

#[tokio::test]
async fn while_the_buckets_are_away_a_process_keeps_to_its_part_and_shares_again_afterwards() {
    let buckets: &'static Fake = Box::leak(Box::default());
    buckets.is_away.store(true, Ordering::Relaxed);
    let limits = limits("2", true);
    let sharing = tokio::spawn(limits.clone().share(buckets));
    assert_eq!(ask(&limits, "GET", "/things/1", "ann").await.status(), 200);
    eventually("it is alone", || limits.0.limiter.is_alone()).await;
    let (admitted, _) = until_refused(&limits, "ann").await;
    assert!((49..55).contains(&admitted), "{admitted}");
    buckets.is_away.store(false, Ordering::Relaxed);
    eventually("it is not alone", || !limits.0.limiter.is_alone()).await;
    let charges = buckets.charged.lock().clone();
    assert!(charges.iter().any(|charge| charge.nanos()[0] >= 49 * 600_000_000), "{charges:?}");
    sharing.abort();
}
