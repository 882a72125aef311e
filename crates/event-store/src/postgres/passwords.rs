//! Password hashes, where no decision writes one.

use domain::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::rows::datetime;

pub(super) async fn hash(pool: &PgPool, subject: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT password_hash FROM credentials WHERE user_id = $1")
        .bind(subject)
        .fetch_optional(pool)
        .await
}

/// One that was written before a time.
pub(super) async fn remove(
    connection: &mut PgConnection,
    subject: &str,
    written_before: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM credentials WHERE user_id = $1 AND changed_at < $2")
        .bind(subject)
        .bind(datetime(written_before))
        .execute(connection)
        .await
        .map(drop)
}

/// When the password was changed stays as it is.
pub(super) async fn replace_hash(
    pool: &PgPool,
    subject: &str,
    old: &str,
    new: &str,
) -> Result<bool, sqlx::Error> {
    let statement = "UPDATE credentials SET password_hash = $3
                     WHERE user_id = $1 AND password_hash = $2";
    let replaced = sqlx::query(statement).bind(subject).bind(old).bind(new).execute(pool).await?;
    Ok(replaced.rows_affected() > 0)
}
