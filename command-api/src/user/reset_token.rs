//! The token by which somebody who has forgotten their password may have another one. It is good for one change,
//! as what it says is no more so after that.

use std::time::Duration;

use consistency_token::TokenKey;
use domain::Timestamp;
use domain::user::{ResetPassword, UserId};

use super::mail_token::{MailToken, MailTokenKey};

/// How long it holds once its mail is sent.
pub(crate) const HOLDS_FOR: Duration = Duration::from_secs(15 * 60);

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PasswordReset {
    /// Whose password.
    pub(crate) user: UserId,
    /// What it is good for.
    pub(crate) command: ResetPassword,
    /// Until when it holds.
    pub(crate) until: Timestamp,
}

/// Signs and reads them.
#[derive(Debug, Clone)]
pub(crate) struct PasswordResetKey(MailTokenKey);

impl PasswordResetKey {
    pub(crate) fn new(key: &TokenKey) -> Self {
        Self(MailTokenKey::new(key, "reset-password"))
    }

    pub(crate) fn sign(&self, reset: PasswordReset) -> String {
        let PasswordReset { user, command, until } = reset;
        let ResetPassword { email_number, session_epoch } = command;
        self.0.sign(MailToken { user, numbers: [email_number, session_epoch], until })
    }

    /// What the token says, if it is one of ours that still holds.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Option<PasswordReset> {
        let MailToken { user, numbers: [email_number, session_epoch], until } =
            self.0.read(token, now)?;
        let command = ResetPassword { email_number, session_epoch };
        Some(PasswordReset { user, command, until })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::user::verification::{Verification, VerificationKey};

    #[test]
    fn a_token_says_what_was_signed_until_it_lapses() {
        let keys = TokenKey::derive(b"a secret");
        let key = PasswordResetKey::new(&keys);
        let user = UserId(Uuid::now_v7());
        let command = ResetPassword { email_number: 3, session_epoch: 7 };
        let reset = PasswordReset { user, command, until: Timestamp(1_000) };
        let token = key.sign(reset);
        assert_eq!(key.read(&token, Timestamp(1_000)), Some(reset));
        assert_eq!(key.read(&token, Timestamp(1_001)), None);
        assert_eq!(key.read("bm9uZQ", Timestamp(0)), None);
        let other = PasswordResetKey::new(&TokenKey::derive(b"another"));
        assert_eq!(other.read(&token, Timestamp(0)), None);
    }

    #[test]
    fn a_token_that_verifies_an_address_resets_no_password() {
        let keys = TokenKey::derive(b"a secret");
        let user = UserId(Uuid::now_v7());
        let verification = Verification { user, email_number: 1, until: Timestamp(1_000) };
        let token = VerificationKey::new(&keys).sign(verification);
        assert_eq!(PasswordResetKey::new(&keys).read(&token, Timestamp(0)), None);
    }
}
