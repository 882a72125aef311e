//! The table of access tokens: which are believed and which are refused.

mod counted;
mod dev_profile;
mod forged;
mod own_keys;
mod revoked;
mod unknown_keys;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use lifecycle::Health;
use problem_details::ProblemType;
use serde_json::{Value, json};
use settings::Settings;

use crate::{AccessConfig, KeySet, Unauthenticated, Verifier};

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"local-dev-secret";

/// The key pair of RFC 8037, appendix A.
const ED25519_SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn jwks() -> String {
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": ED25519_PUBLIC, "use": "sig", "alg": "EdDSA"},
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "kid": "agreement", "x": ED25519_PUBLIC},
        {"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"},
    ]})
    .to_string()
}

fn config(pairs: &[(&str, &str)]) -> Result<AccessConfig, Vec<String>> {
    let fixed = ("MILLRACE_TOKEN_SECRET", "fedcba9876543210fedcba9876543210");
    let pairs = [fixed].into_iter().chain(pairs.iter().copied());
    let pairs = pairs.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let mut settings = Settings::new(pairs);
    let config = AccessConfig::from_settings(&mut settings);
    settings.finish(config).map_err(|error| error.0)
}

fn dev() -> Verifier {
    Verifier::new(&config(&[("MILLRACE_PROFILE", "dev")]).unwrap())
}

fn production() -> Verifier {
    let verifier = Verifier::new(&config(&[]).unwrap());
    assert!(verifier.use_key_set(KeySet::from_jwks(&jwks()).unwrap()));
    verifier
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn signed(header: &Value, claims: &Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    signed(header, claims, Algorithm::HS256, &EncodingKey::from_secret(secret))
}

/// The private key of an Ed25519 seed.
fn private_key(seed: &str) -> EncodingKey {
    let mut pkcs8 = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pkcs8.extend(URL_SAFE_NO_PAD.decode(seed).unwrap());
    EncodingKey::from_ed_der(&pkcs8)
}

fn eddsa(header: &Value, claims: &Value) -> String {
    signed(header, claims, Algorithm::EdDSA, &private_key(ED25519_SEED))
}

fn dev_claims() -> Value {
    json!({"sub": "device-tester", "roles": ["device", "user"], "exp": NOW + 3_600})
}

fn production_claims() -> Value {
    json!({"iss": "millrace", "aud": "millrace", "sub": "ann", "exp": NOW + 900, "iat": NOW,
        "jti": "1", "sid": "2", "roles": ["user"]})
}

/// Of a session, made when its user's stream was at version 3: as those that are given out here.
fn own_claims() -> Value {
    let mut claims = production_claims();
    claims["sub"] = json!("0198f0c2-7d3e-7c3b-8a57-0242ac120002");
    claims["sid"] = json!("0198f0c2-7d3e-7c3b-8a57-0242ac120003");
    claims["user_version"] = json!(3);
    claims
}

fn production_header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "one"})
}

fn headers(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
}

fn verify(verifier: &Verifier, token: &str) -> Result<String, Unauthenticated> {
    let headers = headers(&[&format!("Bearer {token}")]);
    verifier.verify(&headers, NOW).map(|caller| caller.subject.clone())
}

#[test]
fn a_token_of_the_walk_through_is_believed_in_development() {
    for header in [json!({"alg": "HS256", "typ": "JWT"}), json!({"alg": "HS256"})] {
        let token = hs256(&header, &dev_claims(), SECRET);
        assert_eq!(verify(&dev(), &token).as_deref(), Ok("device-tester"));
    }
}

#[test]
fn a_complete_eddsa_token_is_believed_in_production() {
    let token = eddsa(&production_header(), &production_claims());
    assert_eq!(verify(&production(), &token).as_deref(), Ok("ann"));
}

