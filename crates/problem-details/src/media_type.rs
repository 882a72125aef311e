//! What a request says its body is.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

use crate::{Problem, ProblemType};

/// The media type of a body, without its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a>(&'a [u8]);

impl<'a> MediaType<'a> {
    /// What `Content-Type` says, or `None` where it is absent.
    ///
    /// # Errors
    /// 415 where it stands twice, or names another character encoding than UTF-8.
    pub fn of(headers: &'a HeaderMap) -> Result<Option<Self>, Problem> {
        let refused = |detail| Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return refused("send one `Content-Type`");
        }
        let mut parts = value.as_bytes().split(|byte| *byte == b';');
        let essence = parts.next().unwrap_or_default().trim_ascii();
        if parts.any(is_another_charset) {
            return refused("send the body in UTF-8; `Content-Type` says `charset` is another");
        }
        Ok(Some(Self(essence)))
    }

    /// True where it is this one, in whatever case.
    pub fn is(self, essence: &str) -> bool {
        self.0.eq_ignore_ascii_case(essence.as_bytes())
    }

    /// True where it begins so, in whatever case.
    pub fn begins_with(self, beginning: &str) -> bool {
        let head = self.0.get(..beginning.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(beginning.as_bytes()))
    }

    /// True where it says that the body is JSON: `*/json`, or a type that ends in `+json`.
    pub fn is_json(self) -> bool {
        let subtype = self.0.iter().position(|byte| *byte == b'/').map(|at| &self.0[at + 1..]);
        let ends_so = |subtype: &[u8]| {
            let suffix = subtype.len().checked_sub("+json".len()).map(|at| &subtype[at..]);
            suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
        };
        subtype.is_some_and(|subtype| subtype.eq_ignore_ascii_case(b"json") || ends_so(subtype))
    }
}

impl<'a> From<&'a str> for MediaType<'a> {
    /// The media type that such a text names.
    fn from(text: &'a str) -> Self {
        Self(text.split(';').next().unwrap_or_default().trim_ascii().as_bytes())
    }
}

fn is_another_charset(parameter: &[u8]) -> bool {
    let mut sides = parameter.splitn(2, |byte| *byte == b'=');
    let name = sides.next().unwrap_or_default().trim_ascii();
    let value = sides.next().unwrap_or_default().trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    name.eq_ignore_ascii_case(b"charset")
        && !(value.eq_ignore_ascii_case(b"utf-8") || value.eq_ignore_ascii_case(b"utf8"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (CONTENT_TYPE, HeaderValue::from_str(text).unwrap());
        values.iter().map(value).collect()
    }

    fn is(text: &str, essence: &str) -> bool {
        MediaType::of(&headers(&[text])).unwrap().unwrap().is(essence)
    }

    #[test]
    fn a_media_type_is_told_by_its_essence_in_whatever_case() {
        assert_eq!(MediaType::of(&headers(&[])), Ok(None));
        for text in [
            "application/json",
            " Application/JSON ;charset=utf-8",
            "application/json;v=1; Charset=\"UTF-8\"",
            "application/json; charset=utf8",
            "application/json;",
        ] {
            assert!(is(text, "application/json"), "{text}");
        }
        for text in ["", "text/json", "application/jsonx", "application/xml;application/json"] {
            assert!(!is(text, "application/json"), "{text}");
        }
    }

    #[test]
    fn json_is_told_by_the_subtype_and_its_suffix() {
        for text in ["application/json", "text/JSON; a=b", "application/geo+json", "a/b+JSON"] {
            assert!(MediaType::from(text).is_json(), "{text}");
        }
        for text in
            ["", "json", "/", "application/xml", "application/jsonl", "application+json", "a/bjson"]
        {
            assert!(!MediaType::from(text).is_json(), "{text}");
        }
        assert!(
            MediaType::from("Application/CloudEvents+avro").begins_with("application/cloudevents")
        );
        assert!(!MediaType::from("application/cloud").begins_with("application/cloudevents"));
    }

    #[test]
    fn another_charset_and_a_second_type_are_refused() {
        for values in [
            &["application/json; charset=iso-8859-1"][..],
            &["application/json;a=b;CHARSET=\"utf-16\""],
            &["application/json;charset"],
            &["application/json", "application/json"],
        ] {
            let problem = MediaType::of(&headers(values)).unwrap_err();
            assert_eq!(problem.kind(), ProblemType::UnsupportedMediaType, "{values:?}");
        }
    }
}
