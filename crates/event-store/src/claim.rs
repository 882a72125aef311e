//! Claims on unique values, such as a user name.
//!
//! The store keeps a keyed hash of the normalised value, so that it can tell whether a value is taken and
//! nobody can read which values are. Under another key the claims would protect nothing: the store
//! remembers what the key is [known by](ClaimKey::fingerprint) and is closed under any other.

use std::fmt;

use domain::Timestamp;
use hmac::{Hmac, Mac};
use settings::{Settings, TokenSecret, keyed};
use sha2::Sha256;

/// A keyed hash of a value.
pub type Digest = [u8; 32];

/// A value that a stream may have a claim on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimOf {
    /// What kind of value.
    pub kind: &'static str,
    /// The value.
    pub digest: Digest,
}

/// What a decision does to the claims of its stream. A stream has at most one claim of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Takes a value, in place of the one that the stream may have; refused while another stream has it.
    Take {
        /// What kind of value.
        kind: &'static str,
        /// The value.
        digest: Digest,
        /// When it is taken.
        taken_at: Timestamp,
        /// When another stream may take it, unless it is confirmed.
        lapses_at: Option<Timestamp>,
    },
    /// Keeps the stream's value for good; refused where it has lapsed and another stream has it.
    Confirm {
        /// What kind of value.
        kind: &'static str,
    },
    /// Gives the stream's value back, if it has one.
    Release {
        /// What kind of value.
        kind: &'static str,
    },
}

impl Claim {
    /// What kind of value it is about.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Take { kind, .. } | Self::Confirm { kind } | Self::Release { kind } => kind,
        }
    }
}

/// The key of a deployment's claims; cheap to clone, and never printed.
#[derive(Clone)]
pub struct ClaimKey(Hmac<Sha256>);

impl ClaimKey {
    /// Derives the key from a secret; other uses of the secret have other keys.
    pub fn derive(secret: &[u8]) -> Self {
        let derived = keyed(secret).chain_update(b"claims").finalize().into_bytes();
        Self(keyed(&derived))
    }

    /// Derives it from the deployment's secret.
    pub fn from_settings(settings: &mut Settings) -> Self {
        Self::derive(TokenSecret::from_settings(settings).as_bytes())
    }

    /// The hash of a value that is normalised, among those of its kind.
    pub fn digest(&self, kind: &str, value: &str) -> Digest {
        self.hash(&[b"claim", kind.as_bytes(), value.as_bytes()])
    }

    /// A hash of a request's body, by which it is told from another one.
    pub fn body_hash(&self, body: &[u8]) -> Digest {
        self.hash(&[b"body", body])
    }

    /// What the key is known by.
    pub fn fingerprint(&self) -> Digest {
        self.hash(&[b"fingerprint"])
    }

    fn hash(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_another_hash_under_another_kind_or_key() {
        let (key, other) = (ClaimKey::derive(b"a secret"), ClaimKey::derive(b"another"));
        let digest = key.digest("email", "ann@example.org");
        assert_eq!(digest, key.digest("email", "ann@example.org"));
        assert_ne!(digest, key.digest("username", "ann@example.org"));
        assert_ne!(digest, other.digest("email", "ann@example.org"));
        assert_ne!(key.digest("ab", "c"), key.digest("a", "bc"));
        assert_ne!(key.fingerprint(), other.fingerprint());
        assert_eq!(format!("{key:?}"), "ClaimKey([redacted])");
    }
}
