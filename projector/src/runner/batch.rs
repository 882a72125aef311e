//! The transaction: positions first, then duplicates, then rows.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use read_models::recorded::Recorded;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::Projection;
use super::failure::Failure;
use super::positions::{self, Move, Scope};
use super::seen::{self, Distinct, SeenError};

/// What a committed batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) events: usize,
    pub(super) duplicates: usize,
    pub(super) rows: u64,
}

/// Why a batch did not commit. Nothing of it is left behind, except after a failure at the commit
/// itself, whose outcome is unknown until the position is read again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BatchError {
    /// A position was not where the batch begins.
    Fenced,
    /// The generation is not folded any more.
    Retired,
    /// A record reuses an identity with another body.
    IdReused { partition: i32, offset: i64 },
    /// An attempt failed.
    Failed(Failure),
}

/// Folds a batch, or leaves everything as it was. The connection is usable afterwards unless the
/// failure is transient or a bug.
pub(super) async fn fold<P: Projection>(
    connection: &mut PgConnection,
    projection: &P,
    scope: &Scope,
    moves: &[Move],
    batch: &[&Recorded<P::Event>],
) -> Result<Folded, BatchError> {
    // A dropped transaction object would roll back only when the connection is used next, holding
    // the fence until then: the statements are sent by hand.
    connection.execute("BEGIN").await.map_err(bookkeeping("beginning a batch"))?;
    match write(connection, projection, scope, moves, batch).await {
        Ok(folded) => {
            connection.execute("COMMIT").await.map_err(bookkeeping("committing a batch"))?;
            Ok(folded)
        }
        Err(error) => {
            connection.execute("ROLLBACK").await.map_err(bookkeeping("rolling back a batch"))?;
            Err(error)
        }
    }
}

async fn write<P: Projection>(
    connection: &mut PgConnection,
    projection: &P,
    scope: &Scope,
    moves: &[Move],
    batch: &[&Recorded<P::Event>],
) -> Result<Folded, BatchError> {
    let moved = positions::advance(connection, scope, moves)
        .await
        .map_err(bookkeeping("moving positions"))?;
    if moved != moves.len() {
        return Err(BatchError::Fenced);
    }
    let folded = positions::generation_is_folded(connection, scope)
        .await
        .map_err(bookkeeping("reading the generation"))?;
    if !folded {
        return Err(BatchError::Retired);
    }
    let Distinct { events, duplicates } =
        seen::distinct(connection, scope, batch).await.map_err(|error| match error {
            SeenError::Database(error) => writing("looking up seen events")(error),
            SeenError::IdReused { partition, offset } => BatchError::IdReused { partition, offset },
        })?;
    // A panic of the fold is caught here, so that the lane goes on with another connection.
    let rows = AssertUnwindSafe(projection.fold(connection, scope.generation, &events))
        .catch_unwind()
        .await
        .map_err(|_| BatchError::Failed(Failure::panicked()))?
        .map_err(writing("writing rows"))?;
    Ok(Folded { events: events.len(), duplicates, rows })
}

/// A failure of what holds nothing of a record.
fn bookkeeping(doing: &'static str) -> impl Fn(sqlx::Error) -> BatchError {
    move |error| BatchError::Failed(Failure::of_database(&error, doing).without_record())
}

/// A failure of what holds a record's values.
fn writing(doing: &'static str) -> impl Fn(sqlx::Error) -> BatchError {
    move |error| BatchError::Failed(Failure::of_database(&error, doing))
}

/// Ends a session so that the server notices at once, in the background: what is left of its
/// transaction must not hold the fence.
pub(super) fn discard(connection: PgConnection) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), connection.close()).await;
    });
}
