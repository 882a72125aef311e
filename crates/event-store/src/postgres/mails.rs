//! Mails that wait to be sent.

use std::time::Duration;

use domain::decision::ClaimKind;
use sqlx::PgPool;
use uuid::Uuid;

use crate::beside::{DueMail, MailsBeside, SENT};

/// Of a stream that has a mail under way, none is taken. One that comes into being after
/// [`beside`] looked for it finds the other one there: its lease was written before.
pub(super) async fn due(
    pool: &PgPool,
    at_once: u32,
    lease: Duration,
) -> Result<Vec<DueMail>, sqlx::Error> {
    let rows: Vec<(Uuid, String, String, i64, i32)> = sqlx::query_as(
        "UPDATE mails m SET attempts = attempts + 1, next_try_at = now() + $2 * interval '1 ms',
                taken_until = now() + $2 * interval '1 ms'
         FROM (SELECT id FROM mails d WHERE settled_at IS NULL AND next_try_at <= now()
               AND NOT EXISTS (SELECT FROM mails u WHERE u.stream_id = d.stream_id
                               AND u.settled_at IS NULL AND u.taken_until > now())
               ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED) due
         WHERE m.id = due.id
         RETURNING m.id, m.kind, m.stream_id, m.stream_version, m.attempts",
    )
    .bind(i64::from(at_once))
    .bind(millis(lease))
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, kind, stream_id, version, attempts)| DueMail {
            id,
            kind,
            stream_id,
            version: version.cast_unsigned(),
            attempts,
        })
        .collect())
}

pub(super) async fn beside(pool: &PgPool, mail: &DueMail) -> Result<MailsBeside, sqlx::Error> {
    let (has_newer, last_sent, holds_claim): (bool, Option<f64>, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM mails
                        WHERE stream_id = $1 AND kind = $2 AND stream_version > $3),
                (SELECT extract(epoch FROM now() - max(settled_at))::float8 FROM mails
                 WHERE stream_id = $1 AND outcome = $4),
                EXISTS (SELECT FROM claims WHERE stream_id = $1 AND kind = $5)",
    )
    .bind(&mail.stream_id)
    .bind(&mail.kind)
    .bind(mail.version.cast_signed())
    .bind(SENT)
    .bind(ClaimKind::Email.as_str())
    .fetch_one(pool)
    .await?;
    // Below zero where it was settled after this transaction began.
    let last_sent = last_sent.map(|secs| Duration::try_from_secs_f64(secs).unwrap_or_default());
    Ok(MailsBeside { has_newer, last_sent, holds_claim })
}

pub(super) async fn settle(
    pool: &PgPool,
    id: Uuid,
    outcome: Result<&'static str, Duration>,
) -> Result<(), sqlx::Error> {
    let statement = match outcome {
        Ok(outcome) => {
            let statement = "UPDATE mails SET settled_at = now(), outcome = $2, taken_until = NULL
                             WHERE id = $1";
            sqlx::query(statement).bind(id).bind(outcome)
        }
        Err(wait) => {
            let statement = "UPDATE mails SET next_try_at = now() + $2 * interval '1 ms',
                                    taken_until = NULL
                             WHERE id = $1";
            sqlx::query(statement).bind(id).bind(millis(wait))
        }
    };
    statement.execute(pool).await.map(drop)
}

pub(super) async fn put_off(pool: &PgPool, id: Uuid, wait: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE mails SET attempts = attempts - 1, next_try_at = now() + $2 * interval '1 ms',
                taken_until = NULL
         WHERE id = $1",
    )
    .bind(id)
    .bind(millis(wait))
    .execute(pool)
    .await
    .map(drop)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
