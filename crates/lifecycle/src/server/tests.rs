//! What every answer carries, and which come compressed.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, ORIGIN, STRICT_TRANSPORT_SECURITY, VARY,
};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get;
use tower::ServiceExt as _;

use super::{HttpConfig, with_limits};
use crate::http::TrustedProxies;

const ALLOW_ORIGIN: HeaderName = HeaderName::from_static("access-control-allow-origin");
const EXPOSE_HEADERS: HeaderName = HeaderName::from_static("access-control-expose-headers");

fn config() -> HttpConfig {
    HttpConfig {
        bind: ([127, 0, 0, 1], 0).into(),
        max_connections: 1,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(10),
        max_body: 1024,
        cors_origins: Vec::new(),
        strict_transport: None,
        trusted_proxies: TrustedProxies::default(),
    }
}

/// A page of this many bytes, and nothing else.
fn page(media_type: &'static str, bytes: usize) -> Router {
    let answer = move || async move {
        let headers = [(CONTENT_TYPE, media_type), (ETAG, "\"1.5\"")];
        (headers, "1".repeat(bytes)).into_response()
    };
    Router::new().route("/page", get(answer))
}

async fn ask(
    router: Router,
    config: &HttpConfig,
    headers: &[(HeaderName, &str)],
) -> Response<Body> {
    request(router, config, "GET", "/page", headers).await
}

async fn request(
    router: Router,
    config: &HttpConfig,
    method: &str,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
    let request = request.body(Body::empty()).unwrap();
    with_limits(router, config, None).oneshot(request).await.unwrap()
}

async fn body(response: Response<Body>) -> Bytes {
    to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_is_not() {
    for path in ["/page", "/nowhere"] {
        let router = page("application/json", 1);
        let response = request(router, &config(), "GET", path, &[]).await;
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(
            headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(headers.get(STRICT_TRANSPORT_SECURITY), None, "{path}");
    }
    let strict = HttpConfig {
        strict_transport: Some(HeaderValue::from_static("max-age=60; includeSubDomains")),
        ..config()
    };
    let response = ask(page("application/json", 1), &strict, &[]).await;
    assert_eq!(response.headers()[STRICT_TRANSPORT_SECURITY], "max-age=60; includeSubDomains");
}

#[tokio::test]
async fn what_is_worth_it_is_compressed_for_those_who_take_it() {
    for (media_type, bytes, accepted, coding) in [
        ("application/json", 10_000, "gzip, br", Some("br")),
        ("application/json", 10_000, "gzip", Some("gzip")),
        ("application/problem+json", 10_000, "gzip", Some("gzip")),
        ("application/x-ndjson", 10_000, "br", Some("br")),
        ("application/json", 500, "gzip, br", None),
        ("image/png", 10_000, "gzip, br", None),
        ("application/json", 10_000, "identity;q=0", None),
        ("application/json", 10_000, "deflate", None),
    ] {
        let accepted_header = [(ACCEPT_ENCODING, accepted)];
        let response = ask(page(media_type, bytes), &config(), &accepted_header).await;
        let case = format!("{bytes} bytes of {media_type} for {accepted}");
        assert_eq!(response.status(), StatusCode::OK, "{case}");
        let headers = response.headers().clone();
        assert_eq!(
            headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes),
            coding.map(str::as_bytes),
            "{case}"
        );
        let tag = if coding.is_some() { "W/\"1.5\"" } else { "\"1.5\"" };
        assert_eq!(headers[ETAG], tag, "{case}");
        let length = body(response).await.len();
        assert_eq!(length < bytes, coding.is_some(), "{case}: {length}");
    }
}

#[tokio::test]
async fn an_answer_that_may_come_compressed_says_so_to_caches() {
    let response = ask(page("application/json", 10_000), &config(), &[]).await;
    assert_eq!(response.headers()[VARY], "accept-encoding");
    assert_eq!(response.headers().get(CONTENT_ENCODING), None);
    let tiny = ask(page("application/json", 10), &config(), &[]).await;
    assert_eq!(tiny.headers().get(VARY), None);
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_read_answers() {
    let listed = "https://app.example.com";
    let cors = HttpConfig { cors_origins: vec![HeaderValue::from_static(listed)], ..config() };
    let of = |origin: &'static str| [(ORIGIN, origin)];
    let response = ask(page("application/json", 1), &cors, &of(listed)).await;
    assert_eq!(response.headers()[ALLOW_ORIGIN], listed);
    let exposed = response.headers()[EXPOSE_HEADERS].to_str().unwrap().to_owned();
    for name in ["consistency-token", "etag", "link", "x-request-id", "retry-after", "ratelimit"] {
        assert!(exposed.split(',').any(|it| it == name), "{name} is not in {exposed}");
    }
    assert_eq!(response.headers().get("access-control-allow-credentials"), None);
    for origin in ["https://app.example.com.evil.org", "http://app.example.com", "null"] {
        let response = ask(page("application/json", 1), &cors, &of(origin)).await;
        assert_eq!(response.headers().get(ALLOW_ORIGIN), None, "{origin}");
    }
    let none = ask(page("application/json", 1), &config(), &of(listed)).await;
    assert_eq!(none.headers().get(ALLOW_ORIGIN), None);
}

#[tokio::test]
async fn a_preflight_is_answered_without_the_handler_and_remembered() {
    let cors = HttpConfig {
        cors_origins: vec![HeaderValue::from_static("https://app.example.com")],
        ..config()
    };
    let asked = [
        (ORIGIN, "https://app.example.com"),
        (HeaderName::from_static("access-control-request-method"), "POST"),
        (HeaderName::from_static("access-control-request-headers"), "authorization,ce-id"),
    ];
    let response = request(page("application/json", 1), &cors, "OPTIONS", "/page", &asked).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers[ALLOW_ORIGIN], "https://app.example.com");
    assert_eq!(headers["access-control-allow-headers"], "authorization,ce-id");
    assert_eq!(headers["access-control-allow-methods"], "GET,HEAD,POST");
    assert_eq!(headers["access-control-max-age"], "600");
    assert!(headers.contains_key("x-request-id"));
    assert!(body(response).await.is_empty());
    // Without a list there are no preflights, and the path says what it takes.
    let response =
        request(page("application/json", 1), &config(), "OPTIONS", "/page", &asked).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}
