//! The token by which somebody becomes a user who has shown that the address is theirs.

use consistency_token::TokenKey;
use domain::Timestamp;
use domain::user::UserId;

use super::mail_token::{MailToken, MailTokenKey};

/// Signs and reads them. What waits, and who comes of it, has the id that one says.
#[derive(Debug, Clone)]
pub(crate) struct RegistrationKey(MailTokenKey);

impl RegistrationKey {
    pub(crate) fn new(key: &TokenKey) -> Self {
        Self(MailTokenKey::new(key, "confirm-registration"))
    }

    pub(crate) fn sign(&self, user: UserId, until: Timestamp) -> String {
        self.0.sign(MailToken { user, numbers: [], until })
    }

    /// What the token says, if it is one of ours that still holds.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Option<UserId> {
        self.0.read::<0>(token, now).map(|token| token.user)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::user::verification::{Verification, VerificationKey};

    #[test]
    fn a_token_says_what_was_signed_until_it_lapses() {
        let key = RegistrationKey::new(&TokenKey::derive(b"a secret"));
        let user = UserId(Uuid::now_v7());
        let token = key.sign(user, Timestamp(1_000));
        assert_eq!(key.read(&token, Timestamp(1_000)), Some(user));
        assert_eq!(key.read(&token, Timestamp(1_001)), None);
        assert_eq!(key.read("bm9uZQ", Timestamp(0)), None);
        let other = RegistrationKey::new(&TokenKey::derive(b"another"));
        assert_eq!(other.read(&token, Timestamp(0)), None);
    }

    #[test]
    fn a_token_that_verifies_an_address_registers_nobody() {
        let keys = TokenKey::derive(b"a secret");
        let user = UserId(Uuid::now_v7());
        let verification = Verification { user, email_number: 1, until: Timestamp(1_000) };
        let token = VerificationKey::new(&keys).sign(verification);
        assert_eq!(RegistrationKey::new(&keys).read(&token, Timestamp(0)), None);
    }
}
