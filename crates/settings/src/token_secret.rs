//! The secret that a deployment shares among its processes.

use std::fmt;

use crate::{Settings, table};

/// The secret of the `dev` profile.
const DEV_SECRET: &str = "local-dev-token-secret";

/// Shortest secret outside the `dev` profile, in bytes.
const MIN_BYTES: usize = 32;

/// The secret that is the same in every process of a deployment. Each use derives a key of its own
/// from it. Never printed.
#[derive(Clone)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// Reads `MILLRACE_TOKEN_SECRET`, which only the `dev` profile does without.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let is_dev = settings.text(&table::PROFILE) == "dev";
        let name = table::TOKEN_SECRET.name;
        let secret = settings.optional_text(&table::TOKEN_SECRET);
        match &secret {
            None if !is_dev => settings.fault(format!(
                "{name} is required in the production profile: {}",
                table::TOKEN_SECRET.about
            )),
            Some(secret) if !is_dev && secret.len() < MIN_BYTES => {
                settings
                    .fault(format!("{name} must have at least {MIN_BYTES} bytes in production"));
            }
            _ => {}
        }
        Self(secret.unwrap_or_else(|| DEV_SECRET.to_owned()))
    }

    /// What keys are derived from.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret([redacted])")
    }
}
