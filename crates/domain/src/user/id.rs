//! The identity of a user.

use std::fmt;

use uuid::Uuid;

/// Begins the name of every user's stream.
pub const STREAM_PREFIX: &str = "user-";

/// The identity of a user. Printed, it is the UUID alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

/// Why a text is no [`UserId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserIdError {
    /// Another spelling than the one that ids are printed in.
    #[error("must be a UUID in lower case with hyphens")]
    NotUuid,
}

impl UserId {
    /// Reads the one spelling in which ids are printed, so that equal ids are equal texts.
    pub fn parse(text: &str) -> Result<Self, UserIdError> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| UserIdError::NotUuid)?;
        if id.to_string() == text { Ok(id) } else { Err(UserIdError::NotUuid) }
    }

    /// The name of their stream, which is the key of its records: `user-<uuid>`.
    pub fn stream_id(self) -> String {
        format!("{STREAM_PREFIX}{self}")
    }

    /// Whose stream has this name.
    pub fn from_stream_id(stream_id: &str) -> Option<Self> {
        stream_id.strip_prefix(STREAM_PREFIX).and_then(|text| Self::parse(text).ok())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_after_its_user() {
        let id = UserId(Uuid::from_u128(7));
        assert_eq!(id.stream_id(), "user-00000000-0000-0000-0000-000000000007");
        assert_eq!(UserId::from_stream_id(&id.stream_id()), Some(id));
        assert_eq!(UserId::from_stream_id(&id.to_string()), None);
        assert_eq!(UserId::from_stream_id("device-123"), None);
    }

    #[test]
    fn an_id_has_one_spelling() {
        let spelling = "0190a0b0-c0d0-7000-8000-00000000abcd";
        assert_eq!(UserId::parse(spelling).unwrap().to_string(), spelling);
        for other in [spelling.to_uppercase(), spelling.replace('-', ""), format!("{{{spelling}}}")]
        {
            assert_eq!(UserId::parse(&other), Err(UserIdError::NotUuid), "{other}");
        }
    }
}
