//! The read models' tables.

use anyhow::{Context, Result};
use settings::Prefix;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::grants;
use crate::checkout;

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
    grants::grant(&mut owner, &schema).await?;
    owner.close().await.context("closing the connection")
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
