//! A user's full name.

use std::fmt;

use crate::characters::{first_not, is_joiner, is_visible};

/// A full name: 1 to 100 visible characters, and spaces between them.
#[derive(Clone, PartialEq, Eq)]
pub struct FullName(String);

/// Why a text is no [`FullName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FullNameError {
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
    /// A character that is neither visible nor a space.
    #[error("must have visible characters and spaces only, not U+{code:04X} at character {index}", code = u32::from(*character))]
    NotVisible {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        index: usize,
    },
    /// A space where the name begins or ends.
    #[error("must begin and end with a visible character")]
    OuterSpace,
}

impl FullName {
    /// Characters allowed.
    pub const MAX_LENGTH: usize = 100;

    /// Checks the text.
    pub fn parse(text: impl Into<String>) -> Result<Self, FullNameError> {
        let text = text.into();
        let length = text.chars().count();
        if length == 0 {
            return Err(FullNameError::Empty);
        }
        if length > Self::MAX_LENGTH {
            return Err(FullNameError::TooLong { length, limit: Self::MAX_LENGTH });
        }
        let allowed = |c: char| is_visible(c) || is_joiner(c) || c == ' ';
        if let Some((index, character)) = first_not(&text, allowed) {
            return Err(FullNameError::NotVisible { character, index });
        }
        if text.starts_with(is_visible) && text.ends_with(is_visible) {
            Ok(Self(text))
        } else {
            Err(FullNameError::OuterSpace)
        }
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

/// Personal: not told in logs.
impl fmt::Debug for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FullName(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_script_is_taken() {
        let joined = "\u{646}\u{6cc}\u{200c}\u{6a9}";
        for name in
            ["Ann", "Ann-Kathrin O'Neil", "José María", "設備 一郎", joined, &"ü".repeat(100)]
        {
            assert_eq!(FullName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_by_its_rule() {
        let not_visible = |character, index| FullNameError::NotVisible { character, index };
        for (text, error) in [
            ("", FullNameError::Empty),
            (&*"a".repeat(101), FullNameError::TooLong { length: 101, limit: 100 }),
            ("a\nb", not_visible('\n', 1)),
            ("a\u{202e}b", not_visible('\u{202e}', 1)),
            (" ", FullNameError::OuterSpace),
            (" Ann", FullNameError::OuterSpace),
            ("Ann ", FullNameError::OuterSpace),
            ("\u{200d}", FullNameError::OuterSpace),
        ] {
            assert_eq!(FullName::parse(text), Err(error), "{text:?}");
        }
    }
}
