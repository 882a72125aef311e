//! How Redis is reached.

use std::fmt;
use std::time::Duration;

use fred::types::config::{Config, TlsConnector};
use native_tls::Certificate;
use settings::{Authorities, Prefix, Settings, table};

use crate::key::Keys;

/// Where the cache is and how long its users wait for it.
#[derive(Clone)]
pub struct CacheConfig {
    pub(crate) redis: Config,
    /// The names of this deployment's keys.
    pub keys: Keys,
    /// How long a read waits, for each call.
    pub read_timeout: Duration,
    /// How long a writer waits, for each call.
    pub write_timeout: Duration,
}

impl CacheConfig {
    /// The same as [`Self::from_settings`], unless `MILLRACE_CACHE` switches the cache off.
    pub fn if_on(settings: &mut Settings) -> Option<Self> {
        let config = Self::from_settings(settings);
        (settings.text(&table::CACHE) == "on").then_some(config)
    }

    /// Reads `REDIS_URL`, the time-outs and the deployment's prefix.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let url = settings.text(&table::REDIS_URL);
        let mut redis = parse(&url).unwrap_or_else(|| {
            // Without the text: it may hold a password.
            settings.fault(format!(
                "{} must be redis://[[user:]password@]host[:port][/database], or the same with \
                 rediss:// for TLS",
                table::REDIS_URL.name
            ));
            Config::default()
        });
        if let Some(authorities) = Authorities::from_settings(settings).filter(|_| redis.uses_tls())
        {
            match believing(&authorities) {
                Ok(connector) => redis.tls = Some(connector.into()),
                Err(error) => settings.fault(format!("{}: {error}", table::TLS_CA_PATH.name)),
            }
        }
        Self {
            redis,
            keys: Keys::new(&Prefix::from_settings(settings)),
            read_timeout: settings.millis(&table::CACHE_READ_TIMEOUT),
            write_timeout: settings.millis(&table::CACHE_WRITE_TIMEOUT),
        }
    }
}

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheConfig")
            .field("keys", &self.keys)
            .field("read_timeout", &self.read_timeout)
            .field("write_timeout", &self.write_timeout)
            .finish_non_exhaustive()
    }
}

fn parse(url: &str) -> Option<Config> {
    // Scripts touch keys of several slots, so that a cluster would refuse them.
    let schemes = ["redis://", "rediss://", "valkey://", "valkeys://"];
    schemes.iter().any(|scheme| url.starts_with(scheme)).then_some(())?;
    let mut config = Config::from_url_centralized(url).ok()?;
    // A process starts while Redis is away.
    config.fail_fast = false;
    Some(config)
}

/// A connector that believes these authorities and no others.
fn believing(authorities: &Authorities) -> Result<TlsConnector, native_tls::Error> {
    let mut connector = native_tls::TlsConnector::builder();
    connector.disable_built_in_roots(true);
    for certificate in authorities.certificates() {
        connector.add_root_certificate(Certificate::from_pem(certificate.as_bytes())?);
    }
    connector.build().map(TlsConnector::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<CacheConfig, settings::SettingsError> {
        let variable = (table::REDIS_URL.name.to_owned(), url.to_owned());
        let mut settings = Settings::new([variable]);
        let config = CacheConfig::from_settings(&mut settings);
        settings.finish(config)
    }

    #[test]
    fn a_url_names_host_port_and_database() {
        let config = read("redis://ann:hunter2@cache:6380/3").unwrap();
        assert_eq!(config.redis.database, Some(3));
        assert_eq!(config.redis.username.as_deref(), Some("ann"));
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(read("rediss://cache").unwrap().redis.uses_tls());
    }

    #[test]
    fn a_cluster_or_a_text_that_is_no_url_is_refused_without_being_shown() {
        for url in ["redis-cluster://u:hunter2@h:1", "http://u:hunter2@h", "h:6379", "redis://h/x"]
        {
            let error = read(url).unwrap_err().to_string();
            assert!(error.contains("REDIS_URL must be"), "{url}");
            assert!(!error.contains("hunter2"));
        }
    }
}
