//! Mails that wait to be sent.

use std::time::Duration;

use domain::decision::ClaimKind;
use sqlx::PgPool;
use uuid::Uuid;

use crate::beside::{DueMail, FOR_NOBODY, LATELY, MailsBeside, NOBODY, SENT, asked_for_before};
use crate::claim::ClaimOf;

/// One row, whoever it is for. Two that are asked for at the same time may both wait.
pub(super) async fn for_holder(
    pool: &PgPool,
    id: Uuid,
    kind: &str,
    value: ClaimOf,
    good_for: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO mails (id, kind, stream_id, stream_version, settled_at, outcome)
         SELECT $1, $2, coalesce(s.stream_id, $5), coalesce(s.version, 0),
                CASE WHEN s.stream_id IS NULL THEN now() END,
                CASE WHEN s.stream_id IS NULL THEN $6 END
         FROM (VALUES (1)) AS one (n)
         LEFT JOIN claims c ON c.kind = $3 AND c.digest = $4
              AND (c.lapses_at IS NULL OR c.lapses_at > now())
         LEFT JOIN streams s ON s.stream_id = c.stream_id
              AND NOT EXISTS (SELECT FROM mails w
                              WHERE w.stream_id = c.stream_id AND w.kind = $2 AND w.id > $7
                              AND w.settled_at IS NULL AND w.taken_until IS NULL)",
    )
    .bind(id)
    .bind(kind)
    .bind(value.kind)
    .bind(&value.digest[..])
    .bind(NOBODY)
    .bind(FOR_NOBODY)
    .bind(asked_for_before(id, good_for))
    .execute(pool)
    .await
    .map(drop)
}

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
    let row: (bool, Option<f64>, i64, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM mails
                        WHERE stream_id = $1 AND kind = $2 AND (stream_version, id) > ($3, $6)),
                (SELECT extract(epoch FROM now() - max(settled_at))::float8 FROM mails
                 WHERE stream_id = $1 AND kind = $2 AND outcome = $4),
                (SELECT count(*) FROM mails
                 WHERE stream_id = $1 AND kind = $2 AND outcome = $4
                 AND settled_at > now() - $7 * interval '1 ms'),
                EXISTS (SELECT FROM claims WHERE stream_id = $1 AND kind = $5)",
    )
    .bind(&mail.stream_id)
    .bind(&mail.kind)
    .bind(mail.version.cast_signed())
    .bind(SENT)
    .bind(ClaimKind::Email.as_str())
    .bind(mail.id)
    .bind(millis(LATELY))
    .fetch_one(pool)
    .await?;
    let (has_newer, last_sent, sent_lately, holds_claim) = row;
    // Below zero where it was settled after this transaction began.
    let last_sent = last_sent.map(|secs| Duration::try_from_secs_f64(secs).unwrap_or_default());
    let sent_lately = u32::try_from(sent_lately).unwrap_or(u32::MAX);
    Ok(MailsBeside { has_newer, last_sent, sent_lately, holds_claim })
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
