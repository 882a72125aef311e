//! Bytes as `%` and two hexadecimal digits (RFC 3986, 2.1).

use std::fmt::Write as _;

/// The bytes that a text encodes; `None` where a `%` is followed by something else than two digits.
pub(crate) fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, behind @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        decoded.push(digit(high)? << 4 | digit(low)?);
        rest = behind;
    }
    Some(decoded)
}

/// The text as it may stand anywhere in a URL: only unreserved characters stay what they are.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_follows_a_percent_sign_must_be_two_digits() {
        for text in ["%", "%4", "%4g", "%g4", "a%"] {
            assert_eq!(decoded(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decoded(b"p%40%2fw%ff").unwrap(), b"p@/w\xff");
    }

    #[test]
    fn what_means_something_in_a_url_is_encoded() {
        assert_eq!(encoded("aZ0-._~"), "aZ0-._~");
        assert_eq!(encoded("a b&c=d%#ü\r\n"), "a%20b%26c%3Dd%25%23%C3%BC%0D%0A");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in ".*") {
            prop_assert_eq!(decoded(encoded(&text).as_bytes()).unwrap(), text.as_bytes());
        }
    }
}
