//! `GET /.well-known/jwks.json`: the keys by which others verify the access tokens that are given out here.
//!
//! Our own processes read them from the database ([`crate::signing_keys`]); this is for everybody else.

use std::time::Duration;

use api_description::{
    Answer, Described, Description, Example, Header, Operation, Parameter, Verb, schema,
};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use problem_details::{Problem, ProblemType};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::access_token::AccessTokenConfig;
use crate::signing_keys::{Key, Keys, SigningKeys};

/// Where the keys are.
pub const PATH: &str = "/.well-known/jwks.json";

/// Longest time for which the document may be used without asking again.
const LONGEST_AGE: Duration = Duration::from_secs(300);

/// When to come back while the keys were not read yet.
const SOON: Duration = Duration::from_secs(1);

/// The headers of the document.
const HEADERS: [Header; 2] = [Header::Checksum, Header::CacheControl];

/// What publishing needs.
#[derive(Clone)]
struct Publishing {
    keys: SigningKeys,
    max_age: Duration,
}

/// The route.
pub fn routes(keys: SigningKeys, config: &AccessTokenConfig) -> Router {
    let max_age = max_age(config.key_lead);
    described().into_router().with_state(Publishing { keys, max_age })
}

/// What it is.
pub fn description() -> Description {
    described().into_description()
}

/// For how long the document may be used without asking again: a key that is added is known to everybody by
/// half of the time after which it signs.
pub(crate) fn max_age(key_lead: Duration) -> Duration {
    LONGEST_AGE.min(key_lead / 2)
}

/// A key set with the public part of every key (RFC 7517, RFC 8037).
pub fn document(keys: &Keys) -> Value {
    let key = |key: &Key| {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": key.kid,
            "x": URL_SAFE_NO_PAD.encode(key.public),
            "use": "sig",
            "alg": "EdDSA",
        })
    };
    json!({"keys": keys.all().iter().map(key).collect::<Vec<_>>()})
}

fn described() -> Described<Publishing> {
    let known = "The `ETag` of an answer, or several.";
    let operation = Operation::new(Verb::Get, PATH, "getSigningKeys", "Keys of access tokens")
        .description(
            "The public keys of access tokens that are given out here, as a JSON Web Key Set. A key stands \
             here before it signs and as long as a token that it signed may live: find it by the token's \
             `kid`, and read the set again where you do not know that.",
        )
        .tag("Users")
        .parameters([Parameter::header("If-None-Match", known, json!({"type": "string"}))])
        .answer(
            Answer::new(200, "All keys.").headers(&HEADERS).json(schema::named("JsonWebKeySet")),
        )
        .answer(Answer::new(304, "They are those of `If-None-Match`.").headers(&HEADERS))
        .example(Example::new("asked", "Asked", 200))
        .example(Example::new("known", "Known already", 304).header("If-None-Match", "*"));
    Described::default().schema("JsonWebKeySet", key_set()).on(operation, published)
}

fn key_set() -> Value {
    let key = json!({
        "type": "object",
        "required": ["kty", "crv", "kid", "x", "use", "alg"],
        "properties": {
            "kty": {"const": "OKP"},
            "crv": {"const": "Ed25519"},
            "kid": base64url("The key's thumbprint (RFC 7638)."),
            "x": base64url("The public key."),
            "use": {"const": "sig"},
            "alg": {"const": "EdDSA"},
        },
    });
    json!({
        "type": "object",
        "description": "A JSON Web Key Set (RFC 7517).",
        "required": ["keys"],
        "properties": {"keys": {"type": "array", "items": key}},
    })
}

fn base64url(description: &str) -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$", "description": description})
}

async fn published(State(publishing): State<Publishing>, headers: HeaderMap) -> Response {
    let Publishing { keys, max_age } = publishing;
    match keys.get() {
        Some(keys) => answer(&document(&keys), max_age, &headers),
        None => {
            let detail = "the keys were not read yet; ask again";
            Problem::new(ProblemType::NotReady, detail).with_retry_after(SOON).into_response()
        }
    }
}

fn answer(document: &Value, max_age: Duration, asked: &HeaderMap) -> Response {
    let tag = tag(document);
    let knows = |known: &str| known.trim() == "*" || known.contains(&tag);
    let mut known = asked.get_all(IF_NONE_MATCH).iter();
    let is_known = known.any(|known| known.to_str().is_ok_and(knows));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(document).into_response()
    };
    let max_age = format!("public, max-age={}", max_age.as_secs());
    for (name, value) in [(CACHE_CONTROL, max_age), (ETAG, tag)] {
        // Letters, digits, quotes and marks: always valid.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Weak, for the same keys may come compressed.
fn tag(document: &Value) -> String {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(document.to_string()).into();
    format!("W/\"{a:02x}{b:02x}{c:02x}{d:02x}\"")
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    const AGE: Duration = Duration::from_secs(300);

    fn two_keys() -> Keys {
        let keys = [1, 2].map(|signs_from| Key::generate(Timestamp(signs_from)));
        Keys::new(keys.into(), Timestamp(1))
    }

    fn asked(known: &str) -> HeaderMap {
        HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::try_from(known).unwrap())])
    }

    fn text(response: &Response, name: axum::http::HeaderName) -> String {
        response.headers()[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn every_key_is_published_and_no_private_part() {
        let keys = two_keys();
        let document = document(&keys);
        let published = document["keys"].as_array().unwrap();
        for (key, published) in keys.all().iter().zip(published) {
            let expected = json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": key.kid, "x": URL_SAFE_NO_PAD.encode(key.public),
            });
            assert_eq!(*published, expected);
        }
        assert_eq!(published.len(), 2);
    }

    #[test]
    fn a_key_that_signs_nothing_here_is_published_as_well() {
        let key = Key { private: None, ..Key::generate(Timestamp(1)) };
        let keys = Keys::new(vec![key], Timestamp(1));
        assert_eq!(document(&keys)["keys"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn whoever_knows_the_keys_is_not_sent_them_again() {
        let document = document(&two_keys());
        let first = answer(&document, AGE, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(text(&first, CACHE_CONTROL), "public, max-age=300");
        let tag = text(&first, ETAG);
        for known in [tag.clone(), format!("\"a\", {tag}"), "*".to_owned()] {
            let again = answer(&document, AGE, &asked(&known));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(text(&again, ETAG), tag);
            assert_eq!(text(&again, CACHE_CONTROL), "public, max-age=300");
        }
        let other = answer(&super::document(&two_keys()), AGE, &asked(&tag));
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn a_new_key_is_known_to_everybody_before_it_signs() {
        for lead in [60, 100, 600, 604_800] {
            let lead = Duration::from_secs(lead);
            assert!(max_age(lead) * 2 <= lead && max_age(lead) <= LONGEST_AGE, "{lead:?}");
        }
    }

    #[tokio::test]
    async fn before_the_keys_were_read_nobody_is_told_that_there_are_none() {
        let publishing = Publishing { keys: SigningKeys::default(), max_age: AGE };
        let response = published(State(publishing), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text(&response, CACHE_CONTROL), "no-store");
    }
}
