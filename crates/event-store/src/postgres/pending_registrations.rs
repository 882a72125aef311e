//! Registrations that wait.

use domain::decision::ClaimKind;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::append::commit;
use super::{begin, failed};
use crate::append::{AppendError, Closed};
use crate::claim::Digest;
use crate::pending_registration::{NewRegistration, PendingRegistration, mails_of};

/// One row and one mail, whoever has the address. Not under another key than that of claims: the hash would be that of
/// nobody's address, and whoever has an account would be mailed a link.
pub(super) async fn keep(
    pool: &PgPool,
    registration: &NewRegistration,
    claim_key: &Digest,
) -> Result<(), AppendError> {
    let NewRegistration { id, email, sealed, mail, waits_for } = registration;
    let mut transaction = begin(pool).await.map_err(failed)?;
    let kept = sqlx::query(
        "WITH kept AS (
             INSERT INTO pending_registrations
                 (registration_id, email_digest, sealed_content, expires_at)
             SELECT $1, $2, $3, now() + $4 * interval '1 second'
             FROM standing WHERE coalesce(claim_key = $7, true)
             RETURNING registration_id
         )
         INSERT INTO mails (id, kind, stream_id, stream_version)
         SELECT registration_id, $5, $6, 0 FROM kept",
    )
    .bind(*id)
    .bind(&email[..])
    .bind(sealed)
    .bind(waits_for.as_secs_f64())
    .bind(*mail)
    .bind(mails_of(email))
    .bind(&claim_key[..])
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    if kept.rows_affected() == 0 {
        return Err(Closed::OtherKey.into());
    }
    commit(transaction).await?;
    Ok(())
}

pub(super) async fn find(
    pool: &PgPool,
    id: Uuid,
) -> Result<Option<PendingRegistration>, sqlx::Error> {
    let row: Option<(Vec<u8>, Option<String>)> = sqlx::query_as(
        "SELECT p.sealed_content, c.stream_id FROM pending_registrations p
         LEFT JOIN claims c ON c.kind = $2 AND c.digest = p.email_digest
              AND (c.lapses_at IS NULL OR c.lapses_at > now())
         WHERE p.registration_id = $1 AND p.expires_at > now()",
    )
    .bind(id)
    .bind(ClaimKind::Email.as_str())
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(sealed, holder)| PendingRegistration { sealed, holder }))
}

/// All that wait for the address of this one.
pub(super) async fn remove(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM pending_registrations WHERE email_digest =
             (SELECT email_digest FROM pending_registrations WHERE registration_id = $1)",
    )
    .bind(id)
    .execute(connection)
    .await
    .map(drop)
}

/// What is left of the registration by which somebody has become a user, who is erased: its mail holds the hash of the
/// address that they had then, which may be another one than goes with their claims.
pub(super) async fn erase(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH unmailed AS (
             DELETE FROM mails WHERE id = $1 AND stream_id LIKE 'registration-%'
         )
         DELETE FROM pending_registrations WHERE registration_id = $1",
    )
    .bind(id)
    .execute(connection)
    .await
    .map(drop)
}
