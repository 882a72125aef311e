//! What an erasure does that cannot be folded yet.

use std::collections::BTreeSet;

use domain::user::{UserEvent, UserId};
use read_models::recorded::Recorded;
use sqlx::PgConnection;
use uuid::Uuid;

use super::UserStreamEvent;

/// Users whose erasure is among the events.
pub(super) fn erased(events: &[&Recorded<UserStreamEvent>]) -> BTreeSet<UserId> {
    let decided = events.iter().map(|record| record.event.decided());
    let erasures = decided.filter(|decided| matches!(decided.event, UserEvent::Erased));
    erasures.map(|decided| UserId(decided.aggregate_id)).collect()
}

/// Takes out of the rows what the fold of an erasure takes out, and nothing else: version, times and
/// position stay those of the newest event folded, so that the events that wait are folded in their turn.
/// Nothing that is folded into an erased row shows. Returns those that were not erased before.
pub(super) async fn redact(
    transaction: &mut PgConnection,
    generation: i32,
    users: &BTreeSet<UserId>,
) -> Result<Vec<UserId>, sqlx::Error> {
    let redacted: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE user_rows
         SET username = NULL, email = NULL, full_name = NULL, bio = NULL, image = NULL, roles = '{}',
             email_verified = false, active = false, erased = true, session_epoch = 0
         WHERE generation = $1 AND id = ANY($2) AND NOT erased RETURNING id",
    )
    .bind(generation)
    .bind(users.iter().map(|user| user.0).collect::<Vec<_>>())
    .fetch_all(transaction)
    .await?;
    Ok(redacted.into_iter().map(UserId).collect())
}
