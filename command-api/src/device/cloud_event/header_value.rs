//! The value of an attribute in a header: perhaps quoted, as older versions of the specification
//! allowed, and then percent-encoded once.

use http::HeaderValue;

use super::super::fields::Broken;
use crate::percent_encoding;

/// The attribute's text.
pub(super) fn decoded(value: &HeaderValue) -> Result<String, Broken> {
    let value = value.as_bytes().trim_ascii();
    let bytes = match value {
        [b'"', quoted @ .., b'"'] => percent_encoding::decoded(&unescaped(quoted)),
        _ => percent_encoding::decoded(value),
    };
    let bytes = bytes.ok_or_else(|| {
        Broken::new("percent-encoding", "must have two hexadecimal digits after each %")
    })?;
    String::from_utf8(bytes).map_err(|_| Broken::new("utf-8", "must be percent-encoded UTF-8"))
}

/// What a quoted string holds.
fn unescaped(quoted: &[u8]) -> Vec<u8> {
    let mut bytes = quoted.iter().copied();
    let mut next = || match bytes.next()? {
        b'\\' => bytes.next(),
        byte => Some(byte),
    };
    std::iter::from_fn(&mut next).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Option<String> {
        super::decoded(&HeaderValue::from_bytes(text.as_bytes()).unwrap()).ok()
    }

    #[test]
    fn a_value_is_decoded_as_the_specification_says() {
        for (value, text) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("%65%75%72%6f", "euro"),
            ("a%2fb%2Fc", "a/b/c"),
            ("100%2525", "100%25"),
            ("\"a b\"", "a b"),
            (r#""a\"b\\c%22""#, r#"a"b\c""#),
            ("\"\"", ""),
            ("\"", "\""),
            ("a\"b\"", "a\"b\""),
            ("größe", "größe"),
            ("", ""),
        ] {
            assert_eq!(decoded(value).as_deref(), Some(text), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for value in ["%", "50%", "%4", "%g0", "%0g", "%+1", "%C0%A0", "%ED%A0%80", "%ff"] {
            assert_eq!(decoded(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_through(text in any::<String>()) {
            let encode = |byte: u8| match byte {
                b'!' | b'#' | b'$' | b'&'..=b'~' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            };
            let encoded: String = text.bytes().map(encode).collect();
            prop_assert_eq!(decoded(&encoded), Some(text));
        }
    }
}
