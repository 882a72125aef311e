//! What query-api runs with.

use std::time::Duration;

use access::AccessConfig;
use consistency_token::TokenKey;
use lifecycle::{HttpConfig, Shutdown};
use read_models::database::{DatabaseConfig, event_store_schema};
use settings::{Prefix, Settings, table};

use crate::cache::{CacheSettings, Ttls};
use crate::consistency::Waits;
use crate::export::ExportLimits;
use crate::lookups::LookupLimits;
use crate::page::PageLimits;
use crate::{resource, user};

/// What query-api runs with.
pub struct Config {
    /// Where it listens and what it allows a client.
    pub http: HttpConfig,
    /// Which access tokens are taken.
    pub access: AccessConfig,
    /// The key of consistency tokens.
    pub tokens: TokenKey,
    /// The database and its role.
    pub database: DatabaseConfig,
    /// How long it may take to stop.
    pub drain: Duration,
    pub(crate) cache: Option<CacheSettings>,
    pub(crate) ttls: Ttls,
    pub(crate) lookups: LookupLimits,
    pub(crate) page_lookups: LookupLimits,
    pub(crate) pages: PageLimits,
    pub(crate) exports: ExportLimits,
    /// Silence after which a device is offline.
    pub(crate) offline_after: Duration,
    pub(crate) waits: Waits,
    pub(crate) max_waiting: usize,
    /// The topic of the `resource` view.
    pub(crate) resource_topic: String,
    /// The topic of the `user` view.
    pub(crate) user_topic: String,
    /// The Postgres schema of decisions.
    pub(crate) event_store: String,
}

impl Config {
    /// Reads the settings; what is wrong or contradictory is noted as a fault.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let prefix = Prefix::from_settings(settings);
        let config = Self {
            http: HttpConfig::from_settings(settings, &table::QUERY_API_BIND),
            access: AccessConfig::from_settings(settings),
            tokens: TokenKey::from_settings(settings),
            database: DatabaseConfig::from_settings(settings, &prefix),
            drain: Shutdown::budget(settings),
            cache: CacheSettings::from_settings(settings),
            ttls: Ttls::from_settings(settings),
            lookups: LookupLimits {
                connections: settings.size(&table::QUERY_API_CONNECTIONS),
                queued: settings.size(&table::QUERY_API_QUEUED_READS),
                timeout: settings.millis(&table::QUERY_API_READ_TIMEOUT),
            },
            page_lookups: LookupLimits {
                connections: settings.size(&table::QUERY_API_PAGE_CONNECTIONS),
                queued: settings.size(&table::QUERY_API_MAX_PAGES),
                timeout: settings.millis(&table::QUERY_API_READ_TIMEOUT),
            },
            pages: PageLimits::from_settings(settings),
            exports: ExportLimits::from_settings(settings),
            offline_after: settings.millis(&table::OFFLINE_AFTER),
            waits: Waits {
                usual: settings.millis(&table::QUERY_API_DEFAULT_WAIT),
                longest: settings.millis(&table::QUERY_API_MAX_WAIT),
            },
            max_waiting: settings.size(&table::QUERY_API_WAITING_READS),
            resource_topic: prefix.dotted(resource::TOPIC),
            user_topic: prefix.dotted(user::TOPIC),
            event_store: event_store_schema(&prefix),
        };
        config.check(settings);
        config
    }

    fn check(&self, settings: &mut Settings) {
        if self.waits.usual > self.waits.longest {
            settings.fault(format!(
                "{} must not be longer than {}",
                table::QUERY_API_DEFAULT_WAIT.name,
                table::QUERY_API_MAX_WAIT.name
            ));
        }
        if self.waits.longest + self.lookups.timeout >= self.http.request_timeout {
            settings.fault(format!(
                "{} and {} together must be shorter than {}",
                table::QUERY_API_MAX_WAIT.name,
                table::QUERY_API_READ_TIMEOUT.name,
                table::HTTP_REQUEST_TIMEOUT.name
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(variables: &[(&str, &str)]) -> Vec<String> {
        let fixed = [("MILLRACE_PROFILE", "dev"), ("DATABASE_URL", "postgres://q:q@127.0.0.1/d")];
        let pairs = fixed.iter().chain(variables);
        let mut settings = Settings::new(pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let config = Config::from_settings(&mut settings);
        settings.finish(config).map_or_else(|error| error.0, |_| Vec::new())
    }

    #[test]
    fn the_dev_profile_needs_a_database_and_nothing_else() {
        assert_eq!(faults(&[]), Vec::<String>::new());
    }

    #[test]
    fn waits_that_contradict_each_other_are_named() {
        let faults = faults(&[
            ("MILLRACE_QUERY_API_DEFAULT_WAIT_MS", "3000"),
            ("MILLRACE_QUERY_API_MAX_WAIT_MS", "2900"),
            ("MILLRACE_HTTP_REQUEST_TIMEOUT_MS", "4900"),
            ("MILLRACE_HTTP_BODY_TIMEOUT_MS", "1000"),
        ]);
        assert_eq!(
            faults,
            [
                "MILLRACE_QUERY_API_DEFAULT_WAIT_MS must not be longer than MILLRACE_QUERY_API_MAX_WAIT_MS",
                "MILLRACE_QUERY_API_MAX_WAIT_MS and MILLRACE_QUERY_API_READ_TIMEOUT_MS together must be shorter than MILLRACE_HTTP_REQUEST_TIMEOUT_MS",
            ]
        );
    }
}
