//! The name a user is known by.

use std::borrow::Cow;
use std::fmt;

use crate::characters::first_not;

/// The name a user is known by: 3 to 32 of letters, digits, `_`, `.` and `-` of ASCII, shown as it
/// was chosen and unique whatever its case.
#[derive(Clone, PartialEq, Eq)]
pub struct Username(String);

/// Why a text is no [`Username`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Fewer characters than needed.
    #[error("must have at least {limit} characters, not {length}")]
    TooShort {
        /// Characters counted.
        length: usize,
        /// Characters needed.
        limit: usize,
    },
    /// More characters than allowed.
    #[error("must have at most {limit} characters, not {length}")]
    TooLong {
        /// Characters counted.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character that names cannot have.
    #[error("must have letters and digits of ASCII, \"_\", \".\" and \"-\" only, not U+{code:04X} at character {index}", code = u32::from(*character))]
    NotAllowed {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        index: usize,
    },
    /// A sign where a name begins or ends.
    #[error("must begin and end with a letter or a digit")]
    OuterSign,
}

impl Username {
    /// Characters needed.
    pub const MIN_LENGTH: usize = 3;
    /// Characters allowed.
    pub const MAX_LENGTH: usize = 32;

    /// Checks the text.
    pub fn parse(text: impl Into<String>) -> Result<Self, UsernameError> {
        let text = text.into();
        let length = text.chars().count();
        if length < Self::MIN_LENGTH {
            return Err(UsernameError::TooShort { length, limit: Self::MIN_LENGTH });
        }
        if length > Self::MAX_LENGTH {
            return Err(UsernameError::TooLong { length, limit: Self::MAX_LENGTH });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if let Some((index, character)) = first_not(&text, allowed) {
            return Err(UsernameError::NotAllowed { character, index });
        }
        let is_outer = |c: char| c.is_ascii_alphanumeric();
        if text.starts_with(is_outer) && text.ends_with(is_outer) {
            Ok(Self(text))
        } else {
            Err(UsernameError::OuterSign)
        }
    }

    /// The name as it was chosen.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name itself.
    pub fn into_string(self) -> String {
        self.0
    }

    /// What must be unique: the name in lower case.
    pub fn normalised(&self) -> Cow<'_, str> {
        Self::normalise(&self.0)
    }

    /// What must be unique of a name that the log already holds.
    pub fn normalise(text: &str) -> Cow<'_, str> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// Personal: not told in logs.
impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_kept_as_it_was_chosen() {
        for name in ["ann", "Ann.Smith-2_b", "007", &"a".repeat(32)] {
            assert_eq!(Username::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_is_the_same_whatever_its_case() {
        let normalised = |name| Username::parse(name).unwrap().normalised().into_owned();
        assert_eq!(normalised("Ann.Smith"), normalised("aNN.sMITH"));
        assert_ne!(normalised("Ann.Smith"), normalised("Ann_Smith"));
    }

    #[test]
    fn a_refusal_names_the_rule_and_its_limit() {
        let refusal = |name: &str| Username::parse(name).unwrap_err().to_string();
        assert_eq!(refusal("an"), "must have at least 3 characters, not 2");
        assert_eq!(refusal(&"a".repeat(33)), "must have at most 32 characters, not 33");
        assert_eq!(
            refusal("ann\u{e9}"),
            "must have letters and digits of ASCII, \"_\", \".\" and \"-\" only, not U+00E9 at character 3"
        );
        for name in [".ann", "ann-", "_ann_"] {
            assert_eq!(refusal(name), "must begin and end with a letter or a digit", "{name}");
        }
    }

    #[test]
    fn a_printed_name_tells_nothing() {
        assert_eq!(format!("{:?}", Username::parse("ann").unwrap()), "Username(..)");
    }

    proptest! {
        #[test]
        fn normalising_again_changes_nothing(text in ".{0,40}") {
            let once = Username::normalise(&text).into_owned();
            prop_assert_eq!(Username::normalise(&once), once.as_str());
        }

        #[test]
        fn a_normalised_name_is_a_name(name in "[A-Za-z0-9][A-Za-z0-9_.-]{1,30}[A-Za-z0-9]") {
            let name = Username::parse(name).unwrap();
            prop_assert!(Username::parse(name.normalised()).is_ok());
        }
    }
}
