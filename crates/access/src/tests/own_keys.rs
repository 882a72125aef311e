//! Access tokens that the deployment signed itself: by what they can be taken back, how long they live, and
//! what is answered while nobody knows its keys.

use serde_json::{Value, json};

use super::{
    NOW, config, eddsa, headers, jwks, own_claims, production, production_claims,
    production_header, verify,
};
use crate::{KeySet, Unauthenticated, Verifier};

/// One that knows the deployment's own keys and no others.
pub(super) fn with_own_keys(pairs: &[(&str, &str)]) -> Verifier {
    let verifier = Verifier::new(&config(pairs).unwrap());
    assert!(verifier.use_own_keys(KeySet::from_jwks(&jwks()).unwrap()));
    verifier
}

#[test]
fn a_token_of_our_own_says_by_what_it_can_be_taken_back() {
    let verifier = with_own_keys(&[]);
    let with = |claim: &str, value: Value| {
        let mut claims = own_claims();
        claims[claim] = value;
        eddsa(&production_header(), &claims)
    };
    assert!(verify(&verifier, &eddsa(&production_header(), &own_claims())).is_ok());
    for token in [
        with("sub", json!("ann")),
        with("sid", json!("2")),
        with("user_version", Value::Null),
        eddsa(&production_header(), &production_claims()),
    ] {
        let refused = Err(Unauthenticated::WrongClaim("user_version"));
        assert_eq!(verify(&verifier, &token), refused);
        assert!(verify(&production(), &token).is_ok(), "others' tokens need not");
    }
}

#[test]
fn a_token_of_our_own_lives_no_longer_than_those_of_today() {
    let lives = |verifier: &Verifier, claims: &Value, seconds: i64| {
        let headers = headers(&[&format!("Bearer {}", eddsa(&production_header(), claims))]);
        verifier.verify(&headers, NOW + seconds).map(|caller| caller.expires_at)
    };
    let mut long = own_claims();
    long["exp"] = json!(NOW + 86_400);
    let verifier = with_own_keys(&[]);
    assert_eq!(lives(&verifier, &long, 0), Ok(NOW + 900));
    assert_eq!(lives(&verifier, &long, 929), Ok(NOW + 900));
    assert_eq!(lives(&verifier, &long, 930), Err(Unauthenticated::Expired));
    assert_eq!(lives(&production(), &long, 930), Ok(NOW + 86_400), "others' tokens may");
    let shorter = with_own_keys(&[("MILLRACE_ACCESS_TOKEN_LIFETIME_S", "60")]);
    assert_eq!(lives(&shorter, &own_claims(), 0), Ok(NOW + 60));
    let mut short = own_claims();
    short["exp"] = json!(NOW + 30);
    assert_eq!(lives(&verifier, &short, 0), Ok(NOW + 30));
    // Without a time of issue nobody can tell, in the `dev` profile either.
    let dev = with_own_keys(&[("MILLRACE_PROFILE", "dev")]);
    long.as_object_mut().unwrap().remove("iat");
    assert_eq!(lives(&dev, &long, 0), Err(Unauthenticated::WrongClaim("iat")));
}

#[test]
fn a_key_of_another_source_is_ours_from_when_we_say_so() {
    let verifier = production();
    let token = eddsa(&production_header(), &production_claims());
    assert!(verify(&verifier, &token).is_ok());
    assert!(verifier.use_own_keys(KeySet::from_jwks(&jwks()).unwrap()));
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::WrongClaim("user_version")));
}

#[test]
fn a_key_of_ours_that_was_revoked_comes_back_from_no_other_source() {
    let verifier = with_own_keys(&[]);
    // As where the address of keys is that of our own, and is read again from a cache.
    let read = || verifier.use_key_set(KeySet::from_jwks(&jwks()).unwrap());
    assert!(!read(), "it is believed as ours");
    let token = eddsa(&production_header(), &own_claims());
    assert!(verify(&verifier, &token).is_ok());
    assert!(verifier.use_own_keys(KeySet::from_public_keys([("next".to_owned(), [1; 32])])));
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::UnknownKey));
    assert!(!read());
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::UnknownKey));
    assert!(verifier.use_own_keys(KeySet::from_jwks(&jwks()).unwrap()));
    assert!(verify(&verifier, &token).is_ok(), "it is ours again");
}

#[test]
fn while_the_watch_is_cut_off_nobody_is_refused_for_an_unknown_key() {
    let verifier = with_own_keys(&[]);
    let token = eddsa(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "new"}), &own_claims());
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::UnknownKey), "nobody watches");
    verifier.expect_own_keys();
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::NoKeys));
    verifier.use_own_keys(KeySet::from_jwks(&jwks()).unwrap());
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::NoKeys), "it is cut off");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    verifier.revocations().take([], 0, until);
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::UnknownKey));
    let own = eddsa(&production_header(), &own_claims());
    assert!(verify(&verifier, &own).is_ok());
}
