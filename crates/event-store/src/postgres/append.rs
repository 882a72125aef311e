//! The one transaction of a decision.

use domain::Timestamp;
use failpoint::failpoint;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::stream::{self, Guard};
use super::{begin, claims, failed, passwords, pending_registrations, revocations, second_factors};
use crate::append::{Append, AppendError, Closed};
use crate::beside::{Beside, NOT_NEEDED};
use crate::claim::Digest;
use crate::request::NewRequest;
use crate::second_factor::SecondFactor;
use crate::store::StoreError;

/// Appends a decision where the store is open. What it revokes is told on `changed`.
pub(super) async fn append(
    pool: &PgPool,
    append: &Append,
    claim_key: &Digest,
    changed: &str,
) -> Result<(), AppendError> {
    let mut transaction = begin(pool).await.map_err(failed)?;
    failpoint!("decision/begun");
    // First, so that a second request of the name waits here for what becomes of this one.
    if let Some(request) = &append.request {
        let event = append.events.last().map(|event| (event.stream_id.as_str(), event.version));
        keep_request(&mut transaction, request, event).await?;
        failpoint!("decision/request-kept");
    }
    if !stream::write(&mut transaction, append, Guard::Open(claim_key)).await.map_err(failed)? {
        let closed = closed(&mut transaction, claim_key).await?;
        return Err(closed.map_or(AppendError::VersionMismatch, AppendError::Closed));
    }
    failpoint!("decision/events-written");
    claims::claim(&mut transaction, append).await?;
    failpoint!("decision/claimed");
    write_beside(&mut transaction, append, changed).await.map_err(failed)?;
    failpoint!("decision/prepared");
    commit(transaction).await?;
    failpoint!("decision/committed");
    Ok(())
}

/// Appends what the log holds, also where the store is closed.
pub(super) async fn absorb(
    connection: &mut PgConnection,
    append: &Append,
    claim_key: &Digest,
    changed: &str,
) -> Result<(), AppendError> {
    let mut transaction = sqlx::Connection::begin(connection).await.map_err(failed)?;
    if closed(&mut transaction, claim_key).await? == Some(Closed::OtherKey) {
        return Err(Closed::OtherKey.into());
    }
    if !stream::write(&mut transaction, append, Guard::Any).await.map_err(failed)? {
        return Err(AppendError::VersionMismatch);
    }
    claims::absorb(&mut transaction, &append.stream_id, &append.claims).await.map_err(failed)?;
    write_beside(&mut transaction, append, changed).await.map_err(failed)?;
    commit(transaction).await?;
    Ok(())
}

/// Keeps the answer to a request that decided nothing.
pub(super) async fn answer(pool: &PgPool, request: &NewRequest) -> Result<(), AppendError> {
    let mut transaction = begin(pool).await.map_err(failed)?;
    keep_request(&mut transaction, request, None).await?;
    failpoint!("decision/refusal-kept");
    commit(transaction).await?;
    Ok(())
}

pub(super) async fn commit(transaction: Transaction<'_, Postgres>) -> Result<(), StoreError> {
    transaction.commit().await.map_err(|error| match failed(error) {
        // The server said no: it is rolled back. Whoever said nothing may have committed.
        StoreError::Unavailable(error) if !matches!(error, sqlx::Error::Database(_)) => {
            StoreError::Unknown(error)
        }
        other => other,
    })
}

async fn keep_request(
    connection: &mut PgConnection,
    request: &NewRequest,
    event: Option<(&str, u64)>,
) -> Result<(), AppendError> {
    let NewRequest { key, route, body_hash, subject, answer } = request;
    let kept = sqlx::query(
        "INSERT INTO requests (principal, key, route, body_hash, subject, answer, stream_id,
                               stream_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (principal, key) DO NOTHING",
    )
    .bind(&key.principal)
    .bind(&key.key)
    .bind(route)
    .bind(&body_hash[..])
    .bind(subject)
    .bind(answer)
    .bind(event.map(|(stream, _)| stream))
    .bind(event.map(|(_, version)| version.cast_signed()))
    .execute(connection)
    .await
    .map_err(failed)?;
    if kept.rows_affected() == 1 { Ok(()) } else { Err(AppendError::Answered) }
}

/// Why nothing is decided, if that is so.
async fn closed(
    connection: &mut PgConnection,
    claim_key: &Digest,
) -> Result<Option<Closed>, StoreError> {
    let (is_compared, ahead, is_our_key): (bool, i64, bool) = sqlx::query_as(
        "SELECT coalesce(compared_run = pg_postmaster_start_time(), false), log_ahead,
                coalesce(claim_key = $1, true)
         FROM standing",
    )
    .bind(&claim_key[..])
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    Ok(Closed::of(is_compared, ahead.cast_unsigned(), is_our_key))
}

async fn write_beside(
    connection: &mut PgConnection,
    append: &Append,
    changed: &str,
) -> Result<(), sqlx::Error> {
    let (mut rows, mut revoked, mut later) = (Rows::default(), Vec::new(), Vec::new());
    for beside in &append.beside {
        match beside {
            Beside::SubjectKey { subject, key } => rows.keys.push((subject.as_str(), &key[..])),
            Beside::PasswordHash { subject, hash } => {
                rows.hashes.push((subject.as_str(), hash.as_str()));
            }
            Beside::Mail { id, kind } => rows.mails.push((*id, *kind)),
            Beside::MailsNotNeeded { kind } => rows.not_needed.push(*kind),
            Beside::Revocation { what, holds_for } => revoked.push((*what, *holds_for)),
            Beside::NoPassword { subject, written_before } => {
                later.push(Later::NoPassword(subject, *written_before));
            }
            Beside::SecondFactor { subject, factor } => {
                later.push(Later::SecondFactor(subject, factor));
            }
            Beside::NoSecondFactor { subject } => later.push(Later::NoSecondFactor(subject)),
            Beside::NoSecondFactorBefore { subject, enrolled_before } => {
                later.push(Later::NoSecondFactorBefore(subject, *enrolled_before));
            }
            Beside::NoPendingRegistration { id } => later.push(Later::NoPendingRegistration(*id)),
            Beside::Erasure { subject, stream_id } => {
                later.push(Later::Erasure(subject, stream_id));
            }
        }
    }
    if !rows.is_empty() {
        rows.write(&mut *connection, append).await?;
    }
    // By a statement of its own: most decisions revoke nothing and are spared its columns.
    if !revoked.is_empty() {
        revocations::write(&mut *connection, &revoked, changed).await?;
    }
    for statement in later {
        statement.execute(&mut *connection).await?;
    }
    Ok(())
}

