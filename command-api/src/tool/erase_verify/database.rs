//! What Postgres holds, in a session that can only read.

mod person;
mod tables;

use std::fmt::Write as _;
use std::time::Duration;

use read_models::database::{SessionLimits, event_store_schema, identity_schema, schema};
use settings::Prefix;
use sqlx::{ConnectOptions as _, PgConnection};

use crate::Config;

pub(super) use person::Person;

/// A sweep takes as long as it takes, but waits for no lock.
const LIMITS: SessionLimits = SessionLimits {
    idle_in_transaction: Duration::ZERO,
    transaction: Duration::ZERO,
    lock: Duration::from_secs(10),
    statement: Duration::ZERO,
};

/// The deployment's schemas, and a session that sees them.
pub(super) struct Database {
    session: PgConnection,
    schemas: Schemas,
}

struct Schemas {
    event_store: String,
    identity: String,
    read_models: String,
}

impl Database {
    /// Connects as whoever `DATABASE_URL` names.
    ///
    /// # Errors
    /// There is no session; as text.
    pub(super) async fn connect(config: &Config) -> Result<Self, String> {
        let session = config.database.session("command-api erase-verify", LIMITS);
        // Rows that a policy hides are to be an error and not absent.
        let session =
            session.options([("default_transaction_read_only", "on"), ("row_security", "off")]);
        let session = session.connect().await.map_err(|error| why(&error))?;
        Ok(Self { session, schemas: Schemas::of(&config.prefix) })
    }
}

impl Schemas {
    fn of(prefix: &Prefix) -> Self {
        Self {
            event_store: event_store_schema(prefix),
            identity: identity_schema(prefix),
            read_models: schema(prefix),
        }
    }

    fn all(&self) -> [&str; 3] {
        [&self.event_store, &self.identity, &self.read_models]
    }

    /// A text that names `{event_store}`, `{identity}` or `{read_models}`, with their names. These hold
    /// nothing that would have to be quoted.
    fn named(&self, text: &str) -> String {
        text.replace("{event_store}", &self.event_store)
            .replace("{identity}", &self.identity)
            .replace("{read_models}", &self.read_models)
    }
}

/// Why a statement that only reads failed. Such errors hold names of tables and no values.
fn why(error: &sqlx::Error) -> String {
    if let sqlx::Error::Database(error) = error {
        return error.message().to_owned();
    }
    let (mut text, mut source) = (error.to_string(), std::error::Error::source(error));
    while let Some(cause) = source {
        // Writing to a text cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
