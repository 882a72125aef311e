//! One Ed25519 key: what it is called, what it signs, and from when on.

use std::fmt;

use aes_gcm::aead::Generate;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The public part of a key, as RFC 8032 writes it.
pub type PublicKey = [u8; 32];

/// The private part of a key. Never printed, and overwritten in memory when it is dropped.
pub struct PrivateKey(SigningKey);

/// A key that is published.
#[derive(Debug)]
pub struct Key {
    /// What it is called: its [thumbprint](kid_of).
    pub kid: String,
    /// The public part.
    pub public: PublicKey,
    /// From then on it signs, until another one does; before, it is only published.
    pub signs_from: Timestamp,
    /// The private part; `None` where it was sealed under another secret, so that it signs nothing here.
    pub private: Option<PrivateKey>,
}

impl PrivateKey {
    /// Bytes of a private key.
    pub const LENGTH: usize = 32;

    /// A new key from the randomness of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness, without which nothing may go on.
    pub fn generate() -> Self {
        let bytes: Zeroizing<[u8; Self::LENGTH]> = Zeroizing::new(Generate::generate());
        Self::from_bytes(&bytes)
    }

    /// A key as it was before it was sealed.
    pub(super) fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// What is sealed, and shown nowhere.
    pub(super) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }

    /// The public part.
    pub fn public(&self) -> PublicKey {
        self.0.verifying_key().to_bytes()
    }

    /// Signs with Ed25519; the same message has the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl Key {
    /// A new key.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub fn generate(signs_from: Timestamp) -> Self {
        let private = PrivateKey::generate();
        let public = private.public();
        Self { kid: kid_of(&public), public, signs_from, private: Some(private) }
    }
}

/// What a public key is called: its thumbprint (RFC 7638), so that a name stands for one key for ever.
pub fn kid_of(public: &PublicKey) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    // Members in the order of their names and without white space, as the RFC asks.
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let digest: [u8; 32] = Sha256::digest(members).into();
    URL_SAFE_NO_PAD.encode(digest)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of RFC 8037, appendix A, and its thumbprint there.
    const PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn of_the_rfc() -> PrivateKey {
        PrivateKey::from_bytes(&URL_SAFE_NO_PAD.decode(PRIVATE).unwrap().try_into().unwrap())
    }

    #[test]
    fn a_key_is_called_by_its_thumbprint() {
        let public = of_the_rfc().public();
        assert_eq!(URL_SAFE_NO_PAD.encode(public), PUBLIC);
        assert_eq!(kid_of(&public), KID);
    }

    #[test]
    fn it_signs_as_the_rfc_does() {
        let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(URL_SAFE_NO_PAD.encode(of_the_rfc().sign(message.as_bytes())), signature);
    }

    #[test]
    fn new_keys_are_never_the_same() {
        let (one, other) = (Key::generate(Timestamp(0)), Key::generate(Timestamp(0)));
        assert_ne!(one.kid, other.kid);
        assert_eq!(one.kid, kid_of(&one.public));
    }

    #[test]
    fn a_private_key_is_never_printed() {
        let key = Key { private: Some(of_the_rfc()), ..Key::generate(Timestamp(7)) };
        let printed = format!("{key:?}");
        let bytes = format!("{:?}", of_the_rfc().as_bytes());
        assert!(printed.contains("PrivateKey([redacted])"), "{printed}");
        assert!(!printed.contains(PRIVATE) && !printed.contains(bytes.trim_matches(['[', ']'])));
    }
}