/// What few decisions do, each by statements of its own, after all rows.
enum Later<'a> {
    NoPassword(&'a str, Timestamp),
    SecondFactor(&'a str, &'a SecondFactor),
    NoSecondFactor(&'a str),
    NoSecondFactorBefore(&'a str, Timestamp),
    NoPendingRegistration(Uuid),
    Erasure(&'a str, &'a str),
}

impl Later<'_> {
    async fn execute(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        match self {
            Self::NoPassword(subject, written_before) => {
                passwords::remove(connection, subject, written_before).await
            }
            Self::SecondFactor(subject, factor) => {
                second_factors::write(connection, subject, factor).await
            }
            Self::NoSecondFactor(subject) => second_factors::remove(connection, subject).await,
            Self::NoSecondFactorBefore(subject, enrolled_before) => {
                second_factors::remove_older(connection, subject, enrolled_before).await
            }
            Self::NoPendingRegistration(id) => pending_registrations::remove(connection, id).await,
            Self::Erasure(subject, stream_id) => erase(connection, subject, stream_id).await,
        }
    }
}

/// What most decisions write.
#[derive(Default)]
struct Rows<'a> {
    keys: Vec<(&'a str, &'a [u8])>,
    hashes: Vec<(&'a str, &'a str)>,
    mails: Vec<(Uuid, &'a str)>,
    /// Kinds of mails that are settled.
    not_needed: Vec<&'a str>,
}

impl Rows<'_> {
    fn is_empty(&self) -> bool {
        let Self { keys, hashes, mails, not_needed } = self;
        keys.is_empty() && hashes.is_empty() && mails.is_empty() && not_needed.is_empty()
    }

    /// All in one statement: each costs a way to the server and back.
    async fn write(
        self,
        connection: &mut PgConnection,
        append: &Append,
    ) -> Result<(), sqlx::Error> {
        let Self { keys, hashes, mails, not_needed } = self;
        let version = append.events.last().map_or(0, |event| event.version);
        let (key_subjects, keys): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
        let (hash_subjects, hashes): (Vec<_>, Vec<_>) = hashes.into_iter().unzip();
        let (mail_ids, mail_kinds): (Vec<_>, Vec<_>) = mails.into_iter().unzip();
        sqlx::query(
            "WITH keyed AS (
                 INSERT INTO subject_keys (subject, key)
                 SELECT * FROM UNNEST($1::text[], $2::bytea[])
             ), hashed AS (
                 INSERT INTO credentials (user_id, password_hash)
                 SELECT * FROM UNNEST($3::text[], $4::text[])
                 ON CONFLICT (user_id) DO UPDATE
                 SET password_hash = excluded.password_hash, changed_at = now()
             ), settled AS (
                 UPDATE mails SET settled_at = now(), outcome = $10, taken_until = NULL
                 WHERE cardinality($9::text[]) > 0
                 AND stream_id = $7 AND kind = ANY($9) AND settled_at IS NULL
             )
             INSERT INTO mails (id, kind, stream_id, stream_version)
             SELECT n.id, n.kind, $7, $8 FROM UNNEST($5::uuid[], $6::text[]) AS n(id, kind)",
        )
        .bind(key_subjects)
        .bind(keys)
        .bind(hash_subjects)
        .bind(hashes)
        .bind(mail_ids)
        .bind(mail_kinds)
        .bind(&append.stream_id)
        .bind(version.cast_signed())
        .bind(not_needed)
        .bind(NOT_NEEDED)
        .execute(connection)
        .await
        .map(drop)
    }
}

/// Destroys what makes a person's fields readable, and what repeats them. A fold that opens them holds
/// the key's row, so this waits for it.
async fn erase(
    connection: &mut PgConnection,
    subject: &str,
    stream_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO subject_keys (subject, destroyed_at) VALUES ($1, now())
         ON CONFLICT (subject) DO UPDATE
         SET key = NULL, destroyed_at = coalesce(subject_keys.destroyed_at, now())",
    )
    .bind(subject)
    .execute(&mut *connection)
    .await?;
    for statement in [
        "DELETE FROM credentials WHERE user_id = $1 AND $2::text IS NOT NULL",
        "DELETE FROM second_factors WHERE user_id = $1 AND $2::text IS NOT NULL",
        "UPDATE requests SET answer = NULL, body_hash = NULL WHERE subject = $1 AND $2::text IS NOT NULL",
        "UPDATE mails SET settled_at = now(), outcome = 'erased'
         WHERE stream_id = $2 AND settled_at IS NULL AND $1::text IS NOT NULL",
    ] {
        sqlx::query(statement).bind(subject).bind(stream_id).execute(&mut *connection).await?;
    }
    match Uuid::parse_str(subject) {
        Ok(id) => pending_registrations::erase(connection, id).await,
        // Of no other id somebody has become who they are by a registration that has waited.
        Err(_) => Ok(()),
    }
}
