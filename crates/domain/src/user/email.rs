//! The e-mail address of a user.

use std::borrow::Cow;
use std::fmt;

use crate::characters::{first_not, is_visible};

/// An e-mail address: at most 254 bytes, `local@domain`, the domain with a dot; unique whatever its
/// case. Whether letters arrive there, only a letter shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

/// Why a text is no [`Email`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// More bytes than mail can carry.
    #[error("must have at most {limit} bytes in UTF-8, not {length}")]
    TooLong {
        /// Bytes counted.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// None or several `@`.
    #[error("must have one \"@\", not {count}")]
    NotOneAt {
        /// How many there are.
        count: usize,
    },
    /// A character that an address cannot have without quotes: white space, a control or format
    /// character, or a sign with a meaning of its own in the headers of a letter.
    #[error("must have no white space, control character or sign of syntax, not U+{code:04X} at character {index}", code = u32::from(*character))]
    NotAllowed {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        index: usize,
    },
    /// Nothing before the `@`, or a dot where it begins or ends or beside another.
    #[error("must have a name before the \"@\", whose dots stand between other characters")]
    Local,
    /// A domain without a dot, or a dot where it begins or ends or beside another.
    #[error("must have a domain after the \"@\" with a dot between other characters")]
    Domain,
}

impl Email {
    /// Bytes allowed: what the longest path of SMTP leaves.
    pub const MAX_BYTES: usize = 254;

    /// Checks the text.
    pub fn parse(text: impl Into<String>) -> Result<Self, EmailError> {
        let text = text.into();
        if text.len() > Self::MAX_BYTES {
            return Err(EmailError::TooLong { length: text.len(), limit: Self::MAX_BYTES });
        }
        if let Some((index, character)) = first_not(&text, is_allowed) {
            return Err(EmailError::NotAllowed { character, index });
        }
        let [local, domain] = text.split('@').collect::<Vec<_>>()[..] else {
            return Err(EmailError::NotOneAt { count: text.matches('@').count() });
        };
        if !has_dots_inside(local) {
            return Err(EmailError::Local);
        }
        if !(domain.contains('.') && has_dots_inside(domain)) {
            return Err(EmailError::Domain);
        }
        Ok(Self(text))
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address itself.
    pub fn into_string(self) -> String {
        self.0
    }

    /// What must be unique: the address in lower case.
    pub fn normalised(&self) -> Cow<'_, str> {
        Self::normalise(&self.0)
    }

    /// What must be unique of an address that the log already holds. Each character for itself, so
    /// that none is written otherwise for what stands beside it.
    pub fn normalise(text: &str) -> Cow<'_, str> {
        if text.chars().all(|c| c.to_lowercase().eq([c])) {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
        }
    }
}

/// Letters, digits and the signs that stand in addresses without quotes; any script.
fn is_allowed(c: char) -> bool {
    is_visible(c) && !matches!(c, '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '[' | '\\' | ']')
}

fn has_dots_inside(part: &str) -> bool {
    part.split('.').all(|label| !label.is_empty())
}

/// Personal: not told in logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_kept_as_it_was_given() {
        for address in ["a@b.de", "Ann.Smith+news@Mail.Example.org", "größe@bücher.example"] {
            assert_eq!(Email::parse(address).unwrap().as_str(), address);
        }
    }

    #[test]
    fn an_address_is_the_same_whatever_its_case() {
        let normalised = |address| Email::parse(address).unwrap().normalised().into_owned();
        assert_eq!(normalised("Ann@Example.ORG"), "ann@example.org");
        assert_eq!(normalised("ÄNN@example.org"), normalised("änn@example.org"));
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_rule() {
        let not_allowed = |character, index| EmailError::NotAllowed { character, index };
        for (text, error) in [
            ("", EmailError::NotOneAt { count: 0 }),
            ("ann.example.org", EmailError::NotOneAt { count: 0 }),
            ("a@b@example.org", EmailError::NotOneAt { count: 2 }),
            ("ann @example.org", not_allowed(' ', 3)),
            ("ann@example.org\n", not_allowed('\n', 15)),
            ("ann\u{202e}@example.org", not_allowed('\u{202e}', 3)),
            ("Ann<ann@example.org>", not_allowed('<', 3)),
            ("ann@example.org,bob@example.org", not_allowed(',', 15)),
            ("@example.org", EmailError::Local),
            (".ann@example.org", EmailError::Local),
            ("a..b@example.org", EmailError::Local),
            ("ann@localhost", EmailError::Domain),
            ("ann@example.", EmailError::Domain),
            ("ann@.org", EmailError::Domain),
            ("ann@a..org", EmailError::Domain),
        ] {
            assert_eq!(Email::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_measured_in_bytes() {
        let of = |bytes: usize| format!("{}@example.org", "a".repeat(bytes - 12));
        assert!(Email::parse(of(254)).is_ok());
        assert_eq!(Email::parse(of(255)), Err(EmailError::TooLong { length: 255, limit: 254 }));
        let refusal = Email::parse(format!("{}@b.de", "ü".repeat(125))).unwrap_err();
        assert_eq!(refusal.to_string(), "must have at most 254 bytes in UTF-8, not 255");
    }

    proptest! {
        #[test]
        fn normalising_again_changes_nothing(text in any::<String>()) {
            let once = Email::normalise(&text).into_owned();
            prop_assert_eq!(Email::normalise(&once), once.as_str());
        }

        #[test]
        fn any_text_is_an_address_or_refused(text in any::<String>()) {
            if let Ok(email) = Email::parse(text.clone()) {
                prop_assert_eq!(email.as_str(), text);
            }
        }
    }
}
