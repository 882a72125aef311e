//! Access tokens, right and wrong ones.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// An access token that is to be signed.
#[derive(Debug, Clone)]
pub struct AccessToken {
    claims: Value,
}

impl AccessToken {
    /// The requirement documents' tester: a device and a user for an hour, and no other claim.
    pub fn tester() -> Self {
        let exp = now() + 3600;
        Self { claims: json!({"sub": "device-tester", "roles": ["device", "user"], "exp": exp}) }
    }

    /// With another claim, or another value of one.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Of a device that may speak for itself only.
    #[must_use]
    pub fn device(self, device_id: &str) -> Self {
        self.claim("device_id", device_id)
    }

    /// With these roles.
    #[must_use]
    pub fn roles(self, roles: &[&str]) -> Self {
        self.claim("roles", roles)
    }

    /// Issued now. Those that the deployment's own keys sign say when.
    #[must_use]
    pub fn issued_now(self) -> Self {
        self.claim("iat", now())
    }

    /// Ended this many seconds ago.
    #[must_use]
    pub fn expired(self, seconds_ago: u64) -> Self {
        self.claim("exp", now() - seconds_ago)
    }

    /// Good no earlier than in so many seconds.
    #[must_use]
    pub fn not_before(self, seconds: u64) -> Self {
        self.claim("nbf", now() + seconds)
    }

    /// Signed with the secret of the `dev` profile.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn sign(&self) -> Result<String> {
        self.sign_with("local-dev-secret")
    }

    /// Signed with another secret.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn sign_with(&self, secret: impl AsRef<[u8]>) -> Result<String> {
        let key = EncodingKey::from_secret(secret.as_ref());
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, &self.claims, &key).context("signing an access token")
    }

    /// Signed with an Ed25519 key, by its 32 bytes in base64url, that the verifier knows under a
    /// name.
    ///
    /// # Errors
    /// The key is none.
    pub fn sign_eddsa(&self, seed: &str, kid: &str) -> Result<String> {
        /// What comes before the bytes of a private Ed25519 key in PKCS #8.
        const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        let seed = URL_SAFE_NO_PAD.decode(seed).context("reading the private key")?;
        let key = EncodingKey::from_ed_der(&[PKCS8, &seed].concat());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        header.typ = Some("at+jwt".to_owned());
        jsonwebtoken::encode(&header, &self.claims, &key).context("signing an access token")
    }

    /// With any header and any text in place of the signature.
    pub fn forged(&self, header: &Value, signature: &str) -> String {
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        format!("{}.{}.{signature}", part(header), part(&self.claims))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
