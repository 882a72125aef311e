//! The read models' tables.

use anyhow::{Context, Result};
use settings::Prefix;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::grants;
use crate::checkout;

/// Months of history that are made before they begin.
const MONTHS_AHEAD: i32 = 2;

/// Brings the read models' schema of a deployment up to date, and gives the processes' roles their
/// rights on it. `database` is the owner's.
///
/// # Errors
/// The database cannot be reached, or holds a migration that this checkout has not or has changed.
pub async fn migrate(database: &PgConnectOptions, prefix: &Prefix) -> Result<()> {
    let schema = read_models::database::schema(prefix);
    let mut owner = connect(database, &schema).await?;
    sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}")))
        .execute(&mut owner)
        .await
        .with_context(|| format!("creating the schema {schema}"))?;
    let directory = checkout::find()?.join("migrations/read-models");
    let migrator = Migrator::new(directory.as_path())
        .await
        .with_context(|| format!("reading {}", directory.display()))?;
    migrator.run(&mut owner).await.with_context(|| format!("migrating the schema {schema}"))?;
    make_months_ahead(&mut owner).await?;
    grants::grant(&mut owner, &schema).await?;
    owner.close().await.context("closing the connection")
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
