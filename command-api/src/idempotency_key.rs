//! The `Idempotency-Key` header: a client's own name for a request, so that it can be sent again.

use http::{HeaderMap, HeaderName};
use problem_details::{Problem, ProblemType};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key, in characters.
pub const MAX_LENGTH: usize = 255;

/// A key of 1 to [`MAX_LENGTH`] visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The request's key, or `None` where it has none.
    ///
    /// It is written as a quoted string, as the IETF's draft says (`"8e03978e"`), or bare; both are
    /// the same key.
    ///
    /// # Errors
    /// A problem of type `invalid-header` where it cannot be read or stands twice.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().ok().and_then(Self::parse).filter(|_| values.next().is_none());
        key.map(Some).ok_or_else(|| {
            let detail = format!(
                "send one `Idempotency-Key` of 1 to {MAX_LENGTH} visible ASCII characters, in double quotes"
            );
            Problem::new(ProblemType::InvalidHeader, detail)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let key = match text.strip_prefix('"') {
            Some(rest) => unquoted(rest.strip_suffix('"')?)?,
            None if text.contains('"') => return None,
            None => text.to_owned(),
        };
        let is_usable = (1..=MAX_LENGTH).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_usable.then_some(Self(key))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Resolves the two escapes of a structured field's string (RFC 8941, 3.3.3).
fn unquoted(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        key.push(match c {
            '\\' => rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            other => other,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, ProblemType> {
        let headers =
            values.iter().map(|value| (IDEMPOTENCY_KEY, value.parse().unwrap())).collect();
        IdempotencyKey::from_headers(&headers)
            .map(|key| key.map(|key| key.0))
            .map_err(|problem| problem.kind())
    }

    #[test]
    fn quoted_and_bare_are_the_same_key() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["\"8e03978e\""]), Ok(Some("8e03978e".into())));
        assert_eq!(read(&["8e03978e"]), Ok(Some("8e03978e".into())));
        assert_eq!(read(&[r#""a\"b\\c""#]), Ok(Some(r#"a"b\c"#.into())));
        assert_eq!(read(&[&"k".repeat(255)]).unwrap().unwrap().len(), 255);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "k".repeat(256);
        for values in [
            vec![""],
            vec!["\"\""],
            vec!["\"a"],
            vec!["a\""],
            vec!["\""],
            vec!["\"a\"b\""],
            vec![r#""a\n""#],
            vec![r#""a\""#],
            vec!["a b"],
            vec!["\"a b\""],
            vec!["é"],
            vec![long.as_str()],
            vec!["a", "a"],
        ] {
            assert_eq!(read(&values), Err(ProblemType::InvalidHeader), "{values:?}");
        }
    }
}
