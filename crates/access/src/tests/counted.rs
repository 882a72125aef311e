//! What the quotas found of a token goes with its request: no token is verified twice.

use http::Request;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::json;

use super::{SECRET, dev, hs256};
use crate::counted::find;
use crate::{Unauthenticated, now};

fn request(token: &str) -> Parts {
    let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(()).unwrap().into_parts().0
}

fn token(secret: &[u8]) -> String {
    let claims = json!({"sub": "ann", "roles": ["user"], "exp": now() + 900});
    hs256(&json!({"alg": "HS256"}), &claims, secret)
}

#[test]
fn what_was_found_of_a_token_is_asked_for_and_not_the_token() {
    let verifier = dev();
    let bad = Err(Unauthenticated::WrongSignature);
    for (found, other) in [(SECRET, &b"of somebody else"[..]), (b"of somebody else", SECRET)] {
        let mut parts = request(&token(found));
        let was_found = find(&verifier, &mut parts);
        assert_eq!(was_found.is_ok(), found == SECRET);
        parts.headers = request(&token(other)).headers;
        assert_eq!(verifier.caller(&parts.headers, &parts.extensions), was_found);
        assert!(was_found.is_ok() || was_found == bad);
    }
}

#[test]
fn where_nothing_is_counted_the_token_is_verified() {
    let verifier = dev();
    let subject = |parts: &Parts| {
        let caller = verifier.caller(&parts.headers, &parts.extensions);
        caller.map(|caller| caller.subject.clone())
    };
    assert_eq!(subject(&request(&token(SECRET))).as_deref(), Ok("ann"));
    let forged = request(&token(b"of somebody else"));
    assert_eq!(subject(&forged), Err(Unauthenticated::WrongSignature));
}
