//! Second factors.

use domain::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::rows::datetime;
use crate::claim::Digest;
use crate::second_factor::{SecondFactor, UsedCode};

/// Sealed secret, last step, keyed hashes of recovery codes.
type Row = (Vec<u8>, i64, Vec<Vec<u8>>);

pub(super) async fn find(
    pool: &PgPool,
    subject: &str,
) -> Result<Option<SecondFactor>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT sealed_secret, last_step, recovery_codes FROM second_factors WHERE user_id = $1",
    )
    .bind(subject)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(sealed_secret, last_step, codes)| SecondFactor {
        sealed_secret,
        last_step: last_step.cast_unsigned(),
        recovery_codes: codes.into_iter().filter_map(|code| Digest::try_from(code).ok()).collect(),
    }))
}

/// In place of the one before, if there was one.
pub(super) async fn write(
    connection: &mut PgConnection,
    subject: &str,
    factor: &SecondFactor,
) -> Result<(), sqlx::Error> {
    let codes: Vec<&[u8]> = factor.recovery_codes.iter().map(|code| &code[..]).collect();
    sqlx::query(
        "INSERT INTO second_factors (user_id, sealed_secret, last_step, recovery_codes)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE
         SET sealed_secret = excluded.sealed_secret, last_step = excluded.last_step,
             recovery_codes = excluded.recovery_codes, enrolled_at = now()",
    )
    .bind(subject)
    .bind(&factor.sealed_secret)
    .bind(factor.last_step.cast_signed())
    .bind(codes)
    .execute(connection)
    .await
    .map(drop)
}

pub(super) async fn remove(
    connection: &mut PgConnection,
    subject: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM second_factors WHERE user_id = $1")
        .bind(subject)
        .execute(connection)
        .await
        .map(drop)
}

/// One that was enrolled before a time.
pub(super) async fn remove_older(
    connection: &mut PgConnection,
    subject: &str,
    enrolled_before: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM second_factors WHERE user_id = $1 AND enrolled_at < $2")
        .bind(subject)
        .bind(datetime(enrolled_before))
        .execute(connection)
        .await
        .map(drop)
}

/// One statement: whoever comes second waits for the row and then finds the code used.
pub(super) async fn use_up(
    pool: &PgPool,
    subject: &str,
    sealed_secret: &[u8],
    used: UsedCode,
) -> Result<bool, sqlx::Error> {
    let using = match &used {
        UsedCode::Step(step) => sqlx::query(
            "UPDATE second_factors SET last_step = $3
             WHERE user_id = $1 AND sealed_secret = $2 AND last_step < $3",
        )
        .bind(subject)
        .bind(sealed_secret)
        .bind(step.cast_signed()),
        UsedCode::Recovery(code) => sqlx::query(
            "UPDATE second_factors SET recovery_codes = array_remove(recovery_codes, $3)
             WHERE user_id = $1 AND sealed_secret = $2 AND $3 = ANY (recovery_codes)",
        )
        .bind(subject)
        .bind(sealed_secret)
        .bind(&code[..]),
    };
    Ok(using.execute(pool).await?.rows_affected() > 0)
}
