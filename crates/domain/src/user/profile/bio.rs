//! What users say of themselves.

use std::fmt;

use crate::characters::first_not;

/// What a user says of themselves: 1 to 1,000 characters, line breaks and tabs among them.
#[derive(Clone, PartialEq, Eq)]
pub struct Bio(String);

/// Why a text is no [`Bio`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BioError {
    /// Nothing that could be seen.
    #[error("must not be empty or blank")]
    Blank,
    /// More characters than allowed.
    #[error("must have at most {limit} characters, not {length}")]
    TooLong {
        /// Characters counted.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A control character that breaks no line.
    #[error("must have no control character but line breaks and tabs, not U+{code:04X} at character {index}", code = u32::from(*character))]
    Control {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        index: usize,
    },
}

impl Bio {
    /// Characters allowed.
    pub const MAX_LENGTH: usize = 1_000;

    /// Checks the text.
    pub fn parse(text: impl Into<String>) -> Result<Self, BioError> {
        let text = text.into();
        let length = text.chars().count();
        if length > Self::MAX_LENGTH {
            return Err(BioError::TooLong { length, limit: Self::MAX_LENGTH });
        }
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if let Some((index, character)) = first_not(&text, allowed) {
            return Err(BioError::Control { character, index });
        }
        if text.trim().is_empty() { Err(BioError::Blank) } else { Ok(Self(text)) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Personal: not told in logs.
impl fmt::Debug for Bio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bio(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_is_taken() {
        for text in ["Hi", "one\r\ntwo\n\n\tthree", "👩\u{200d}🚒", &"ü".repeat(1_000)] {
            assert_eq!(Bio::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_bio_is_refused_by_its_rule() {
        let control = |character, index| BioError::Control { character, index };
        for (text, error) in [
            ("", BioError::Blank),
            (" \n", BioError::Blank),
            (&*"a".repeat(1_001), BioError::TooLong { length: 1_001, limit: 1_000 }),
            ("a\0", control('\0', 1)),
            ("\u{1b}[1m", control('\u{1b}', 0)),
        ] {
            assert_eq!(Bio::parse(text), Err(error), "{text:?}");
        }
    }
}