#[test]
fn a_forged_token_is_refused() {
    use Unauthenticated as U;
    let hs = |header: Value| hs256(&header, &dev_claims(), SECRET);
    let message = |header: &Value| format!("{}.{}", encode(header), encode(&dev_claims()));
    let x = URL_SAFE_NO_PAD.decode(ED25519_PUBLIC).unwrap();
    let good = hs(json!({"alg": "HS256"}));
    let (signed_part, signature) = good.rsplit_once('.').unwrap();
    let mut table = vec![
        ("another secret", hs256(&json!({"alg": "HS256"}), &dev_claims(), b"x"), U::WrongSignature),
        ("an empty secret", hs256(&json!({"alg": "HS256"}), &dev_claims(), b""), U::WrongSignature),
        ("no signature", format!("{signed_part}."), U::WrongSignature),
        ("two parts", signed_part.to_owned(), U::Malformed),
        ("four parts", format!("{good}.{signature}"), U::Malformed),
        ("padding", format!("{good}="), U::Malformed),
        ("nothing", String::new(), U::Malformed),
        ("HS384", hs(json!({"alg": "HS384"})), U::AlgorithmNotAllowed),
        ("RS256 over HS256", hs(json!({"alg": "RS256", "kid": "one"})), U::AlgorithmNotAllowed),
        ("EdDSA over HS256", hs(json!({"alg": "EdDSA", "kid": "one"})), U::UnknownKey),
        (
            "public key as secret",
            hs256(&json!({"alg": "HS256", "kid": "one"}), &dev_claims(), &x),
            U::WrongSignature,
        ),
        (
            "public key's text as secret",
            hs256(&json!({"alg": "HS256"}), &dev_claims(), ED25519_PUBLIC.as_bytes()),
            U::WrongSignature,
        ),
        (
            "a critical extension",
            hs(json!({"alg": "HS256", "crit": ["exp"], "exp": 1})),
            U::Malformed,
        ),
        ("an ID token", hs(json!({"alg": "HS256", "typ": "id+jwt"})), U::WrongClaim("typ")),
        (
            "the algorithm twice",
            format!(
                "{}.{}.{signature}",
                URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","alg":"none"}"#),
                encode(&dev_claims())
            ),
            U::Malformed,
        ),
    ];
    for none in ["none", "None", "NONE", "nOnE", ""] {
        table.push(("alg none", format!("{}.", message(&json!({"alg": none}))), U::Malformed));
        table.push(("alg none, signed", hs(json!({"alg": none})), U::Malformed));
    }
    for kid in ["../../etc/passwd", "' OR 1=1 --", "http://127.0.0.1:1/key", &"k".repeat(4_000)] {
        table.push(("a strange kid", hs(json!({"alg": "EdDSA", "kid": kid})), U::UnknownKey));
    }
    let verifier = dev();
    for (case, token, expected) in table {
        assert_eq!(verify(&verifier, &token), Err(expected), "{case}: {token}");
    }
    let long = format!("{good}{}", "A".repeat(8_192));
    assert_eq!(verify(&verifier, &long), Err(U::TooLong));
}

#[test]
fn every_changed_bit_of_a_signed_token_is_noticed() {
    let verifier = dev();
    let token = hs256(&json!({"alg": "HS256"}), &dev_claims(), SECRET);
    assert!(verify(&verifier, &token).is_ok());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verify(&verifier, &changed).is_err(), "byte {at}");
    }
}

#[test]
fn a_key_embedded_in_the_token_is_not_believed() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519_PUBLIC});
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "mine", "jwk": jwk,
        "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert"});
    let token = eddsa(&header, &production_claims());
    assert_eq!(verify(&production(), &token), Err(Unauthenticated::UnknownKey));
}

#[test]
fn production_wants_an_access_token_whose_key_is_named() {
    for (header, expected) in [
        (json!({"alg": "EdDSA", "kid": "one"}), Unauthenticated::WrongClaim("typ")),
        (json!({"alg": "EdDSA", "kid": "one", "typ": "JWT"}), Unauthenticated::WrongClaim("typ")),
        (json!({"alg": "EdDSA", "typ": "at+jwt"}), Unauthenticated::UnknownKey),
        (json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "agreement"}), Unauthenticated::UnknownKey),
        (json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "secret"}), Unauthenticated::UnknownKey),
    ] {
        let token = eddsa(&header, &production_claims());
        assert_eq!(verify(&production(), &token), Err(expected), "{header}");
    }
}

