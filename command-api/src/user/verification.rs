//! The token by which somebody shows that an address is theirs.

use consistency_token::TokenKey;
use domain::Timestamp;
use domain::user::UserId;

use super::mail_token::{MailToken, MailTokenKey};

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Whose address.
    pub(crate) user: UserId,
    /// Which of their addresses.
    pub(crate) email_number: u32,
    /// Until when it holds.
    pub(crate) until: Timestamp,
}

/// Signs and reads them.
#[derive(Debug, Clone)]
pub(crate) struct VerificationKey(MailTokenKey);

impl VerificationKey {
    pub(crate) fn new(key: &TokenKey) -> Self {
        Self(MailTokenKey::new(key, "verify-email"))
    }

    pub(crate) fn sign(&self, verification: Verification) -> String {
        let Verification { user, email_number, until } = verification;
        self.0.sign(MailToken { user, numbers: [email_number], until })
    }

    /// What the token says, if it is one of ours that still holds.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Option<Verification> {
        let MailToken { user, numbers: [email_number], until } = self.0.read(token, now)?;
        Some(Verification { user, email_number, until })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_says_what_was_signed_until_it_lapses() {
        let key = VerificationKey::new(&TokenKey::derive(b"a secret"));
        let user = UserId(Uuid::now_v7());
        let verification = Verification { user, email_number: 3, until: Timestamp(1_000) };
        let token = key.sign(verification);
        assert_eq!(key.read(&token, Timestamp(1_000)), Some(verification));
        assert_eq!(key.read(&token, Timestamp(1_001)), None);
        assert_eq!(key.read("bm9uZQ", Timestamp(0)), None);
        let other = VerificationKey::new(&TokenKey::derive(b"another"));
        assert_eq!(other.read(&token, Timestamp(0)), None);
    }
}
