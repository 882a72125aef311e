//! What decides which access tokens are taken.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use settings::{Settings, table};

use crate::KeySet;
use crate::actor::ActorKey;
use crate::claims::ClaimRules;
use crate::revocations::WhenUnknown;

/// The HS256 secret that everybody knows.
const DEV_SECRET: &str = "local-dev-secret";

/// Which access tokens are taken.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    pub(crate) rules: ClaimRules,
    /// The secret's key, in the `dev` profile.
    pub(crate) hs256: KeySet,
    /// The keys of the file, as it was at the start.
    pub(crate) file: KeySet,
    pub(crate) when_unknown: WhenUnknown,
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
        let own_lifetime = settings.seconds(&table::ACCESS_TOKEN_LIFETIME).as_secs();
        let rules = ClaimRules {
            issuer: settings.text(&table::JWT_ISSUER),
            audience: settings.text(&table::JWT_AUDIENCE),
            leeway: i64::try_from(leeway).unwrap_or_default(),
            may_be_absent: is_dev,
            own_lifetime: i64::try_from(own_lifetime).unwrap_or_default(),
            actors: ActorKey::from_settings(settings),
        };
        let jwks_path = settings.optional_text(&table::JWKS_PATH).map(PathBuf::from);
        let jwks_url = jwks_url(settings);
        let hs256 = hs256(settings, is_dev);
        let file = jwks_path.as_ref().map(|path| read_jwks(settings, path)).unwrap_or_default();
        Self {
            rules,
            hs256,
            file,
            when_unknown: when_unknown(settings),
            cache_entries: settings.size(&table::ACCESS_TOKEN_CACHE),
            jwks_path,
            jwks_url,
            refresh_every: settings.millis(&table::JWKS_REFRESH),
        }
    }
}

fn when_unknown(settings: &mut Settings) -> WhenUnknown {
    match settings.text(&table::REVOCATIONS_UNKNOWN).as_str() {
        "allow" => WhenUnknown::Allow,
        "refuse-all" => WhenUnknown::RefuseAll,
        _ => WhenUnknown::RefuseAdmin,
    }
}

/// The key of the `dev` profile. Elsewhere there is none, whatever its secret: whoever verifies by a secret can sign
/// with it as well, and what they sign nobody can take back.
fn hs256(settings: &mut Settings, is_dev: bool) -> KeySet {
    let given = settings.optional_text(&table::JWT_SECRET);
    if is_dev {
        return KeySet::from_hs256_secret(given.as_deref().unwrap_or(DEV_SECRET).as_bytes());
    }
    if given.is_some() {
        let names = settings.set_by(&table::JWT_SECRET).join(", ");
        let (url, path) = (table::JWKS_URL.name, table::JWKS_PATH.name);
        settings.fault(format!(
            "{names} must be absent outside the dev profile, which alone takes HS256 access tokens: in production \
             command-api signs with EdDSA keys of its own, and {url} or {path} names the public keys of other issuers"
        ));
    }
    KeySet::default()
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