#[test]
fn a_remembered_token_is_refused_once_it_has_expired() {
    let verifier = dev();
    let token = hs256(&json!({"alg": "HS256"}), &dev_claims(), SECRET);
    let headers = headers(&[&format!("bearer {token}")]);
    assert!(verifier.verify(&headers, NOW).is_ok());
    assert!(verifier.verify(&headers, NOW + 3_629).is_ok(), "within the leeway");
    let late = verifier.verify(&headers, NOW + 3_630);
    assert_eq!(late.unwrap_err(), Unauthenticated::Expired);
}

#[test]
fn a_remembered_token_is_refused_once_its_key_is_gone() {
    let verifier = production();
    let token = eddsa(&production_header(), &production_claims());
    assert!(verify(&verifier, &token).is_ok());
    let other =
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "two", "x": ED25519_PUBLIC}]});
    assert!(verifier.use_key_set(KeySet::from_jwks(&other.to_string()).unwrap()));
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::UnknownKey));
}

#[test]
fn each_source_of_keys_is_replaced_alone() {
    let verifier = production();
    let own = |kid: &str| {
        let x: [u8; 32] = URL_SAFE_NO_PAD.decode(ED25519_PUBLIC).unwrap().try_into().unwrap();
        KeySet::from_public_keys([(kid.to_owned(), x)])
    };
    let of =
        |kid: &str| eddsa(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}), &own_claims());
    assert!(verifier.use_own_keys(own("own")));
    assert!(!verifier.use_own_keys(own("own")), "nothing changed");
    assert!(verify(&verifier, &of("own")).is_ok() && verify(&verifier, &of("one")).is_ok());
    assert!(verifier.use_key_set(KeySet::default()));
    assert!(verify(&verifier, &of("own")).is_ok());
    assert_eq!(verify(&verifier, &of("one")), Err(Unauthenticated::UnknownKey));
    // Also for whoever was believed before, the old key is none any more.
    assert!(verifier.use_own_keys(own("next")));
    assert_eq!(verify(&verifier, &of("own")), Err(Unauthenticated::UnknownKey));
    assert!(verify(&verifier, &of("next")).is_ok());
}

#[test]
fn until_keys_were_read_nobody_is_refused_for_want_of_them() {
    let verifier = Verifier::new(&config(&[("MILLRACE_JWKS_URL", "http://127.0.0.1:1/")]).unwrap());
    assert!(verifier.use_own_keys(KeySet::from_public_keys([("own".to_owned(), [1; 32])])));
    let token = eddsa(&production_header(), &production_claims());
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::NoKeys));
    assert!(verifier.has_keys() && !verifier.knows_its_keys());
    assert!(!verifier.use_key_set(KeySet::default()), "there is none to be read");
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::UnknownKey));
    assert!(verifier.knows_its_keys());
    // So it is with the deployment's own, once somebody is about to bring them.
    verifier.expect_own_keys();
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::NoKeys));
    assert!(verifier.use_own_keys(KeySet::default()));
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::NoKeys), "there is none at all");
    assert!(!verifier.knows_its_keys());
}

#[test]
fn nobody_else_s_key_stands_in_for_the_deployment_s_own() {
    let verifier = Verifier::new(&config(&[]).unwrap());
    assert!(!verifier.has_keys(), "without settings there are only the deployment's own keys");
    assert!(verifier.use_key_set(KeySet::from_public_keys([("one".to_owned(), [1; 32])])));
    assert!(verifier.has_keys());
    let x: [u8; 32] = URL_SAFE_NO_PAD.decode(ED25519_PUBLIC).unwrap().try_into().unwrap();
    assert!(verifier.use_own_keys(KeySet::from_public_keys([("one".to_owned(), x)])));
    let token = eddsa(&production_header(), &own_claims());
    assert!(verify(&verifier, &token).is_ok());
}

