//! The tables of read models, of the event store and of what belongs to persons.

use anyhow::{Context, Result};
use settings::Prefix;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::grants;
use crate::checkout;

/// Months of history that are made before they begin.
const MONTHS_AHEAD: i32 = 2;

/// Brings the schemas of a deployment up to date, and gives the processes' roles their rights on them.
/// `database` is the owner's.
///
/// # Errors
/// The database cannot be reached, or holds a migration that this checkout has not or has changed.
pub async fn migrate(database: &PgConnectOptions, prefix: &Prefix) -> Result<()> {
    let names = Schemas::of(prefix);
    for (schema, directory) in names.with_directories() {
        let mut owner = migrate_schema(database, schema, directory).await?;
        if schema == names.read_models {
            make_months_ahead(&mut owner).await?;
        }
        owner.close().await.context("closing the connection")?;
    }
    let mut owner = connect(database, &names.read_models).await?;
    grants::grant(&mut owner, &names).await?;
    owner.close().await.context("closing the connection")
}

/// The Postgres schemas of a deployment.
pub(super) struct Schemas {
    pub(super) read_models: String,
    pub(super) event_store: String,
    pub(super) identity: String,
}

impl Schemas {
    fn of(prefix: &Prefix) -> Self {
        Self {
            read_models: read_models::database::schema(prefix),
            event_store: read_models::database::event_store_schema(prefix),
            identity: read_models::database::identity_schema(prefix),
        }
    }

    fn with_directories(&self) -> [(&str, &'static str); 3] {
        [
            (&self.read_models, "migrations/read-models"),
            (&self.event_store, "migrations/event-store"),
            (&self.identity, "migrations/identity"),
        ]
    }
}

async fn migrate_schema(
    database: &PgConnectOptions,
    schema: &str,
    directory: &str,
) -> Result<PgConnection> {
    let mut owner = connect(database, schema).await?;
    sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}")))
        .execute(&mut owner)
        .await
        .with_context(|| format!("creating the schema {schema}"))?;
    let directory = checkout::find()?.join(directory);
    let migrator = Migrator::new(directory.as_path())
        .await
        .with_context(|| format!("reading {}", directory.display()))?;
    migrator.run(&mut owner).await.with_context(|| format!("migrating the schema {schema}"))?;
    Ok(owner)
}

/// Makes the months of history that come next, so that their first events find them. A running
/// projector does the same.
async fn make_months_ahead(owner: &mut PgConnection) -> Result<()> {
    sqlx::query(
        "SELECT make_device_history_months_ahead(generation, $1) FROM generations
         WHERE projection = 'device_history' AND state <> 'retired'",
    )
    .bind(MONTHS_AHEAD)
    .execute(owner)
    .await
    .context("making months of device history")?;
    Ok(())
}

/// A session in which unqualified names mean the deployment's schema.
pub(super) async fn connect(database: &PgConnectOptions, schema: &str) -> Result<PgConnection> {
    let session = database.clone();
    session
        .application_name("deploy")
        .options([("search_path", schema)])
        .connect()
        .await
        .context("connecting to the database")
}
