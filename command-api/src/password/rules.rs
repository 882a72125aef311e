//! What is asked of a password that somebody chooses.

use super::well_known::is_tried_first;
use super::{Password, PasswordError, Scheme};

/// What everybody may know of whoever chooses a password.
#[derive(Clone, Copy, Default)]
pub struct Owner<'a> {
    /// The user name.
    pub username: Option<&'a str>,
    /// The e-mail address.
    pub email: Option<&'a str>,
}

/// What is asked of new passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PasswordRules {
    max_bytes: Option<usize>,
}

impl PasswordRules {
    /// Those for passwords whose hashes are made with this.
    pub fn of(scheme: Scheme) -> Self {
        let max_bytes = match scheme {
            Scheme::Argon2id => None,
            Scheme::Bcrypt { .. } => Some(Scheme::MAX_BCRYPT_BYTES),
        };
        Self { max_bytes }
    }

    /// Takes what somebody has [entered](Password::entered), if it has 8 to 256 characters, goes into a hash whole
    /// and is not among those which are tried first by whoever guesses.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn choose(self, entered: Password, owner: Owner<'_>) -> Result<Password, PasswordError> {
        let password = entered.of_length()?;
        if let Some(limit) = self.max_bytes.filter(|limit| password.0.len() > *limit) {
            return Err(PasswordError::TooManyBytes { limit });
        }
        if is_tried_first(&password.0, owner) {
            return Err(PasswordError::Common);
        }
        Ok(password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(rules: PasswordRules, text: &str) -> Result<(), PasswordError> {
        let owner = Owner { username: Some("annabelle"), email: None };
        rules.choose(Password::entered(text.to_owned()), owner).map(drop)
    }

    #[test]
    fn a_password_is_long_enough_and_not_the_first_that_anybody_would_try() {
        let rules = PasswordRules::default();
        assert_eq!(chosen(rules, "correct horse"), Ok(()));
        assert_eq!(chosen(rules, &"pü".repeat(128)), Ok(()));
        assert_eq!(chosen(rules, "correct"), Err(PasswordError::TooShort { limit: 8 }));
        for text in ["Password1", "annabelle", "87654321", "xxxxxxxxxx"] {
            assert_eq!(chosen(rules, text), Err(PasswordError::Common), "{text}");
        }
    }

    #[test]
    fn with_bcrypt_bytes_count_and_nothing_is_cut() {
        let rules = PasswordRules::of(Scheme::Bcrypt { rounds: 10 });
        assert_eq!(chosen(rules, &"pü".repeat(24)), Ok(()));
        let error = chosen(rules, &format!("{}p", "pü".repeat(24))).unwrap_err();
        assert_eq!(error, PasswordError::TooManyBytes { limit: 72 });
        assert_eq!(error.to_string(), "must have at most 72 bytes in UTF-8");
        // Two characters in the body, one once it is in normal form C.
        assert_eq!(chosen(rules, &"pu\u{308}".repeat(24)), Ok(()));
        assert_eq!(PasswordRules::of(Scheme::Argon2id), PasswordRules::default());
    }
}
