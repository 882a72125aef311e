//! The keys by which access tokens are verified.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::Unauthenticated;

/// A text is no JSON Web Key Set.
#[derive(Debug, thiserror::Error)]
#[error("the key set is not readable as a JSON Web Key Set")]
pub struct JwksError(#[source] serde_json::Error);

/// The secret of HS256 tokens and the public keys of EdDSA tokens. Never printed.
#[derive(Clone, Default)]
pub struct KeySet {
    hs256: Option<DecodingKey>,
    /// By `kid`: the public key as bytes, and as the verifier wants it.
    eddsa: BTreeMap<String, ([u8; 32], DecodingKey)>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    kid: String,
    x: String,
    r#use: Option<String>,
    alg: Option<String>,
}

impl KeySet {
    /// Keys for HS256 tokens alone.
    pub fn from_hs256_secret(secret: &[u8]) -> Self {
        Self { hs256: Some(DecodingKey::from_secret(secret)), eddsa: BTreeMap::new() }
    }

    /// The Ed25519 keys of a JSON Web Key Set; keys of other kinds are left out, as RFC 7517 asks, so
    /// that none may be left.
    ///
    /// # Errors
    /// [`JwksError`]
    pub fn from_jwks(text: &str) -> Result<Self, JwksError> {
        let jwks: Jwks = serde_json::from_str(text).map_err(JwksError)?;
        let eddsa = jwks.keys.into_iter().filter_map(ed25519_key).collect();
        Ok(Self { hs256: None, eddsa })
    }

    /// Ed25519 keys by their `kid`.
    pub fn from_public_keys(keys: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        let eddsa = keys.into_iter().map(|(kid, x)| (kid, (x, DecodingKey::from_ed_der(&x))));
        Self { hs256: None, eddsa: eddsa.collect() }
    }

    /// These keys and the others; of two with one `kid` that of `self`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.hs256 = self.hs256.or(other.hs256);
        for (kid, key) in other.eddsa {
            self.eddsa.entry(kid).or_insert(key);
        }
        self
    }

    /// The same keys without the public ones of these names.
    #[must_use]
    pub(crate) fn without(mut self, kids: &VecDeque<String>) -> Self {
        self.eddsa.retain(|kid, _| !kids.contains(kid));
        self
    }

    /// The names of the public keys.
    pub(crate) fn kids(&self) -> impl Iterator<Item = &str> {
        self.eddsa.keys().map(String::as_str)
    }

    /// True where no token can be verified.
    pub fn is_empty(&self) -> bool {
        self.hs256.is_none() && self.eddsa.is_empty()
    }

    /// True where both hold the same public keys.
    pub(crate) fn has_same_public_keys(&self, other: &Self) -> bool {
        let keys = |set: &'_ Self| -> Vec<(String, [u8; 32])> {
            set.eddsa.iter().map(|(kid, key)| (kid.clone(), key.0)).collect()
        };
        keys(self) == keys(other)
    }

    /// The one key for this algorithm and `kid`: a key is never used with another algorithm.
    pub(crate) fn find(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<&DecodingKey, Unauthenticated> {
        match algorithm {
            Algorithm::HS256 => self.hs256.as_ref().ok_or(Unauthenticated::AlgorithmNotAllowed),
            Algorithm::EdDSA => {
                let key = kid.and_then(|kid| self.eddsa.get(kid));
                key.map(|(_, key)| key).ok_or(Unauthenticated::UnknownKey)
            }
            _ => Err(Unauthenticated::AlgorithmNotAllowed),
        }
    }
}

fn ed25519_key(jwk: serde_json::Value) -> Option<(String, ([u8; 32], DecodingKey))> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let is_for_us = jwk.kty == "OKP"
        && jwk.crv == "Ed25519"
        && jwk.r#use.is_none_or(|r#use| r#use == "sig")
        && jwk.alg.is_none_or(|alg| alg == "EdDSA" || alg == "Ed25519")
        && !jwk.kid.is_empty();
    let x: [u8; 32] = URL_SAFE_NO_PAD.decode(jwk.x).ok()?.try_into().ok()?;
    is_for_us.then(|| (jwk.kid, (x, DecodingKey::from_ed_der(&x))))
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("hs256", &self.hs256.as_ref().map(|_| "[redacted]"))
            .field("eddsa", &self.eddsa.keys())
            .finish()
    }
}
