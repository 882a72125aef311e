//! What the page's form says: `token=...`, as browsers send it.

use http::HeaderMap;
use problem_details::{MediaType, Problem};

use crate::fields::{Broken, Faults};
use crate::percent_encoding;

/// What browsers send forms as.
pub(super) const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// Whether the body says that it is a form.
pub(super) fn is_sent(headers: &HeaderMap) -> bool {
    matches!(MediaType::of(headers), Ok(Some(media_type)) if media_type.is(MEDIA_TYPE))
}

/// Reads `token=...`, the only member.
///
/// # Errors
/// It is something else.
pub(super) fn token(body: &[u8]) -> Result<String, Problem> {
    let value = body.strip_prefix(b"token=").filter(|value| !value.contains(&b'&'));
    value.and_then(decoded).ok_or_else(|| {
        let mut faults = Faults::of_body();
        faults.note("/token", Broken::new("required", "is required, once and alone"));
        faults.refuse()
    })
}

fn decoded(value: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = value.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    String::from_utf8(percent_encoding::decoded(&spaced)?).ok()
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn a_form_has_one_member_which_is_the_token() {
        for (body, expected) in [
            ("token=aZ0-_", "aZ0-_"),
            ("token=", ""),
            ("token=a+b%26c%3D%C3%BC", "a b&c=ü"),
            ("token=a=b", "a=b"),
        ] {
            assert_eq!(token(body.as_bytes()).unwrap(), expected, "{body}");
        }
        for body in ["", "token", "Token=a", "a=b", "token=a&token=b", "token=a&b=c", "b=c&token=a"]
        {
            let problem = token(body.as_bytes()).unwrap_err();
            let error = &problem.errors()[0];
            assert_eq!((error.pointer.as_str(), error.rule), ("/token", "required"), "{body}");
        }
        assert!(token(b"token=%f").is_err() && token(b"token=%ff").is_err());
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
        assert!(!is_form("application/x-www-form-urlencoded; charset=latin1"));
        assert!(!is_sent(&HeaderMap::new()));
    }
}
