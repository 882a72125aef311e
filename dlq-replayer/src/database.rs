//! The session in which a call works.

use std::time::Duration;

use chrono::{DateTime, Utc};
use read_models::database::{DatabaseConfig, SessionLimits};
use settings::{Prefix, Settings};
use sqlx::{Connection as _, PgConnection};

use crate::trouble::Trouble;

/// What operators see in `pg_stat_activity`.
const APPLICATION: &str = "dlq-replayer";

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Kept by Postgres: a call that hangs holds no lock for longer.
const LIMITS: SessionLimits = SessionLimits {
    idle_in_transaction: Duration::from_secs(10),
    transaction: Duration::from_secs(60),
    lock: Duration::from_secs(5),
    statement: Duration::from_secs(30),
};

/// Where the letters are.
#[derive(Clone)]
pub(crate) struct Database {
    config: DatabaseConfig,
}

impl Database {
    /// Reads `DATABASE_URL` and the prefix; faults are noted in the settings.
    pub(crate) fn from_settings(settings: &mut Settings, prefix: &Prefix) -> Self {
        Self { config: DatabaseConfig::from_settings(settings, prefix) }
    }

    /// A session.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Trouble> {
        let options = self.config.session(APPLICATION, LIMITS);
        let connecting = PgConnection::connect_with(&options);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(Trouble::database("connecting")),
            Err(_) => Err(Trouble::Unreachable(format!(
                "connecting: the database did not answer within {} s",
                CONNECT.as_secs()
            ))),
        }
    }

    /// A pool of one session, for what asks for a pool.
    pub(crate) fn pool(&self) -> sqlx::PgPool {
        self.config.pool(APPLICATION, LIMITS, 1, CONNECT)
    }
}

/// The database's clock, by which ages are counted.
pub(crate) async fn now(connection: &mut PgConnection) -> Result<DateTime<Utc>, Trouble> {
    sqlx::query_scalar("SELECT now()")
        .fetch_one(connection)
        .await
        .map_err(Trouble::database("asking for the time"))
}

/// A transaction in which all statements see one state, and which writes nothing.
pub(crate) async fn snapshot(
    connection: &mut PgConnection,
) -> Result<sqlx::Transaction<'_, sqlx::Postgres>, Trouble> {
    connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(Trouble::database("beginning to read"))
}
