//! Who may report: whoever may not is told so, and nothing reaches the log.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::world::{SECRET, World, an_event, bearer, now, tester};

fn with(name: &str, value: Value) -> Value {
    let mut claims = tester();
    claims[name] = value;
    claims
}

fn unsigned(algorithm: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("Bearer {}.{}.", part(json!({"alg": algorithm, "typ": "JWT"})), part(tester()))
}

fn signed(algorithm: Algorithm, secret: &[u8]) -> String {
    let header = Header::new(algorithm);
    format!("Bearer {}", encode(&header, &tester(), &EncodingKey::from_secret(secret)).unwrap())
}

/// A token whose header names an asymmetric algorithm and whose signature is an HMAC.
fn confused(algorithm: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(json!({"alg": algorithm, "kid": "one"})), part(tester()));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("Bearer {message}.{signature}")
}

#[tokio::test]
async fn without_a_valid_access_token_nothing_is_taken() {
    let world = World::new();
    let mut table = vec![
        ("expired", bearer(&with("exp", json!(now() - 60)))),
        ("not valid yet", bearer(&with("nbf", json!(now() + 60)))),
        ("no expiry", bearer(&with("exp", Value::Null))),
        ("another secret", signed(Algorithm::HS256, b"another secret")),
        ("another HMAC", signed(Algorithm::HS512, SECRET)),
        ("another audience", bearer(&with("aud", json!("another")))),
        ("another issuer", bearer(&with("iss", json!("another")))),
        ("no subject", bearer(&with("sub", Value::Null))),
        ("not a token", "Bearer x.y.z".into()),
        ("another scheme", "Basic dXNlcjpwYXNz".into()),
    ];
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        table.push(("no signature", unsigned(algorithm)));
    }
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        table.push(("another algorithm's name", confused(algorithm)));
    }
    for (case, authorization) in table {
        let answer = world.post(&[("authorization", &authorization)], an_event()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{case}");
        assert_eq!(answer.problem(), "unauthenticated");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains(r#"error="invalid_token""#), "{case}: {challenge}");
        let token = authorization.split(' ').next_back().unwrap();
        assert!(!answer.body.to_string().contains(token), "{case}: the token is repeated");
    }
    let answer = world.post(&[], an_event()).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (401, "unauthenticated"));
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="millrace""#);
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn a_caller_without_the_role_is_refused() {
    let world = World::new();
    for roles in [json!([]), json!(["analyst"]), json!(["approver", "responder"]), json!(["Admin"])]
    {
        let authorization = bearer(&with("roles", roles));
        let answer = world.post(&[("authorization", &authorization)], an_event()).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (403, "forbidden"));
        assert!(answer.header("www-authenticate").contains("insufficient_scope"));
    }
    assert!(world.sent().is_empty());
    for role in ["device", "user", "admin"] {
        let authorization = bearer(&with("roles", json!([role])));
        let answer = world.post(&[("authorization", &authorization)], an_event()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{role}");
    }
}

#[tokio::test]
async fn a_device_reports_only_for_itself() {
    let world = World::new();
    let other = bearer(&with("device_id", json!("device-124")));
    let answer = world.post(&[("authorization", &other)], an_event()).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (403, "forbidden"));
    assert!(world.sent().is_empty());
    let own = bearer(&with("device_id", json!("device-123")));
    let answer = world.post(&[("authorization", &own)], an_event()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}
