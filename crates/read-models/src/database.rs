//! Where the read models live and on which terms a process may use them.

mod probe;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use settings::{Authorities, Prefix, Settings, table};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

pub use probe::Refused;

/// The Postgres schema of positions and read models.
pub fn schema(prefix: &Prefix) -> String {
    prefix.underscored("read_models")
}

/// The Postgres schema of decisions.
pub fn event_store_schema(prefix: &Prefix) -> String {
    prefix.underscored("event_store")
}

/// The Postgres schema of what belongs to persons and never enters the log.
pub fn identity_schema(prefix: &Prefix) -> String {
    prefix.underscored("identity")
}

/// How to reach the database.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// Address, role and password.
    pub connect: PgConnectOptions,
    /// The schema that unqualified names mean.
    pub schema: String,
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connect, schema } = self;
        f.debug_struct("DatabaseConfig")
            .field("host", &connect.get_host())
            .field("port", &connect.get_port())
            .field("role", &connect.get_username())
            .field("database", &connect.get_database())
            .field("schema", schema)
            .finish_non_exhaustive()
    }
}

/// Limits that Postgres itself keeps for a session, so that a frozen process cannot hold a lock.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Longest pause inside a transaction (`idle_in_transaction_session_timeout`).
    pub idle_in_transaction: Duration,
    /// Longest transaction (`transaction_timeout`).
    pub transaction: Duration,
    /// Longest wait for one lock (`lock_timeout`).
    pub lock: Duration,
    /// Longest statement (`statement_timeout`).
    pub statement: Duration,
}

impl DatabaseConfig {
    /// Reads `DATABASE_URL` and the prefix.
    pub fn from_settings(settings: &mut Settings, prefix: &Prefix) -> Self {
        let url = settings.text(&table::DATABASE_URL);
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let connect = is_postgres.then(|| PgConnectOptions::from_str(&url).ok()).flatten();
        if connect.is_none() && !url.is_empty() {
            settings.fault(format!(
                "{} must be postgres://user:password@host:port/database",
                table::DATABASE_URL.name
            ));
        }
        let mut connect = connect.unwrap_or_default();
        if let Some(authorities) = Authorities::from_settings(settings) {
            connect = connect.ssl_root_cert_from_pem(authorities.pem().into());
        }
        Self { connect, schema: schema(prefix) }
    }

    /// Options of a session under the limits; `application_name` is what operators see in
    /// `pg_stat_activity`.
    pub fn session(&self, application_name: &str, limits: SessionLimits) -> PgConnectOptions {
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        self.connect.clone().application_name(application_name).options([
            ("search_path", self.schema.clone()),
            ("idle_in_transaction_session_timeout", millis(limits.idle_in_transaction)),
            ("transaction_timeout", millis(limits.transaction)),
            ("lock_timeout", millis(limits.lock)),
            ("statement_timeout", millis(limits.statement)),
        ])
    }

    /// A pool of such sessions, connected when first used; a lent connection is not pinged first
    /// (a fifth of a point read), so a dead one shows as the error of the query.
    pub fn pool(
        &self,
        application_name: &str,
        limits: SessionLimits,
        connections: u32,
        acquire_timeout: Duration,
    ) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(acquire_timeout)
            .test_before_acquire(false)
            .connect_lazy_with(self.session(application_name, limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(url: &str) -> Vec<String> {
        let mut settings = Settings::new([("DATABASE_URL".to_owned(), url.to_owned())]);
        DatabaseConfig::from_settings(&mut settings, &Prefix::default());
        settings.finish(()).map_or_else(|error| error.0, |()| Vec::new())
    }

    #[test]
    fn a_password_is_never_printed() {
        let url = ("DATABASE_URL".to_owned(), "postgres://q:hunter2@db:5432/appdb".to_owned());
        let mut settings = Settings::new([url]);
        let config = DatabaseConfig::from_settings(&mut settings, &Prefix::default());
        let printed = format!("{config:?}");
        assert!(printed.contains("appdb") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn an_address_of_postgres_is_taken() {
        assert!(faults("postgres://projector:secret@127.0.0.1:5432/appdb").is_empty());
    }

    #[test]
    fn any_other_address_is_refused_without_repeating_it() {
        for url in ["127.0.0.1:5432/appdb", "mysql://u:secret@h/db", "postgres://h:port/db"] {
            assert_eq!(
                faults(url),
                ["DATABASE_URL must be postgres://user:password@host:port/database"],
                "{url}"
            );
        }
    }
}
