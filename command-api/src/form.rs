//! Bodies as browsers and OAuth clients send them: `name=value&name=value`.

use http::HeaderMap;
use problem_details::MediaType;

use crate::percent_encoding;

/// The longest body that is read: a form holds a name, a password, a token.
const LONGEST_BYTES: usize = 32 * 1024;

/// What such a body is.
pub(crate) const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// Whether the body says that it is one.
pub(crate) fn is_sent(headers: &HeaderMap) -> bool {
    matches!(MediaType::of(headers), Ok(Some(media_type)) if media_type.is(MEDIA_TYPE))
}

/// Its members, in their order, each with its value; `None` where it is none, or longer than 32 KiB.
pub(crate) fn members(body: &[u8]) -> Option<Vec<(String, String)>> {
    if body.len() > LONGEST_BYTES {
        return None;
    }
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            Some((decoded(&pair[..at])?, decoded(value)?))
        })
        .collect()
}

/// The text of a name or a value; `None` where it is none.
pub(crate) fn decoded(encoded: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = encoded.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    String::from_utf8(percent_encoding::decoded(&spaced)?).ok()
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn read(body: &str) -> Vec<(String, String)> {
        members(body.as_bytes()).unwrap()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn members_come_in_their_order_and_as_often_as_they_stand_there() {
        assert_eq!(read("a=1&b=2&a=3"), pairs([("a", "1"), ("b", "2"), ("a", "3")]));
        assert_eq!(read("a=b=c&d&e="), pairs([("a", "b=c"), ("d", ""), ("e", "")]));
        assert_eq!(read("a+b=c%26d%3D+%C3%BC"), pairs([("a b", "c&d= ü")]));
        assert_eq!(read("&&a=1&"), pairs([("a", "1")]));
        assert!(read("").is_empty());
    }

    #[test]
    fn what_cannot_be_decoded_is_no_form() {
        for body in ["a=%f", "a=%ff", "%=b", "a=1&b=%zz"] {
            assert_eq!(members(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_long_body_is_not_read() {
        let body = |bytes: usize| ["a=", &"b".repeat(bytes - 2)].concat();
        assert!(members(body(LONGEST_BYTES).as_bytes()).is_some());
        assert_eq!(members(body(LONGEST_BYTES + 1).as_bytes()), None);
    }

    #[test]
    fn a_form_is_told_by_its_media_type() {
        let is_form = |text: &str| {
            let headers: HeaderMap = [(CONTENT_TYPE, text.parse().unwrap())].into_iter().collect();
            is_sent(&headers)
        };
        assert!(is_form(MEDIA_TYPE));
        assert!(is_form("Application/X-WWW-Form-URLEncoded; charset=utf-8"));
        assert!(!is_form("application/json"));
        assert!(!is_sent(&HeaderMap::new()));
    }
}
