//! What query-api runs with.

use std::time::Duration;

use access::AccessConfig;
use access::identity::IdentityDatabase;
use consistency_token::TokenKey;
use domain::session::SessionLife;
use lifecycle::http::RateLimitConfig;
use lifecycle::{HttpConfig, Shutdown};
use read_models::database::{DatabaseConfig, event_store_schema, identity_schema};
use settings::{Prefix, Settings, table};

use crate::cache::{CacheSettings, Ttls};
use crate::consistency::Waits;
use crate::export::ExportLimits;
use crate::lookups::LookupLimits;
use crate::page::PageLimits;
use crate::{resource, session, user};

/// What query-api runs with. Printed, it tells no secret.
#[derive(Debug)]
pub struct Config {
    /// Where it listens and what it allows a client.
    pub http: HttpConfig,
    /// How much callers may ask for; `None` where that is not limited.
    pub(crate) rate_limits: Option<RateLimitConfig>,
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
    pub(crate) place_lookups: LookupLimits,
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
    /// The topic of the `session` view.
    pub(crate) session_topic: String,
    /// How long sessions last.
    pub(crate) session_life: SessionLife,
    /// The Postgres schema of decisions.
    pub(crate) event_store: String,
    /// The Postgres schema of what belongs to identities.
    pub(crate) identity: String,
}

impl Config {
    /// Reads the settings; what is wrong or contradictory is noted as a fault.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let prefix = Prefix::from_settings(settings);
        let config = Self {
            http: HttpConfig::from_settings(settings, &table::QUERY_API_BIND),
            rate_limits: RateLimitConfig::from_settings(settings),
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
            place_lookups: LookupLimits {
                connections: 1,
                queued: settings.size(&table::QUERY_API_WAITING_READS),
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
            session_topic: prefix.dotted(session::TOPIC),
            session_life: SessionLife {
                idle: settings.days(&table::SESSION_IDLE_DAYS),
                longest: settings.days(&table::SESSION_MAX_DAYS),
            },
            event_store: event_store_schema(&prefix),
            identity: identity_schema(&prefix),
        };
        config.check(settings);
        config
    }

    /// Where it is read which access tokens were revoked: from the primary, as all reads are.
    pub(crate) fn identity_database(&self) -> IdentityDatabase {
        IdentityDatabase {
            connect: self.database.connect.clone(),
            schema: self.identity.clone(),
            application_name: "query-api-identities",
        }
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
        if self.session_life.longest < self.session_life.idle {
            settings.fault(format!(
                "{} must not be below {}: no session would live to see it",
                table::SESSION_MAX_DAYS.name,
                table::SESSION_IDLE_DAYS.name
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let fixed = [("MILLRACE_PROFILE", "dev"), ("DATABASE_URL", "postgres://q:q@127.0.0.1/d")];
        let pairs = fixed.iter().chain(variables);
        Settings::new(pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    fn faults(variables: &[(&str, &str)]) -> Vec<String> {
        let mut settings = settings(variables);
        let config = Config::from_settings(&mut settings);
        settings.finish(config).map_or_else(|error| error.0, |_| Vec::new())
    }

    #[test]
    fn the_dev_profile_needs_a_database_and_nothing_else() {
        assert_eq!(faults(&[]), Vec::<String>::new());
    }

    #[test]
    fn how_long_sessions_last_is_read_as_the_write_side_reads_it() {
        let days = |days: u64| Duration::from_secs(days * 24 * 3_600);
        let config = Config::from_settings(&mut settings(&[("MILLRACE_SESSION_IDLE_DAYS", "2")]));
        assert_eq!(config.session_life, SessionLife { idle: days(2), longest: days(90) });
        let faults = faults(&[("MILLRACE_SESSION_MAX_DAYS", "13")]);
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        assert!(fault.contains("MILLRACE_SESSION_IDLE_DAYS"), "{fault}");
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
