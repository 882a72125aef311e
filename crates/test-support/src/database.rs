//! A database of a test's own, and what others may do to it.

use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{Stack, World};

pub(crate) const OWNER: &str = "appuser";
const SUPERUSER: &str = "postgres";

impl World {
    /// Locks the position of a partition as a forgotten session would, until the transaction ends.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn hold_position(
        &self,
        partition: i32,
    ) -> Result<sqlx::Transaction<'static, sqlx::Postgres>> {
        let mut transaction = self.pool().begin().await.context("beginning a transaction")?;
        let held = sqlx::query("SELECT FROM positions WHERE partition = $1 FOR UPDATE")
            .bind(partition)
            .fetch_all(&mut *transaction)
            .await
            .context("locking a position")?;
        anyhow::ensure!(!held.is_empty(), "partition {partition} has no position yet");
        Ok(transaction)
    }

    /// Ends every session of a role, and returns how many those were.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn terminate_sessions(&self, role: &str) -> Result<usize> {
        let mut superuser = self.superuser().await?;
        let ended: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = $1",
        )
        .bind(role)
        .fetch_all(&mut superuser)
        .await
        .context("ending sessions")?;
        Ok(ended.len())
    }

    /// Ends every session that calls itself so.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn end_sessions_named(&self, application_name: &str) -> Result<()> {
        let mut superuser = self.superuser().await?;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = $1",
        )
        .bind(application_name)
        .execute(&mut superuser)
        .await
        .context("ending sessions")
        .map(drop)
    }

    /// Makes the database read-only, as a primary that became a standby, or writable again. For
    /// sessions that exist too, since they are ended.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn set_read_only(&self, role: &str, is_read_only: bool) -> Result<()> {
        let mut superuser = self.superuser().await?;
        let statement = format!(
            "ALTER ROLE {role} IN DATABASE {} SET default_transaction_read_only = {is_read_only}",
            self.database()
        );
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut superuser)
            .await
            .context("changing the database")?;
        drop(superuser);
        self.terminate_sessions(role).await.map(drop)
    }

    async fn superuser(&self) -> Result<PgConnection> {
        connect(self.stack(), SUPERUSER, self.database()).await
    }
}

pub(crate) async fn create(stack: &Stack, database: &str) -> Result<()> {
    let mut owner = connect(stack, OWNER, "appdb").await?;
    // Nobody is ever connected to this template, so that databases can be made side by side.
    let statement = format!("CREATE DATABASE {database} TEMPLATE template0 STRATEGY file_copy");
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut owner)
        .await
        .context("creating a database")?;
    owner.close().await.context("closing the connection")
}

pub(crate) async fn drop_database(stack: &Stack, database: &str) -> Result<()> {
    let mut owner = connect(stack, SUPERUSER, "postgres").await?;
    let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut owner)
        .await
        .context("dropping a database")?;
    owner.close().await.context("closing the connection")
}

/// The owner's sessions, in which unqualified names mean the schema.
pub(crate) fn pool(stack: &Stack, database: &str, schema: &str) -> Result<PgPool> {
    let url = stack.database_url(OWNER, database)?;
    let options = PgConnectOptions::from_str(&url)?
        .application_name("system-tests")
        .options([("search_path", schema)]);
    Ok(PgPoolOptions::new().max_connections(3).connect_lazy_with(options))
}

async fn connect(stack: &Stack, role: &str, database: &str) -> Result<PgConnection> {
    let url = stack.database_url(role, database)?;
    PgConnection::connect(&url).await.with_context(|| format!("connecting as {role} to {database}"))
}
