//! Access tokens for the `dev` profile, as an identity provider would mint them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// The secret that the `dev` profile takes for HS256.
pub const SECRET: &str = "local-dev-secret";

/// A week: a token in a terminal that stays open should not end at lunch.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The token that `.local/env` offers.
///
/// # Errors
/// The claims cannot be encoded.
pub fn mint() -> Result<String> {
    Claims::tester(LIFETIME).sign(SECRET)
}

/// The token of somebody who may do what admins may, which `.local/env` offers too.
///
/// # Errors
/// The claims cannot be encoded.
pub fn mint_admin() -> Result<String> {
    let roles = ["user", "admin"].map(str::to_owned).to_vec();
    Claims { sub: "local-admin".to_owned(), roles, ..Claims::tester(LIFETIME) }.sign(SECRET)
}

/// What a token says.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// Whom it was given to.
    pub sub: String,
    /// What they may do.
    pub roles: Vec<String>,
    /// The only device they may write and read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Seconds since the epoch at which it ends.
    pub exp: u64,
}

impl Claims {
    /// The requirement documents' tester: a device and a user, for as long as said from now.
    pub fn tester(lifetime: Duration) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            sub: "device-tester".to_owned(),
            roles: vec!["device".to_owned(), "user".to_owned()],
            device_id: None,
            exp: (since_epoch + lifetime).as_secs(),
        }
    }

    /// The token, signed with HS256.
    ///
    /// # Errors
    /// The claims cannot be encoded.
    pub fn sign(&self, secret: &str) -> Result<String> {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), self, &key)
            .context("signing an access token")
    }
}
