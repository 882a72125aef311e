//! Access tokens that were taken back: refused whatever is remembered of them, and only they.

use std::time::{Duration, Instant};

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use super::{eddsa, production, production_claims, production_header, verify};
use crate::{Revocation, Revoked, Unauthenticated, Verifier};

const SOMEBODY: &str = "0198f0c2-7d3e-7c3b-8a57-0242ac120002";
const A_SESSION: &str = "0198f0c2-7d3e-7c3b-8a57-0242ac120003";

/// A token of a session, made when its user's stream was at version 3.
fn of_a_session(roles: &[&str]) -> String {
    let mut claims = production_claims();
    claims["sub"] = json!(SOMEBODY);
    claims["sid"] = json!(A_SESSION);
    claims["user_version"] = json!(3);
    claims["roles"] = json!(roles);
    eddsa(&production_header(), &claims)
}

/// A token that names no session of ours.
fn of_elsewhere(roles: &[&str]) -> String {
    let mut claims = production_claims();
    claims["roles"] = json!(roles);
    eddsa(&production_header(), &claims)
}

/// A look that finds this.
fn take(verifier: &Verifier, found: &[Revoked]) {
    let revocation = |what: &Revoked| Revocation { what: *what, expires_at: i64::MAX };
    let until = Instant::now() + Duration::from_secs(60);
    verifier.revocations().take(found.iter().map(revocation), 0, until);
}

#[test]
fn a_token_that_was_revoked_is_refused_also_if_it_was_believed_before() {
    let (session, user) = (A_SESSION.parse().unwrap(), SOMEBODY.parse().unwrap());
    let below = |below_version| Revoked::User { id: user, below_version };
    for (what, expected) in [
        (Revoked::Session(session), Err(Unauthenticated::Revoked)),
        (Revoked::Session(user), Ok(SOMEBODY.to_owned())),
        (below(4), Err(Unauthenticated::Revoked)),
        (below(3), Ok(SOMEBODY.to_owned())),
    ] {
        let (verifier, token) = (production(), of_a_session(&["user"]));
        take(&verifier, &[]);
        assert!(verify(&verifier, &token).is_ok());
        take(&verifier, &[what]);
        assert_eq!(verify(&verifier, &token), expected, "{what:?}");
        assert!(verify(&verifier, &of_elsewhere(&["user"])).is_ok(), "{what:?}");
    }
}

#[test]
fn who_was_revoked_is_told_to_log_in_again() {
    let response = axum::response::IntoResponse::into_response(Unauthenticated::Revoked.refuse());
    assert_eq!(response.status(), 401);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
    assert!(challenge.contains("the access token was revoked; log in again"), "{challenge}");
}

#[test]
fn while_nobody_knows_what_was_revoked_admins_come_back_and_the_others_go_on() {
    let verifier = production();
    assert!(verify(&verifier, &of_a_session(&["user", "analyst"])).is_ok());
    assert!(verify(&verifier, &of_elsewhere(&["admin"])).is_ok(), "it cannot be revoked");
    let refused = verify(&verifier, &of_a_session(&["user", "admin"])).unwrap_err();
    assert_eq!(refused, Unauthenticated::RevocationsUnknown);
    let response = axum::response::IntoResponse::into_response(refused.refuse());
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()[RETRY_AFTER], "1");
    take(&verifier, &[]);
    assert!(verify(&verifier, &of_a_session(&["user", "admin"])).is_ok());
}
