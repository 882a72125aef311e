//! The key that signs.

use std::fmt;

use hmac::{Hmac, Mac};
use settings::{Settings, TokenSecret, keyed};
use sha2::Sha256;

/// What of a SHA-256 MAC is kept.
pub(crate) const MAC_BYTES: usize = 16;

/// The key by which this deployment knows its own tokens; cheap to clone, and never printed.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// Derives the key from the secret that signs what readers send back; other uses of the secret
    /// have other keys.
    pub fn derive(secret: &[u8]) -> Self {
        let derived = keyed(secret).chain_update(b"consistency-token").finalize().into_bytes();
        Self(keyed(&derived))
    }

    /// Reads `MILLRACE_TOKEN_SECRET`, which only the `dev` profile does without.
    pub fn from_settings(settings: &mut Settings) -> Self {
        Self::derive(TokenSecret::from_settings(settings).as_bytes())
    }

    /// What a key of another kind is derived from. A token's MAC is over other bytes: they begin with
    /// its version.
    pub(crate) fn mac_of_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn mac(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        let whole = self.0.clone().chain_update(bytes).finalize().into_bytes();
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&whole[..MAC_BYTES]);
        mac
    }

    /// True where the MAC is that of the bytes; takes the same time wherever they differ.
    pub(crate) fn verifies(&self, bytes: &[u8], mac: &[u8]) -> bool {
        self.0.clone().chain_update(bytes).verify_truncated_left(mac).is_ok()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey([redacted])")
    }
}
