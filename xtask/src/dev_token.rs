//! Access tokens for the `dev` profile, as an identity provider would mint them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

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

/// A token as those that are given out: of a user's session, so that it is looked for among what was revoked.
///
/// # Errors
/// The claims cannot be encoded.
pub fn mint_of_session() -> Result<String> {
    let (sub, sid) = (Uuid::now_v7().to_string(), Some(Uuid::now_v7().to_string()));
    Claims { sub, sid, user_version: Some(1), ..Claims::tester(LIFETIME) }.sign(SECRET)
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
    /// The session that it was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The version of the user's stream when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_version: Option<u64>,
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
            sid: None,
            user_version: None,
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
