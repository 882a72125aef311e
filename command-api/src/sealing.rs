//! Secrets as they leave the process, into the database or to a client who brings them back: AES-256-GCM
//! under a key of the deployment's, with where they belong authenticated. Elsewhere they do not open.

use aes_gcm::aead::{Aead, Generate, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use zeroize::Zeroizing;

use crate::derived_key::derived;

/// How the bytes of what is sealed begin: this version's form.
const FORM: u8 = 1;

/// Bytes of the nonce.
pub(crate) const NONCE_LENGTH: usize = 12;

/// Seals and opens for one purpose; cheap to clone, and never printed.
#[derive(Clone)]
pub(crate) struct Sealing(Aes256Gcm);

impl Sealing {
    /// Derives the key of a purpose from the secret of sessions; other uses of the secret have other keys.
    pub(crate) fn derive(secret: &[u8], purpose: &str) -> Self {
        let key = Zeroizing::new(derived(secret, purpose));
        Self(Aes256Gcm::new((&*key).into()))
    }

    /// One byte of form (1), 12 of nonce, the ciphertext, 16 of tag. Sealed again, the same gives other bytes.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub(crate) fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        self.seal_with(Generate::generate(), place, plain)
    }

    /// What was sealed, unless it was under another secret, or for another purpose or place, or its bytes were
    /// changed.
    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&[FORM], rest) = sealed.split_first_chunk()? else { return None };
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = Payload { msg: ciphertext, aad: place };
        self.0.decrypt(&Nonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    #[expect(clippy::expect_used, reason = "only a text of 64 GiB is too long to be sealed")]
    fn seal_with(&self, nonce: [u8; NONCE_LENGTH], place: &[u8], plain: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: plain, aad: place };
        let ciphertext =
            self.0.encrypt(&Nonce::from(nonce), payload).expect("it is too long to be sealed");
        [&[FORM][..], &nonce, &ciphertext].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_purpose_and_place_under_its_secret_alone() {
        let sealing = Sealing::derive(b"a secret", "one purpose");
        let sealed = sealing.seal(b"here", b"a text");
        let opened = |by: &Sealing, place: &[u8]| by.open(place, &sealed).map(|text| text.to_vec());
        assert_eq!(opened(&sealing, b"here").as_deref(), Some(&b"a text"[..]));
        assert_eq!(opened(&sealing, b"there"), None);
        assert_eq!(opened(&Sealing::derive(b"a secret", "another purpose"), b"here"), None);
        assert_eq!(opened(&Sealing::derive(b"another secret", "one purpose"), b"here"), None);
    }

    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let sealing = Sealing::derive(b"a secret", "one purpose");
        let sealed = sealing.seal(b"here", b"a text");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealing.open(b"here", &changed).is_none(), "byte {at}");
            assert!(sealing.open(b"here", &sealed[..at]).is_none(), "{at} bytes");
        }
    }
}
