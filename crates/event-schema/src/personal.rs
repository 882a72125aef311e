//! Personal fields in the log: sealed with a key of the person's own, so that they become
//! unreadable everywhere at once when that key is destroyed.
//!
//! A sealed text is AES-256-GCM under the subject's key. What it belongs to, the event's id and the
//! field's name, is authenticated with it: moved elsewhere it does not open. How long a text is can
//! be told from outside.

use std::fmt;

use aes_gcm::aead::{Aead, Generate, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use uuid::Uuid;
use zeroize::Zeroize;

/// The attribute that marks a field as personal in a schema; its value names the field that holds
/// whose it is.
pub const MARK: &str = "millrace.personal";

/// How the bytes of a sealed text begin: this version's form.
const FORM: u8 = 1;
const NONCE_LENGTH: usize = 12;

/// The key to what the log holds of one person. Overwritten in memory when it is dropped.
pub struct SubjectKey([u8; Self::LENGTH]);

/// A text that only a subject's key opens, and only where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The event that brought it. A state holds texts of several events.
    pub event_id: Uuid,
    /// The field it stands in.
    pub field: &'static str,
    /// One byte of form (1), 12 of nonce, the ciphertext, 16 of tag.
    pub bytes: Vec<u8>,
}

impl SubjectKey {
    /// Bytes of a key.
    pub const LENGTH: usize = 32;

    /// A new key from the randomness of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness, without which nothing may go on.
    pub fn generate() -> Self {
        Self(Generate::generate())
    }

    /// A key as it was stored.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The key as it is stored, and shown nowhere.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Seals the text of a field of an event. Sealed again, the same text gives other bytes.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub fn seal(&self, event_id: Uuid, field: &'static str, text: &str) -> Sealed {
        let bytes = self.seal_with(Generate::generate(), event_id, field, text);
        Sealed { event_id, field, bytes }
    }

    /// The text, unless this is not the key, or the bytes were changed, or belong elsewhere. With
    /// the right key at hand that is a fault of the record, and never an erased person.
    pub fn open(&self, sealed: &Sealed) -> Option<String> {
        let (&[FORM], rest) = sealed.bytes.split_first_chunk()? else {
            return None;
        };
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LENGTH>()?;
        let place = place(sealed.event_id, sealed.field);
        let payload = Payload { msg: ciphertext, aad: &place };
        let text = self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()?;
        String::from_utf8(text).ok()
    }

    #[expect(clippy::expect_used, reason = "only a text of 64 GiB is too long to be sealed")]
    fn seal_with(
        &self,
        nonce: [u8; NONCE_LENGTH],
        event_id: Uuid,
        field: &str,
        text: &str,
    ) -> Vec<u8> {
        let place = place(event_id, field);
        let payload = Payload { msg: text.as_bytes(), aad: &place };
        let ciphertext =
            self.cipher().encrypt(&Nonce::from(nonce), payload).expect("the text is too long");
        [&[FORM][..], &nonce, &ciphertext].concat()
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&self.0).into())
    }
}

impl Drop for SubjectKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(..)")
    }
}

/// Where a text belongs, as associated data: 16 bytes of the event's id, then the field's name.
fn place(event_id: Uuid, field: &str) -> Vec<u8> {
    [event_id.as_bytes(), field.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
