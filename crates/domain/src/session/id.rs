//! The identity of a session.

use std::fmt;

use uuid::Uuid;

/// Begins the name of every session's stream.
const PREFIX: &str = "session-";

/// The identity of a session. Printed, it is the UUID alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub Uuid);

/// Why a text is no [`SessionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionIdError {
    /// Another spelling than the one that ids are printed in.
    #[error("must be a UUID in lower case with hyphens")]
    NotUuid,
}

impl SessionId {
    /// Reads the one spelling in which ids are printed, so that equal ids are equal texts.
    pub fn parse(text: &str) -> Result<Self, SessionIdError> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| SessionIdError::NotUuid)?;
        if id.to_string() == text { Ok(id) } else { Err(SessionIdError::NotUuid) }
    }

    /// The name of its stream, which is the key of its records: `session-<uuid>`.
    pub fn stream_id(self) -> String {
        format!("{PREFIX}{self}")
    }

    /// Which session's stream has this name.
    pub fn from_stream_id(stream_id: &str) -> Option<Self> {
        stream_id.strip_prefix(PREFIX).and_then(|text| Self::parse(text).ok())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_after_its_session() {
        let id = SessionId(Uuid::from_u128(7));
        assert_eq!(id.stream_id(), "session-00000000-0000-0000-0000-000000000007");
        assert_eq!(SessionId::from_stream_id(&id.stream_id()), Some(id));
        assert_eq!(SessionId::from_stream_id(&id.to_string()), None);
        assert_eq!(SessionId::from_stream_id(&format!("user-{id}")), None);
    }

    #[test]
    fn an_id_has_one_spelling() {
        let spelling = "0190a0b0-c0d0-7000-8000-00000000abcd";
        assert_eq!(SessionId::parse(spelling).unwrap().to_string(), spelling);
        for other in [spelling.to_uppercase(), spelling.replace('-', ""), format!("{{{spelling}}}")]
        {
            assert_eq!(SessionId::parse(&other), Err(SessionIdError::NotUuid), "{other}");
        }
    }
}
