//! Private keys as the database holds them: AES-256-GCM under a key of the deployment's, with the key's
//! name authenticated. A copy of the database signs nothing, and a sealed key opens in its own row alone.

use std::fmt;

use super::key::PrivateKey;
use crate::sealing::Sealing;

/// Seals and opens private keys; cheap to clone, and never printed.
#[derive(Clone)]
pub struct SealingKey(Sealing);

impl SealingKey {
    /// Derives the key from a secret; other uses of the secret have other keys.
    pub fn derive(secret: &[u8]) -> Self {
        Self(Sealing::derive(secret, "signing-keys"))
    }

    /// One byte of form (1), 12 of nonce, the ciphertext, 16 of tag. Sealed again, a key gives other bytes.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub(super) fn seal(&self, kid: &str, private: &PrivateKey) -> Vec<u8> {
        self.0.seal(kid.as_bytes(), private.as_bytes())
    }

    /// The private key, unless it was sealed under another secret or name, or its bytes were changed.
    pub(super) fn open(&self, kid: &str, sealed: &[u8]) -> Option<PrivateKey> {
        let opened = self.0.open(kid.as_bytes(), sealed)?;
        Some(PrivateKey::from_bytes(opened.as_slice().try_into().ok()?))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::NONCE_LENGTH;

    fn sealing() -> SealingKey {
        SealingKey::derive(b"a secret")
    }

    fn opened(sealing: &SealingKey, kid: &str, sealed: &[u8]) -> Option<[u8; 32]> {
        sealing.open(kid, sealed).map(|private| *private.as_bytes())
    }

    #[test]
    fn a_sealed_key_opens_under_its_name_and_secret_alone() {
        let private = PrivateKey::generate();
        let sealed = sealing().seal("one", &private);
        assert_eq!(opened(&sealing(), "one", &sealed), Some(*private.as_bytes()));
        assert_eq!(opened(&sealing(), "two", &sealed), None);
        let other = SealingKey::derive(b"another secret");
        assert_eq!(opened(&other, "one", &sealed), None);
    }

    #[test]
    fn a_sealed_key_with_any_byte_changed_does_not_open() {
        let sealed = sealing().seal("one", &PrivateKey::generate());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&sealing(), "one", &changed), None, "byte {at}");
            assert_eq!(opened(&sealing(), "one", &sealed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn what_is_sealed_cannot_be_read_and_never_repeats() {
        let private = PrivateKey::generate();
        let (one, other) = (sealing().seal("one", &private), sealing().seal("one", &private));
        assert_ne!(one, other);
        assert_eq!(one.len(), 1 + NONCE_LENGTH + PrivateKey::LENGTH + 16);
        assert!(!one.windows(8).any(|bytes| private.as_bytes().starts_with(bytes)));
        assert_eq!(format!("{:?}", sealing()), "SealingKey([redacted])");
    }
}
