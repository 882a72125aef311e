//! What the tokens of mails have in common: they say whose they are, which state of theirs they are of, and
//! until when they hold. They are signed, so that nothing of them has to be stored.

use consistency_token::{SignedTextKey, TokenKey};
use domain::Timestamp;
use domain::user::UserId;
use uuid::Uuid;

/// What a token says, in the order in which it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MailToken<const N: usize> {
    pub(super) user: UserId,
    /// Numbers of their state that it holds for.
    pub(super) numbers: [u32; N],
    pub(super) until: Timestamp,
}

/// Signs and reads tokens of one purpose.
#[derive(Debug, Clone)]
pub(super) struct MailTokenKey(SignedTextKey);

impl MailTokenKey {
    pub(super) fn new(key: &TokenKey, purpose: &str) -> Self {
        Self(key.for_texts(purpose))
    }

    pub(super) fn sign<const N: usize>(&self, token: MailToken<N>) -> String {
        let MailToken { user, numbers, until } = token;
        let numbers = numbers.map(u32::to_be_bytes);
        let until = until.micros().to_be_bytes();
        self.0.sign(b"", &[user.0.as_bytes().as_slice(), numbers.as_flattened(), &until].concat())
    }

    /// What the token says, if it is one of ours that still holds.
    pub(super) fn read<const N: usize>(&self, token: &str, now: Timestamp) -> Option<MailToken<N>> {
        let content = self.0.read(b"", token)?;
        let (user, rest) = content.split_first_chunk::<16>()?;
        let (numbers, until) = rest.split_last_chunk::<8>()?;
        let (numbers, []) = numbers.as_chunks::<4>() else { return None };
        let numbers = <[[u8; 4]; N]>::try_from(numbers).ok()?;
        let token = MailToken {
            user: UserId(Uuid::from_bytes(*user)),
            numbers: numbers.map(u32::from_be_bytes),
            until: Timestamp(i64::from_be_bytes(*until)),
        };
        (now <= token.until).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_was_signed_until_it_lapses() {
        let key = MailTokenKey::new(&TokenKey::derive(b"a secret"), "one");
        let (user, until) = (UserId(Uuid::now_v7()), Timestamp(1_000));
        let said = MailToken { user, numbers: [3, 7], until };
        let token = key.sign(said);
        assert_eq!(key.read::<2>(&token, Timestamp(1_000)), Some(said));
        assert_eq!(key.read::<2>(&token, Timestamp(1_001)), None);
        assert_eq!(key.read::<2>("bm9uZQ", Timestamp(0)), None);
        assert_eq!(key.read::<1>(&token, Timestamp(0)), None, "it has another number of numbers");
        let other = MailTokenKey::new(&TokenKey::derive(b"another"), "one");
        assert_eq!(other.read::<2>(&token, Timestamp(0)), None);
        let other = MailTokenKey::new(&TokenKey::derive(b"a secret"), "another");
        assert_eq!(other.read::<2>(&token, Timestamp(0)), None);
    }

    #[test]
    fn a_token_is_written_as_those_that_are_out_there() {
        let keys = TokenKey::derive(b"a secret");
        let said = MailToken { user: UserId(Uuid::nil()), numbers: [3], until: Timestamp(1_000) };
        let content = [&[0_u8; 16][..], &3_u32.to_be_bytes(), &1_000_i64.to_be_bytes()].concat();
        let token = keys.for_texts("one").sign(b"", &content);
        assert_eq!(MailTokenKey::new(&keys, "one").sign(said), token);
    }
}
