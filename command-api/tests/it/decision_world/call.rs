//! Requests as people, admins and devices send them.

use axum::Router;
use axum::body::Body;
use http::Request;
use http::request::Builder;
use http_body_util::BodyExt as _;
use lifecycle::http::ClientAddress;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::world::{Answer, bearer, now};

/// A request to be sent.
pub(crate) struct Call {
    router: Router,
    request: Builder,
    body: String,
}

impl Call {
    pub(crate) fn new(router: Router, method: &str, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path);
        Self { router, request, body: String::new() }
    }

    /// With an access token of these claims.
    pub(crate) fn by(self, claims: &Value) -> Self {
        let token = bearer(claims);
        self.with("authorization", &token)
    }

    /// With an access token as it was given.
    pub(crate) fn bearing(self, access_token: &str) -> Self {
        self.with("authorization", &format!("Bearer {access_token}"))
    }

    /// From this address.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.request = self.request.extension(ClientAddress(address.parse().unwrap()));
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Under the client's own name.
    pub(crate) fn named(self, key: &str) -> Self {
        self.with("idempotency-key", &format!("\"{key}\""))
    }

    pub(crate) fn saying(self, body: &Value) -> Self {
        self.saying_text(body.to_string())
    }

    pub(crate) fn saying_text(self, body: String) -> Self {
        self.saying_as("application/json", body)
    }

    pub(crate) fn saying_as(self, media_type: &str, body: String) -> Self {
        Self { body, ..self }.with("content-type", media_type)
    }

    pub(crate) async fn send(self) -> Answer {
        let request = self.request.body(Body::from(self.body)).unwrap();
        let (parts, body) = self.router.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut answer = Answer { status: parts.status, headers: parts.headers, body: Value::Null };
        // No body is `null`, and a page a string.
        answer.body = match &body[..] {
            b"" => Value::Null,
            page if answer.header("content-type").starts_with("text/html") => {
                std::str::from_utf8(page).unwrap().into()
            }
            json => serde_json::from_slice(json).unwrap(),
        };
        answer
    }
}

/// Somebody who has registered.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
}

impl Person {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }

    /// A path below theirs.
    pub(crate) fn path(&self, below: &str) -> String {
        format!("/api/v1/users/{}{below}", self.id)
    }

    pub(crate) fn stream_id(&self) -> String {
        format!("user-{}", self.id)
    }

    /// The claims of their own access tokens.
    pub(crate) fn claims(&self) -> Value {
        of_user(&self.id)
    }
}

/// The claims of a user.
pub(crate) fn of_user(id: &str) -> Value {
    claims(id, "user")
}

/// The claims of a device.
pub(crate) fn of_device(subject: &str) -> Value {
    claims(subject, "device")
}

/// The claims of some admin.
pub(crate) fn admin() -> Value {
    claims(&Uuid::now_v7().to_string(), "admin")
}

fn claims(subject: &str, role: &str) -> Value {
    json!({"sub": subject, "roles": [role], "exp": now() + 3_600})
}

/// The password of those who register in tests.
pub(crate) const PASSWORD: &str = "correct horse";

/// What somebody of this name says of themselves when they register.
pub(crate) fn registration(name: &str) -> Value {
    json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD})
}
