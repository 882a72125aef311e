//! What an authenticator app and we share.

use std::fmt;

use aes_gcm::aead::Generate;
use domain::Timestamp;
use zeroize::Zeroizing;

use super::{base32, totp};

/// The secret that codes follow from. Never printed, and wiped from memory when dropped.
pub(super) struct Secret(Zeroizing<[u8; Self::LENGTH]>);

impl Secret {
    /// Its bytes.
    pub(super) const LENGTH: usize = totp::SECRET_BYTES;

    /// A new one from the randomness of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub(super) fn generate() -> Self {
        Self(Zeroizing::new(Generate::generate()))
    }

    /// As it was before it was sealed.
    pub(super) fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// What is sealed.
    pub(super) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// As people type it into an app that reads no picture.
    pub(super) fn shown(&self) -> String {
        base32::encoded(self.as_bytes())
    }

    /// The step whose code this is, if it is good now: after the last step that was taken.
    pub(super) fn step_of(&self, code: u32, now: Timestamp, last: u64) -> Option<u64> {
        totp::step_of(self.as_bytes(), code, totp::step_at(now), last)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_secrets_are_never_the_same_and_never_printed() {
        let (one, other) = (Secret::generate(), Secret::generate());
        assert_ne!(one.as_bytes(), other.as_bytes());
        assert_eq!(one.shown().len(), 32);
        assert_eq!(format!("{one:?}"), "Secret([redacted])");
    }

    #[test]
    fn a_secret_comes_back_as_it_was() {
        let secret = Secret::from_bytes(b"12345678901234567890");
        assert_eq!(secret.shown(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(secret.step_of(287_082, Timestamp(59_000_000), 0), Some(1));
    }
}
