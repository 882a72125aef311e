//! What claims may say, under a signature that is right: another type, another caller, or twice.

use serde_json::json;

use super::{
    Case, beginning_with, case, good, not_utf8, ours, the_claims, the_header, with_claim, without,
};
use crate::tests::{NOW, own_claims};

pub(super) fn of_claims() -> Vec<Case> {
    let (far, deep) = (NOW + 86_400, format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000)));
    let mut cases = Vec::new();
    for (claim, values) in [
        ("exp", json!(["1800000900", 1e308, -1, -1.5, u64::MAX, i64::MIN, 253_402_300_800_i64])),
        ("exp", json!([true, [NOW + 900], {"at": NOW + 900}, null])),
        ("nbf", json!(["0", far, 1e308, -1, u64::MAX, false, {}])),
        ("iat", json!(["now", far, 1e308, -1, u64::MAX, [], null])),
        ("aud", json!(["other", "", "MILLRACE", "millrace ", "millrace\0", 7, null])),
        ("aud", json!([[], ["other"], ["millrace", 7], [["millrace"]], {"millrace": true}])),
        ("iss", json!(["other", "", "Millrace", "https://millrace", ["millrace"], 7, {}, null])),
        ("sub", json!(["", 7, ["ann"], {"ann": 1}, "a\0b", "a\nb", "x".repeat(256), null])),
        ("jti", json!(["", 7, null])),
        ("sid", json!(["", 7, ["2"], {}, true, "s".repeat(256), null])),
        ("roles", json!(["admin", {"admin": true}, [1], [["admin"]], null])),
        ("device_id", json!(["", 7, "not visible", ["device-1"]])),
        ("user_version", json!(["1", -1, 1.5, 1e3, true, [1], {}])),
    ] {
        for value in values.as_array().unwrap() {
            cases.push(case(format!("{claim} {value}"), with_claim(claim, value.clone())));
        }
    }
    for claim in ["exp", "iat", "aud", "iss", "sub", "jti", "sid"] {
        let token = ours(the_header(), without(own_claims(), claim));
        cases.push(case(format!("no {claim}"), token));
    }
    for members in [
        r#""exp":1800000900"#,
        r#""sub":"root""#,
        r#""aud":"millrace""#,
        r#""iss":"millrace""#,
        r#""iat":0"#,
        r#""jti":"2""#,
        r#""sid":"3""#,
        r#""roles":["admin"]"#,
        r#""r\u006fles":["admin"]"#,
        r#""nbf":0,"nbf":0"#,
        r#""user_version":1,"user_version":2"#,
        r#""device_id":"a","device_id":"b""#,
    ] {
        let token = ours(the_header(), beginning_with(members, &the_claims()));
        cases.push(case(format!("twice in the claims: {members}"), token));
    }
    for members in [
        r#""nbf":NaN"#,
        r#""nbf":Infinity"#,
        r#""nbf":1e400"#,
        r#""nbf":0x1"#,
        r#""user_version":18446744073709551616"#,
        &format!(r#""device_id":{deep}"#),
        &format!(r#""nbf":{deep}"#),
        "'nbf':0",
        "/* */",
    ] {
        let token = ours(the_header(), beginning_with(members, &the_claims()));
        cases.push(case(format!("claims that are none: {members}"), token));
    }
    let claims = the_claims();
    for (what, claims) in [
        ("claims and more", format!("{claims}{claims}").into_bytes()),
        ("claims and NUL", format!("{claims}\0").into_bytes()),
        ("claims and a letter", format!("{claims}x").into_bytes()),
        ("claims behind a mark", format!("\u{feff}{claims}").into_bytes()),
        ("claims cut off", claims.as_bytes()[..claims.len() - 1].to_vec()),
        ("no UTF-8 in the claims", claims.replace("iss", "is~").bytes().map(not_utf8).collect()),
        ("claims that are a list", format!("[{claims}]").into_bytes()),
        ("claims that are a text", json!(claims).to_string().into_bytes()),
        ("claims that are null", b"null".to_vec()),
        ("claims of nothing", b"{}".to_vec()),
        ("no claims", Vec::new()),
        ("a token in the token", good().into_bytes()),
    ] {
        cases.push(case(what, ours(the_header(), claims)));
    }
    cases
}