#[tokio::test]
async fn public_keys_are_fetched_in_the_background() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/jwks.json", axum::routing::get(|| async { jwks() }));
    let config = config(&[("MILLRACE_JWKS_URL", &url)]).unwrap();
    let verifier = Verifier::new(&config);
    let token = eddsa(&production_header(), &production_claims());
    assert_eq!(verify(&verifier, &token), Err(Unauthenticated::NoKeys));
    assert!(!verifier.has_keys());
    let health = Health::new();
    let keys = health.component("access keys");
    let believed = async {
        while verify(&verifier, &token).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = believed => {}
        _ = crate::refresh(&verifier, &config, keys) => {}
        _ = async { axum::serve(listener, router).await } => {}
        () = tokio::time::sleep(std::time::Duration::from_secs(10)) => {
            panic!("the keys were not fetched within 10 s");
        }
    }
}

#[test]
fn every_refusal_is_counted_by_its_reason() {
    let metrics = telemetry::metrics();
    let caller = {
        let token = hs256(&json!({"alg": "HS256"}), &dev_claims(), SECRET);
        dev().verify(&headers(&[&format!("Bearer {token}")]), NOW).unwrap()
    };
    let forbidden = caller.must_be_any(&[crate::Role::Analyst]).unwrap_err();
    assert_eq!(forbidden.refuse(&caller).kind(), ProblemType::Forbidden);
    assert_eq!(Unauthenticated::NotBearer.refuse().kind(), ProblemType::Unauthenticated);
    let text = metrics.render();
    for reason in ["role", "not-bearer"] {
        let series = format!("access_refused_total{{reason=\"{reason}\"}}");
        assert!(text.contains(&series), "{series} is not in {text}");
    }
}

#[test]
fn every_refusal_says_for_the_audit_why_and_whom() {
    let caller = {
        let token = hs256(&json!({"alg": "HS256"}), &dev_claims(), SECRET);
        dev().verify(&headers(&[&format!("Bearer {token}")]), NOW).unwrap()
    };
    let forbidden = caller.must_be_any(&[crate::Role::Analyst]).unwrap_err();
    for (problem, reason, actor) in [
        (Unauthenticated::Expired.refuse(), "expired", None),
        (forbidden.refuse(&caller), "role", Some(caller.actor.clone())),
    ] {
        let response = axum::response::IntoResponse::into_response(problem);
        let refused = response.extensions().get::<problem_details::RefusedCaller>();
        assert_eq!(refused, Some(&problem_details::RefusedCaller { reason, actor }));
    }
}

