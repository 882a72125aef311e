//! What a header may say: another algorithm, another key, or more than we know.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::{
    Case, FORGERS_PUBLIC, beginning_with, case, forgers, not_utf8, ours, the_claims, the_header,
    with_header, without,
};
use crate::tests::{ED25519_PUBLIC, hs256, jwks, own_claims, production_header, signed};

pub(super) fn of_algorithms() -> Vec<Case> {
    let x = URL_SAFE_NO_PAD.decode(ED25519_PUBLIC).unwrap();
    let der = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &x].concat();
    let der_text = STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der_text}\n-----END PUBLIC KEY-----\n");
    let mut cases = Vec::new();
    for (what, secret) in [
        ("the public key's bytes", x.as_slice()),
        ("the public key's text", ED25519_PUBLIC.as_bytes()),
        ("the public key's DER", &der),
        ("the public key's PEM", pem.as_bytes()),
        ("the public key's PEM, trimmed", pem.trim().as_bytes()),
        ("the key set", jwks().as_bytes()),
        ("the name of the key", b"one"),
        ("nothing", b""),
    ] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = with_header("alg", json!(format!("{algorithm:?}")));
            let key = EncodingKey::from_secret(secret);
            let token = signed(&header, &own_claims(), algorithm, &key);
            cases.push(case(format!("{algorithm:?} with {what}"), token));
        }
    }
    for none in ["none", "None", "NONE", "nOnE", "none ", ""] {
        let header = with_header("alg", json!(none)).to_string();
        let signed = ours(&header, the_claims());
        let (message, _) = signed.rsplit_once('.').unwrap();
        cases.push(case(format!("alg {none:?} without a signature"), format!("{message}.")));
        cases.push(case(format!("alg {none:?} of two parts"), message.to_owned()));
        cases.push(case(format!("alg {none:?} with a signature"), signed));
    }
    for alg in [
        json!("eddsa"),
        json!("EDDSA"),
        json!("EdDSA "),
        json!("Ed25519"),
        json!("ES256"),
        json!("RS256"),
        json!("PS512"),
        json!("HS256"),
        json!("dir"),
        json!(null),
        json!(1),
        json!(["EdDSA"]),
        json!({}),
    ] {
        let token = ours(with_header("alg", alg.clone()).to_string(), the_claims());
        cases.push(case(format!("alg {alg} over EdDSA"), token));
    }
    cases.push(case("no alg", ours(without(production_header(), "alg"), the_claims())));
    cases
}

/// Keys that are none of ours; `address` and `file` are where the forger's lie.
pub(super) fn of_keys(address: &str, file: &str) -> Vec<Case> {
    let long = "k".repeat(64 * 1024);
    let mut cases = Vec::new();
    for kid in [
        file,
        address,
        "../../../../../../../../dev/null",
        "file:///etc/passwd",
        "' OR '1'='1",
        "one' UNION SELECT 'PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw' --",
        "one'; DELETE FROM signing_keys; --",
        "${jndi:ldap://127.0.0.1/a}",
        "$(curl 127.0.0.1)",
        "one\0",
        "one ",
        "ONE",
        "%6fne",
        "*",
        "",
        "agreement",
        "secret",
        "rsa",
        &long,
    ] {
        let (what, header) = (kid.get(..32).unwrap_or(kid), with_header("kid", json!(kid)));
        cases.push(case(format!("kid {what:?}"), forgers(&header)));
        cases.push(case(format!("kid {what:?}, our key"), ours(header.to_string(), the_claims())));
    }
    for kid in [json!(null), json!(1), json!(["one"]), json!({"one": "one"})] {
        let token = ours(with_header("kid", kid.clone()).to_string(), the_claims());
        cases.push(case(format!("kid {kid}"), token));
    }
    cases.push(case("no kid", ours(without(production_header(), "kid"), the_claims())));
    let led_to = [("secret", &[0_u8, 0, 0][..]), ("/dev/null", b""), ("' UNION SELECT 'a", b"a")];
    for (kid, secret) in led_to {
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid});
        let token = hs256(&header, &own_claims(), secret);
        cases.push(case(format!("kid {kid} with the secret that it leads to"), token));
    }
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": FORGERS_PUBLIC});
    cases.push(case("the forger's key under our name", forgers(&production_header())));
    for (member, value) in [
        ("jwk", jwk),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("jwk", json!(7)),
        ("jku", json!(address)),
        ("jku", json!(format!("file://{file}"))),
        ("x5u", json!(address)),
        ("x5c", json!([STANDARD.encode("no certificate")])),
        ("x5c", json!("no list")),
        ("x5t", json!("AAAA")),
    ] {
        for kid in [Some("one"), Some("mine"), None] {
            let mut header = with_header(member, value.clone());
            header["kid"] = json!(kid);
            cases.push(case(format!("{member} {value}, kid {kid:?}"), forgers(&header)));
        }
    }
    cases
}

pub(super) fn of_headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("zip", json!("GZIP")),
        ("enc", json!("A128GCM")),
        ("enc", json!("none")),
        ("typ", json!("JWT")),
        ("typ", json!("id+jwt")),
        ("typ", json!("at+jwt ")),
        ("typ", json!("at+jwt; charset=utf-8")),
        ("typ", json!("application/jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!(null)),
        ("typ", json!(7)),
        ("typ", json!(["at+jwt"])),
    ] {
        let token = ours(with_header(member, value.clone()).to_string(), the_claims());
        cases.push(case(format!("{member} {value}"), token));
    }
    cases.push(case("no typ", ours(without(production_header(), "typ"), the_claims())));
    for members in [
        r#""alg":"EdDSA""#,
        r#""alg":"none""#,
        r#""\u0061lg":"none""#,
        r#""kid":"one""#,
        r#""kid":"two""#,
        r#""typ":"JWT""#,
        r#""jku":"http://127.0.0.1","jku":"http://127.0.0.1""#,
    ] {
        let token = ours(beginning_with(members, &the_header()), the_claims());
        cases.push(case(format!("twice in the header: {members}"), token));
    }
    let deep = format!(r#""x":{}1{}"#, "[".repeat(1_000), "]".repeat(1_000));
    let header = the_header();
    for (what, header) in [
        ("a deep header", beginning_with(&deep, &header).into_bytes()),
        ("a header and more", format!("{header}{header}").into_bytes()),
        ("a header and NUL", format!("{header}\0").into_bytes()),
        ("a header cut off", header.as_bytes()[..header.len() - 1].to_vec()),
        ("no UTF-8 in the header", header.replace("one", "on~").bytes().map(not_utf8).collect()),
        ("a header that is a list", format!("[{header}]").into_bytes()),
        ("a header that is a text", json!(header).to_string().into_bytes()),
        ("a header of nothing", b"{}".to_vec()),
    ] {
        cases.push(case(what, ours(header, the_claims())));
    }
    cases
}
