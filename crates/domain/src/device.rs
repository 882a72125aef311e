//! Devices report what happened to them; there is nothing to decide, so a report is a fact.

use std::fmt;

use uuid::Uuid;

use crate::Timestamp;
use crate::characters::{first_not, is_visible};

/// The name a device has given itself: the stream its events form and the key they are logged
/// under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

/// Why a text is no [`DeviceId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceIdError {
    /// No character at all.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("must have at most {limit} characters, not {length}")]
    TooLong {
        /// Characters counted.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character that cannot be seen: white space, control or format characters.
    #[error("must have visible characters only, not U+{code:04X} at character {index}", code = u32::from(*character))]
    NotVisible {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        index: usize,
    },
}

impl DeviceId {
    /// Checks that the text has 1 to `limit` characters, each of them visible.
    pub fn parse(text: impl Into<String>, limit: usize) -> Result<Self, DeviceIdError> {
        let text = text.into();
        let length = text.chars().count();
        if length == 0 {
            return Err(DeviceIdError::Empty);
        }
        if length > limit {
            return Err(DeviceIdError::TooLong { length, limit });
        }
        match first_not(&text, is_visible) {
            Some((index, character)) => Err(DeviceIdError::NotVisible { character, index }),
            None => Ok(Self(text)),
        }
    }

    /// Takes a name that the log already holds; the log is not second-guessed.
    pub fn from_log(text: String) -> Self {
        Self(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a client named the event itself, so that a retry can be told from a new event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dedupe {
    /// The server named it: every request is a new event.
    None,
    /// The client named it: `request_id` is derived from the client's id, and a second event with
    /// it has no effect.
    Client,
}

/// SHA-256 of what a client reported under its own id, to tell a retry from a reused id.
pub type BodyHash = [u8; 32];

/// Every event of a device's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceEvent {
    /// The device reported something.
    Reported(DeviceEventReported),
}

/// A device reported something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceEventReported {
    /// Which device.
    pub device_id: DeviceId,
    /// The event's identity: UUIDv7, or UUIDv8 where the client named it.
    pub request_id: Uuid,
    /// Whether the client named it.
    pub dedupe: Dedupe,
    /// Hash of the reported body; `None` unless the client named the event.
    pub body_hash: Option<BodyHash>,
    /// When it happened, by the device's clock.
    pub occurred_at: Option<Timestamp>,
    /// What was reported: JSON text that [`crate::json_text`] accepts.
    pub payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_visible_characters_is_taken() {
        for name in ["a", "device-123", "größe/7", "設備", "a:b#c%d"] {
            assert_eq!(DeviceId::parse(name, 128).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_is_counted_in_characters_not_bytes() {
        assert!(DeviceId::parse("ü".repeat(128), 128).is_ok());
        assert_eq!(
            DeviceId::parse("ü".repeat(129), 128),
            Err(DeviceIdError::TooLong { length: 129, limit: 128 })
        );
    }

    #[test]
    fn what_cannot_be_seen_is_refused_by_name_and_place() {
        for (name, index) in [(" a", 0), ("a\tb", 1), ("a\0", 1), ("a\u{200b}", 1), ("\u{feff}", 0)]
        {
            assert!(
                matches!(DeviceId::parse(name, 128), Err(DeviceIdError::NotVisible { index: i, .. }) if i == index),
                "{name:?}"
            );
        }
        assert_eq!(
            DeviceId::parse("a b", 128).unwrap_err().to_string(),
            "must have visible characters only, not U+0020 at character 1"
        );
    }
}
