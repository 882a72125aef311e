//! The id by which a request is found in logs on both sides.

use std::fmt;

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The header of a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of one HTTP request: the client's where it sent a usable one, else a new UUIDv7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The longest id taken from a client, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// Takes a client's id of 1 to 128 visible ASCII characters.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let is_usable =
            (1..=Self::MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        is_usable.then(|| Self(value.clone()))
    }

    /// A new id.
    pub fn of(uuid: Uuid) -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = uuid.hyphenated().encode_lower(&mut text);
        // A UUID is visible ASCII: the value is always valid.
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-")))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header.
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_id_is_the_uuid_as_it_is_written() {
        let uuid = Uuid::now_v7();
        assert_eq!(RequestId::of(uuid).as_str(), uuid.to_string());
    }

    #[test]
    fn an_id_that_would_confuse_a_log_is_not_taken() {
        let long = "a".repeat(129);
        for text in ["", "a b", "a\tb", "ä", long.as_str()] {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(RequestId::parse(&value), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_of_visible_ascii_is_kept_as_sent(text in "[!-~]{1,128}") {
            let value = HeaderValue::from_str(&text).unwrap();
            let id = RequestId::parse(&value).unwrap();
            prop_assert_eq!(id.as_str(), text);
        }
    }
}
