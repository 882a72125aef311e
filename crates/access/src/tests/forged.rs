//! Forged access tokens, of every kind that we know of. Whatever is wrong with one: it is refused, nothing
//! that it names is looked for, and its answer is that of every other, so that nobody learns how far they got.

mod claims;
mod head;

use std::io::ErrorKind;
use std::net::TcpListener;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Value, json};

use super::own_keys::with_own_keys;
use super::{
    ED25519_SEED, NOW, eddsa, headers, own_claims, private_key, production, production_header,
};
use crate::{Unauthenticated, Verifier};

/// The forger's key pair, of RFC 8032, 7.1, test 2.
const FORGERS_SEED: &str = "TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs";
const FORGERS_PUBLIC: &str = "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw";

/// The order of the group of Ed25519, its lowest byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// What the `dev` profile lets anybody leave out. All else is asked there too.
const NOT_ASKED_IN_DEV: [&str; 9] = [
    "aud null",
    "iss null",
    "jti null",
    "no aud",
    "no iss",
    "no jti",
    "no typ",
    "typ \"JWT\"",
    "typ null",
];

/// What is wrong, and the token.
type Case = (String, String);

fn case(what: impl Into<String>, token: String) -> Case {
    (what.into(), token)
}

fn sign(message: &str, seed: &str) -> String {
    crypto::sign(message.as_bytes(), &private_key(seed), Algorithm::EdDSA).unwrap()
}

fn signed_by(seed: &str, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let (header, claims) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let message = format!("{header}.{claims}");
    format!("{message}.{}", sign(&message, seed))
}

/// Signed with the right key, whatever the parts hold: nothing but these is wrong.
fn ours(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed_by(ED25519_SEED, header, claims)
}

fn forgers(header: &Value) -> String {
    signed_by(FORGERS_SEED, header.to_string(), the_claims())
}

fn the_header() -> String {
    production_header().to_string()
}

fn the_claims() -> String {
    own_claims().to_string()
}

fn good() -> String {
    eddsa(&production_header(), &own_claims())
}

fn with_header(name: &str, value: Value) -> Value {
    let mut header = production_header();
    header[name] = value;
    header
}

fn with_claim(name: &str, value: Value) -> String {
    let mut claims = own_claims();
    claims[name] = value;
    ours(the_header(), claims.to_string())
}

fn without(mut object: Value, member: &str) -> String {
    object.as_object_mut().unwrap().remove(member);
    object.to_string()
}

/// The text of an object with other members before its own.
fn beginning_with(members: &str, object: &str) -> String {
    object.replacen('{', &format!("{{{members},"), 1)
}

/// Turns a byte that stands nowhere else into one that no UTF-8 holds.
fn not_utf8(byte: u8) -> u8 {
    if byte == b'~' { 0xff } else { byte }
}

fn of_signatures() -> Vec<Case> {
    let good = good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = bytes.split_at(32);
    let mut other_bit = bytes.clone();
    other_bit[40] ^= 1;
    let admin = with_claim("roles", json!(["admin"]));
    let (_, of_admin) = admin.rsplit_once('.').unwrap();
    let of = |bytes: &[u8]| format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let mut cases = vec![
        case("no signature", format!("{message}.")),
        case("a signature without its last character", good[..good.len() - 1].to_owned()),
        case("a signature without its last byte", of(&bytes[..63])),
        case("a signature with another byte", of(&[&bytes[..], &[0]].concat())),
        case("a signature with as many bytes again", of(&bytes.repeat(2))),
        case("one half of a signature", of(r)),
        case("the other half", of(s)),
        case("halves in the wrong order", of(&[s, r].concat())),
        case("S and the order", of(&[r, &plus_order(s)].concat())),
        case("S twice and the order", of(&[r, &plus_order(&plus_order(s))].concat())),
        case("another bit", of(&other_bit)),
        case("zeros", of(&[0; 64])),
        case("ones", of(&[0xff; 64])),
        case("the neutral element", of(&[&[1_u8][..], &[0; 63]].concat())),
        case("another token's signature", format!("{message}.{of_admin}")),
        case("a signature of the claims", format!("{message}.{}", sign(claims, ED25519_SEED))),
    ];
    let last = signature.chars().last().unwrap();
    // The last character of 64 bytes holds four bits that belong to none of them.
    let twin = char::from(u8::try_from(last).unwrap() + 1);
    let twin = format!("{}{twin}", &signature[..signature.len() - 1]);
    cases.push(case("bits that belong to no byte", format!("{message}.{twin}")));
    cases.push(case("the claims first", format!("{claims}.{header}.{signature}")));
    cases
}

/// The same number modulo the order, which another rule than RFC 8032's would take.
fn plus_order(s: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let sums = s.iter().zip(ORDER).map(|(byte, order)| {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    sums.collect()
}

fn of_encodings() -> Vec<Case> {
    let good = good();
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good} has not three parts")
    };
    let mut cases: Vec<Case> = [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "null",
        "{}",
        "undefined",
        &format!("{header}..{signature}"),
        &format!(".{claims}.{signature}"),
        &format!("{header}.{claims}"),
        header,
        &format!("{good}."),
        &format!(".{good}"),
        &format!("{good}.{signature}"),
        &format!("{good}.{claims}.{signature}"),
        &format!("{good}="),
        &format!("{good}=="),
        &format!("{header}=.{claims}.{signature}"),
        &format!("{header}.{claims}=.{signature}"),
        &format!("{header}. {claims}.{signature}"),
        &format!("{header}.{claims}.{signature} x"),
        &format!("{header}.{claims}.{signature}\t"),
        &format!("{header}.{claims}.{signature};"),
        &format!("{header}.{claims}.{signature}#"),
        &format!("{header}%2E{claims}%2E{signature}"),
        &format!("\"{good}\""),
        &format!("{good},{good}"),
        &good.to_uppercase(),
        &good.chars().rev().collect::<String>(),
        &URL_SAFE_NO_PAD.encode(&good),
        &"A".repeat(64 * 1024),
        &format!("{good}{}", "A".repeat(8 * 1024)),
        &".".repeat(8 * 1024),
    ]
    .into_iter()
    .map(|token| case(token.get(..100).unwrap_or(token), token.to_owned()))
    .collect();
    cases.push(case("the standard alphabet", in_standard_alphabet()));
    cases
}

