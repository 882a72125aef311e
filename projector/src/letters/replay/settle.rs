//! Writing down what became of a letter.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::letter::{Place, Stored};
use super::{By, Outcome};
use crate::letters::{LetterState, parked, rest_after, store};
use crate::runner::{Failure, Scope};

/// Writes the letter's new state, the try and, for an operator, the line of the audit.
pub(super) async fn settle(
    connection: &mut PgConnection,
    scope: &Scope,
    stored: &Stored,
    outcome: &Outcome,
    by: By<'_>,
) -> Result<(), sqlx::Error> {
    noted(&mut *connection, stored, outcome, by).await?;
    match by {
        By::Schedule => Ok(()),
        By::Operator { who, reason } => {
            audit(connection, scope.projection, stored.id, who, reason, outcome).await
        }
    }
}

/// Writes the letter's new state and the try.
pub(super) async fn noted(
    connection: &mut PgConnection,
    stored: &Stored,
    outcome: &Outcome,
    by: By<'_>,
) -> Result<(), sqlx::Error> {
    match outcome {
        Outcome::Settled(state) => settled(&mut *connection, stored, *state).await?,
        Outcome::Failed(failure) => failed(&mut *connection, stored, failure, by).await?,
        Outcome::Skipped(_) => return Ok(()),
    }
    tried(connection, stored.id, outcome, by).await
}

async fn settled(
    connection: &mut PgConnection,
    stored: &Stored,
    state: LetterState,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE letters SET state = $2, settled_at = now(), last_tried_at = now(),
                next_try_at = NULL, attempts = attempts + 1
         WHERE id = $1",
    )
    .bind(stored.id)
    .bind(state.as_str())
    .execute(connection)
    .await
    .map(drop)
}

/// A letter that fails on schedule rests longer each time and is parked in the end, a fork at once; one
/// that an operator tried stays parked. One that waited behind others and fails is parked too.
async fn failed(
    connection: &mut PgConnection,
    stored: &Stored,
    failure: &Failure,
    by: By<'_>,
) -> Result<(), sqlx::Error> {
    let attempts = stored.attempts + 1;
    let rest = match by {
        By::Schedule if !failure.is_stream_fork() => rest_after(attempts),
        By::Schedule | By::Operator { .. } => None,
    };
    let state = if rest.is_some() { LetterState::Retrying } else { LetterState::Parked };
    sqlx::query(
        "UPDATE letters SET state = $2, attempts = $3, last_tried_at = now(),
                next_try_at = now() + $4 * interval '1 second',
                error_class = $5, error_code = $6, error_message = $7
         WHERE id = $1",
    )
    .bind(stored.id)
    .bind(state.as_str())
    .bind(attempts)
    .bind(rest.map(|rest| rest.as_secs_f64()))
    .bind(failure.class.label())
    .bind(&failure.code)
    .bind(&failure.message)
    .execute(&mut *connection)
    .await?;
    if state == LetterState::Parked {
        store::notice(connection, stored.id).await?;
    }
    Ok(())
}

async fn tried(
    connection: &mut PgConnection,
    letter: Uuid,
    outcome: &Outcome,
    by: By<'_>,
) -> Result<(), sqlx::Error> {
    let failure = match outcome {
        Outcome::Failed(failure) => Some(failure),
        Outcome::Settled(_) | Outcome::Skipped(_) => None,
    };
    let tried_by = match by {
        By::Schedule => "projector",
        By::Operator { who, .. } => who,
    };
    sqlx::query(
        "INSERT INTO letter_tries (letter_id, tried_by, outcome, error_class, error_code,
                                   error_message)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(letter)
    .bind(tried_by)
    .bind(outcome.label())
    .bind(failure.map(|failure| failure.class.label()))
    .bind(failure.map(|failure| failure.code.as_str()))
    .bind(failure.map(|failure| failure.message.as_str()))
    .execute(connection)
    .await
    .map(drop)
}

async fn audit(
    connection: &mut PgConnection,
    projection: &str,
    letter: Uuid,
    who: &str,
    reason: Option<&str>,
    outcome: &Outcome,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO letter_actions (id, acted_by, action, projection, letter_id, reason, outcome)
         VALUES ($1, $2, 'replay', $3, $4, $5, $6)",
    )
    .bind(Uuid::now_v7())
    .bind(who)
    .bind(projection)
    .bind(letter)
    .bind(reason)
    .bind(outcome.label())
    .execute(connection)
    .await
    .map(drop)
}

/// Lets a stream go on whose letters are all settled; else the first open one is its head now: the one
/// at which the replay is stuck, or the next to be tried.
pub(super) async fn unblock(
    connection: &mut PgConnection,
    scope: &Scope,
    place: &Place,
    is_stuck: bool,
) -> Result<(), sqlx::Error> {
    let (partition, Some(stream_id)) = (place.partition(), &place.stream_id) else {
        return Ok(());
    };
    let open: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM letters WHERE projection = $1 AND generation = $2 AND topic = $3
           AND epoch = $4 AND partition = $5 AND stream_id = $6 AND settled_at IS NULL
         ORDER BY coalesce(stream_version, 0), log_offset",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(partition)
    .bind(stream_id)
    .fetch_all(&mut *connection)
    .await?;
    let statement = match open.first() {
        Some(_) => {
            "UPDATE parked_keys SET head = $7, letters = $8
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6"
        }
        None => {
            "DELETE FROM parked_keys
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6 AND $7::uuid IS NULL AND $8 = 0"
        }
    };
    let changed = sqlx::query(statement)
        .bind(scope.projection)
        .bind(scope.generation)
        .bind(&scope.topic)
        .bind(scope.epoch)
        .bind(partition)
        .bind(stream_id)
        .bind(open.first())
        .bind(i32::try_from(open.len()).unwrap_or(i32::MAX))
        .execute(&mut *connection)
        .await?;
    if let Some((head, behind)) = open.split_first() {
        // More waited than one replay takes: the next begins here, by itself.
        sqlx::query(
            "UPDATE letters SET state = 'retrying', next_try_at = now()
             WHERE id = $1 AND (state = 'blocked' OR (state = 'parked' AND NOT $2))",
        )
        .bind(head)
        .bind(is_stuck)
        .execute(&mut *connection)
        .await?;
        // One that was the head before an earlier version came.
        parked::overtaken(&mut *connection, behind).await?;
    }
    let is_free = open.is_empty() && changed.rows_affected() > 0;
    let change = BTreeMap::from([(partition, -i32::from(is_free))]);
    parked::count(connection, scope, &change).await
}
