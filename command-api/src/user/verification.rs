//! The token by which somebody shows that an address is theirs: sealed, so that nothing of it is stored.

use consistency_token::{SealKey, TokenKey};
use domain::Timestamp;
use domain::user::UserId;
use uuid::Uuid;

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

/// Seals and opens them.
#[derive(Debug, Clone)]
pub(crate) struct VerificationKey(SealKey);

impl VerificationKey {
    pub(crate) fn new(key: &TokenKey) -> Self {
        Self(key.sealing("verify-email"))
    }

    pub(crate) fn seal(&self, verification: Verification) -> String {
        let Verification { user, email_number, until } = verification;
        let content = [
            user.0.as_bytes().as_slice(),
            &email_number.to_be_bytes(),
            &until.micros().to_be_bytes(),
        ];
        self.0.seal(b"", &content.concat())
    }

    /// What the token says, if it is one of ours that still holds.
    pub(crate) fn open(&self, token: &str, now: Timestamp) -> Option<Verification> {
        let content = self.0.open(b"", token)?;
        let (user, rest) = content.split_first_chunk::<16>()?;
        let (number, until) = rest.split_first_chunk::<4>()?;
        let verification = Verification {
            user: UserId(Uuid::from_bytes(*user)),
            email_number: u32::from_be_bytes(*number),
            until: Timestamp(i64::from_be_bytes(until.try_into().ok()?)),
        };
        (now <= verification.until).then_some(verification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_was_sealed_until_it_lapses() {
        let key = VerificationKey::new(&TokenKey::derive(b"a secret"));
        let user = UserId(Uuid::now_v7());
        let verification = Verification { user, email_number: 3, until: Timestamp(1_000) };
        let token = key.seal(verification);
        assert_eq!(key.open(&token, Timestamp(1_000)), Some(verification));
        assert_eq!(key.open(&token, Timestamp(1_001)), None);
        assert_eq!(key.open("bm9uZQ", Timestamp(0)), None);
        let other = VerificationKey::new(&TokenKey::derive(b"another"));
        assert_eq!(other.open(&token, Timestamp(0)), None);
    }
}