/// A token that is ours but for the letters of its signature.
fn in_standard_alphabet() -> String {
    let of = |jti: u32| {
        let mut claims = own_claims();
        claims["jti"] = json!(jti.to_string());
        eddsa(&production_header(), &claims)
    };
    let differs = |token: &String| token.contains(['-', '_']);
    let token = (0..1_000).map(of).find(differs).unwrap();
    token.replace('-', "+").replace('_', "/")
}

/// Headers that hold a good token, but not as one bearer token.
fn of_lines() -> Vec<(String, HeaderMap)> {
    let good = good();
    let bearer = format!("Bearer {good}");
    let mut lines: Vec<(String, HeaderMap)> = [
        good.clone(),
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer\t{good}"),
        format!("Bearer:{good}"),
        format!("Bearer={good}"),
        format!(" Bearer {good}"),
        format!("Bearer Bearer {good}"),
        format!("Basic {good}"),
        format!("Token {good}"),
        format!("JWT {good}"),
        format!("DPoP {good}"),
        format!("Bearer {good}, {bearer}"),
        format!("Bearer token=\"{good}\""),
    ]
    .iter()
    .map(|line| (line[..line.len().min(24)].to_owned(), headers(&[line])))
    .collect();
    lines.push(("two headers".to_owned(), headers(&[&bearer, &bearer])));
    lines.push(("two headers, one empty".to_owned(), headers(&["", &bearer])));
    let odd = HeaderValue::from_bytes(&[bearer.as_bytes(), b"\xff"].concat()).unwrap();
    lines.push(("no UTF-8".to_owned(), HeaderMap::from_iter([(AUTHORIZATION, odd)])));
    lines
}

/// What whoever sent it is told: status, headers and body.
fn answer(refused: Unauthenticated) -> (u16, HeaderMap, Vec<u8>) {
    let response = axum::response::IntoResponse::into_response(refused.refuse());
    let (parts, body) = response.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(axum::body::to_bytes(body, 64 * 1024)).unwrap();
    (parts.status.as_u16(), parts.headers, body.to_vec())
}

/// Verifiers of each kind. All believe the good token, so that nothing is refused for want of a key.
fn verifiers() -> [(&'static str, Verifier); 3] {
    let dev = with_own_keys(&[("MILLRACE_PROFILE", "dev")]);
    [("others' keys", production()), ("our keys", with_own_keys(&[])), ("dev", dev)]
}

/// Outside any runtime: what is asked here could not wait for an answer from anywhere.
#[test]
fn every_forged_token_is_refused_like_every_other_and_leads_nowhere() {
    let bait = TcpListener::bind("127.0.0.1:0").unwrap();
    bait.set_nonblocking(true).unwrap();
    let address = format!("http://{}/jwks.json", bait.local_addr().unwrap());
    let file = std::env::temp_dir().join(format!("millrace-bait-{}.json", std::process::id()));
    let forgers = json!({"kty": "OKP", "crv": "Ed25519", "kid": "mine", "x": FORGERS_PUBLIC});
    std::fs::write(&file, json!({"keys": [forgers]}).to_string()).unwrap();

    let tokens = [
        head::of_algorithms(),
        head::of_keys(&address, file.to_str().unwrap()),
        head::of_headers(),
        claims::of_claims(),
        of_signatures(),
        of_encodings(),
    ]
    .concat();
    let bearer = |(what, token): &Case| (what.clone(), headers(&[&format!("Bearer {token}")]));
    let cases: Vec<(String, HeaderMap)> = tokens.iter().map(bearer).chain(of_lines()).collect();
    assert!(cases.len() > 250, "there are only {}", cases.len());

    let expected = answer(Unauthenticated::WrongSignature);
    assert_eq!(expected.0, 401);
    let good = headers(&[&format!("Bearer {}", good())]);
    for (verifier_s, verifier) in verifiers() {
        assert!(verifier.verify(&good, NOW).is_ok(), "{verifier_s}");
        let mut believed = Vec::new();
        for (what, headers) in &cases {
            match verifier.verify(headers, NOW) {
                Ok(_) => believed.push(what.as_str()),
                Err(refused) => {
                    let told = answer(refused);
                    assert_eq!(told, expected, "{verifier_s}: {what} is told more: {refused:?}");
                }
            }
        }
        let not_asked = if verifier_s == "dev" { &NOT_ASKED_IN_DEV[..] } else { &[] };
        believed.sort_unstable();
        assert_eq!(believed, not_asked, "{verifier_s} believes others than these");
        assert!(verifier.verify(&good, NOW).is_ok(), "{verifier_s}");
    }
    std::fs::remove_file(&file).unwrap();
    let nobody = bait.accept().map(|(_, from)| from).unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock, "an address in a token was followed");
}
