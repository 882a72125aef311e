//! What decides which access tokens are taken.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use settings::{Settings, table};

use crate::KeySet;
use crate::actor::ActorKey;
use crate::claims::ClaimRules;

/// The HS256 secret that everybody knows.
const DEV_SECRET: &str = "local-dev-secret";

/// Shortest HS256 secret outside the `dev` profile, in bytes (RFC 7518, 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Which access tokens are taken.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    pub(crate) rules: ClaimRules,
    /// The secret's key and those of the file.
    pub(crate) keys: KeySet,
    pub(crate) hs256: KeySet,
    pub(crate) cache_entries: usize,
    pub(crate) jwks_path: Option<PathBuf>,
    pub(crate) jwks_url: Option<JwksUrl>,
    pub(crate) refresh_every: Duration,
}

/// Where public keys are fetched; shown without user and password.
#[derive(Clone)]
pub(crate) struct JwksUrl(pub(crate) reqwest::Url);

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&settings::without_userinfo(self.0.as_str()))
    }
}

impl AccessConfig {
    /// Reads the settings of access tokens, and the file with public keys where one is named.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let is_dev = settings.text(&table::PROFILE) == "dev";
        let leeway = settings.millis(&table::ACCESS_TOKEN_LEEWAY).as_secs();
        let rules = ClaimRules {
            issuer: settings.text(&table::JWT_ISSUER),
            audience: settings.text(&table::JWT_AUDIENCE),
            leeway: i64::try_from(leeway).unwrap_or_default(),
            may_be_absent: is_dev,
            actors: ActorKey::from_settings(settings),
        };
        let jwks_path = settings.optional_text(&table::JWKS_PATH).map(PathBuf::from);
        let jwks_url = jwks_url(settings);
        let has_jwks = jwks_path.is_some() || jwks_url.is_some();
        let hs256 = hs256(settings, is_dev, has_jwks);
        let file = jwks_path.as_ref().map(|path| read_jwks(settings, path)).unwrap_or_default();
        Self {
            rules,
            keys: file.and(hs256.clone()),
            hs256,
            cache_entries: settings.size(&table::ACCESS_TOKEN_CACHE),
            jwks_path,
            jwks_url,
            refresh_every: settings.millis(&table::JWKS_REFRESH),
        }
    }
}

fn hs256(settings: &mut Settings, is_dev: bool, has_jwks: bool) -> KeySet {
    let name = table::JWT_SECRET.name;
    match settings.optional_text(&table::JWT_SECRET) {
        Some(secret) if is_dev => KeySet::from_hs256_secret(secret.as_bytes()),
        None if is_dev => KeySet::from_hs256_secret(DEV_SECRET.as_bytes()),
        Some(secret) if secret == DEV_SECRET => {
            settings.fault(format!("{name} is the secret of the dev profile; choose another"));
            KeySet::default()
        }
        Some(secret) if secret.len() < MIN_SECRET_BYTES => {
            settings
                .fault(format!("{name} must have at least {MIN_SECRET_BYTES} bytes in production"));
            KeySet::default()
        }
        Some(secret) => KeySet::from_hs256_secret(secret.as_bytes()),
        None => {
            if !has_jwks {
                settings.fault(format!(
                    "no access token could be verified: set {}, {} or {name}",
                    table::JWKS_URL.name,
                    table::JWKS_PATH.name
                ));
            }
            KeySet::default()
        }
    }
}

fn jwks_url(settings: &mut Settings) -> Option<JwksUrl> {
    let text = settings.optional_text(&table::JWKS_URL)?;
    let url =
        reqwest::Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    if url.is_none() {
        settings.fault(format!("{} must be an http or https address", table::JWKS_URL.name));
    }
    url.map(JwksUrl)
}

fn read_jwks(settings: &mut Settings, path: &PathBuf) -> KeySet {
    let name = table::JWKS_PATH.name;
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            settings.fault(format!("{name} cannot be read ({}): {error}", path.display()));
            return KeySet::default();
        }
    };
    match KeySet::from_jwks(&text) {
        // Later the file may withdraw every key; to begin so is a mistake.
        Ok(keys) if keys.is_empty() => settings.fault(format!(
            "{name} holds no Ed25519 key with a `kid` for signatures ({})",
            path.display()
        )),
        Ok(keys) => return keys,
        Err(error) => settings.fault(format!("{name} is wrong ({}): {error}", path.display())),
    }
    KeySet::default()
}
