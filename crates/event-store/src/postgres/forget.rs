//! Forgetting what nobody asks for any more, some rows at a time: whoever forgets holds nothing up.

use std::time::Duration;

use sqlx::PgPool;

/// Rows that are forgotten together.
const AT_ONCE: i64 = 1_000;

/// Each by the index over its time; rows that another process is about to forget are its.
const REQUESTS: &str = "DELETE FROM requests WHERE (principal, key) IN (
         SELECT principal, key FROM requests
         WHERE answered_at < now() - $1 * interval '1 second'
         ORDER BY answered_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

const MAILS: &str = "DELETE FROM mails WHERE id IN (
         SELECT id FROM mails
         WHERE settled_at < now() - $1 * interval '1 second'
         ORDER BY settled_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

const REVOCATIONS: &str = "DELETE FROM revocations WHERE revocation_id IN (
         SELECT revocation_id FROM revocations
         WHERE expires_at < now() - $1 * interval '1 second'
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

const PENDING_REGISTRATIONS: &str = "DELETE FROM pending_registrations WHERE registration_id IN (
         SELECT registration_id FROM pending_registrations
         WHERE expires_at < now() - $1 * interval '1 second'
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

pub(super) async fn forget(pool: &PgPool, older_than: Duration) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    for (statement, older_than) in [
        (REQUESTS, older_than),
        (MAILS, older_than),
        (REVOCATIONS, Duration::ZERO),
        (PENDING_REGISTRATIONS, Duration::ZERO),
    ] {
        let deleted = sqlx::query(statement).bind(older_than.as_secs_f64()).bind(AT_ONCE);
        forgotten += deleted.execute(pool).await?.rows_affected();
    }
    Ok(forgotten)
}