#[tokio::test]
async fn a_key_set_that_became_empty_withdraws_every_key_and_a_wrong_one_none() {
    let path = std::env::temp_dir().join(format!("millrace-jwks-{}.json", std::process::id()));
    std::fs::write(&path, jwks()).unwrap();
    let config = config(&[("MILLRACE_JWKS_PATH", path.to_str().unwrap())]).unwrap();
    let token = eddsa(&production_header(), &production_claims());
    for (text, expected) in
        [("not a key set", Ok("ann".to_owned())), (r#"{"keys":[]}"#, Err(Unauthenticated::NoKeys))]
    {
        let verifier = Verifier::new(&config);
        let health = Health::new();
        let keys = health.component("access keys");
        std::fs::write(&path, text).unwrap();
        // The first poll reads the file.
        let _ = tokio::time::timeout(
            std::time::Duration::ZERO,
            crate::refresh(&verifier, &config, keys),
        )
        .await;
        assert_eq!(verify(&verifier, &token), expected, "{text}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn whether_there_is_a_key_shows_in_the_health() {
    for (pairs, is_ready) in [
        (&[("MILLRACE_PROFILE", "dev")][..], true),
        (&[("MILLRACE_JWKS_URL", "http://127.0.0.1:1/")], false),
    ] {
        let config = config(pairs).unwrap();
        let (verifier, health) = (Verifier::new(&config), Health::new());
        let mut refresh =
            Box::pin(crate::refresh(&verifier, &config, health.component("access keys")));
        let polled = tokio::time::timeout(std::time::Duration::ZERO, &mut refresh).await;
        assert!(polled.is_err());
        assert_eq!(health.report().ready, is_ready, "{:?}", health.report());
        drop(refresh);
        assert!(!health.report().live, "a refresh that has ended is noticed");
    }
}

#[test]
fn without_any_key_a_caller_is_told_to_come_back() {
    let verifier = Verifier::new(&config(&[("MILLRACE_JWKS_URL", "http://127.0.0.1:1/")]).unwrap());
    let token = eddsa(&production_header(), &production_claims());
    let refused = verifier.verify(&headers(&[&format!("Bearer {token}")]), NOW).unwrap_err();
    let response = axum::response::IntoResponse::into_response(refused.refuse());
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
}

#[test]
fn the_header_holds_one_bearer_token() {
    let verifier = dev();
    let token = hs256(&json!({"alg": "HS256"}), &dev_claims(), SECRET);
    let bearer = format!("Bearer {token}");
    for (values, expected) in [
        (vec![], Unauthenticated::Missing),
        (vec![token.as_str()], Unauthenticated::NotBearer),
        (vec!["Basic YTpi"], Unauthenticated::NotBearer),
        (vec![&bearer, &bearer], Unauthenticated::NotBearer),
        (vec!["Bearer "], Unauthenticated::Malformed),
        (vec!["Bearer é"], Unauthenticated::NotBearer),
    ] {
        let refused = verifier.verify(&headers(&values), NOW).unwrap_err();
        assert_eq!(refused, expected, "{values:?}");
    }
}

#[test]
fn every_forged_token_gets_the_same_answer() {
    use Unauthenticated as U;
    let answers: Vec<_> = [
        U::NotBearer,
        U::TooLong,
        U::Malformed,
        U::AlgorithmNotAllowed,
        U::UnknownKey,
        U::WrongSignature,
        U::WrongClaim("aud"),
        U::NotYetValid,
    ]
    .map(Unauthenticated::refuse)
    .into();
    // The audit is told why; whoever asks is not.
    let told: Vec<_> = answers
        .iter()
        .map(|answer| {
            let response = axum::response::IntoResponse::into_response(answer.clone());
            (serde_json::to_string(answer).unwrap(), response.headers().clone())
        })
        .collect();
    assert!(told.iter().all(|answer| *answer == told[0]), "{told:?}");
    assert_eq!(answers[0].kind(), ProblemType::Unauthenticated);
    let response = axum::response::IntoResponse::into_response(answers[0].clone());
    assert_eq!(response.status(), 401);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert_eq!(challenge, r#"Bearer realm="millrace", error="invalid_token""#);
}

#[test]
fn contradictory_settings_are_refused_by_name() {
    for (pairs, named) in [
        (&[("JWT_SECRET", "local-dev-secret")][..], "JWT_SECRET must be absent"),
        (&[("JWT_SECRET", "a"), ("SECRET_KEY", "a")], "JWT_SECRET, SECRET_KEY must be absent"),
        (&[("MILLRACE_PROFILE", "dev"), ("JWT_SECRET", "a"), ("SECRET_KEY", "b")], "but differ"),
        (&[("MILLRACE_JWKS_URL", "ftp://x")], "MILLRACE_JWKS_URL must be an http"),
        (&[("MILLRACE_JWKS_PATH", "/no/such/file")], "MILLRACE_JWKS_PATH cannot be read"),
        (&[("MILLRACE_REVOCATIONS_UNKNOWN", "refuse")], "MILLRACE_REVOCATIONS_UNKNOWN must be"),
    ] {
        let faults = config(pairs).unwrap_err().join("\n");
        assert!(faults.contains(named), "{faults}");
    }
}

#[test]
fn secrets_are_never_printed() {
    let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let config = config(&[("MILLRACE_PROFILE", "dev"), secret]).unwrap();
    let printed = format!("{config:?} {:?}", Verifier::new(&config));
    assert!(printed.contains("[redacted]") && !printed.contains("0123456789"), "{printed}");
}

#[test]
fn the_address_of_public_keys_is_printed_without_its_password() {
    let config = config(&[("MILLRACE_JWKS_URL", "http://ann:hunter2@host/keys")]).unwrap();
    let printed = format!("{config:?}");
    assert!(printed.contains("http://host/keys") && !printed.contains("hunter2"), "{printed}");
}
