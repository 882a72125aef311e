//! A lane's connection to the database: made when first needed, and anew after anything that leaves
//! it in doubt.

use std::time::Duration;

use read_models::database::SessionLimits;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::LaneSetup;
use crate::cache::Commit;
use crate::letters::set_aside::Item;
use crate::runner::batch::{self, BatchError, Committed, Folding};
use crate::runner::positions::Move;
use crate::runner::{Failure, FailureClass, Projection};

#[derive(Default)]
pub(super) struct Session {
    connection: Option<PgConnection>,
}

impl Session {
    /// Ends it, within a second.
    pub(super) async fn end(self) {
        if let Some(connection) = self.connection {
            let _ = timeout(Duration::from_secs(1), connection.close()).await;
        }
    }

    /// Folds a batch in one transaction.
    pub(super) async fn fold<P: Projection>(
        &mut self,
        setup: &LaneSetup<P>,
        moves: &[Move],
        batch: &[&Item<P::Event>],
        commit: &Commit,
    ) -> Result<Committed, BatchError> {
        // The server ends a transaction by itself after the time-out; this is for a server that
        // does nothing by itself any more.
        let patience = setup.transaction_timeout + Duration::from_secs(1);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(setup, patience).await.map_err(BatchError::Failed)?,
        };
        let folding = Folding {
            projection: &*setup.projection,
            scope: &setup.scope,
            records: &setup.records,
            cache: &setup.cache,
            commit,
        };
        let outcome = timeout(patience, folding.fold(&mut connection, moves, batch))
            .await
            .unwrap_or_else(|_| Err(BatchError::Unknown(Failure::overdue("folding a batch"))));
        if outcome.as_ref().is_err_and(leaves_connection_unsound) {
            batch::discard(connection);
        } else {
            self.connection = Some(connection);
        }
        outcome
    }
}

/// Only an answer from the server leaves a session of which everything is known.
fn leaves_connection_unsound(error: &BatchError) -> bool {
    match error {
        BatchError::Unknown(_) => true,
        BatchError::Failed(failure) => {
            matches!(failure.class, FailureClass::Transient | FailureClass::Bug)
        }
        _ => false,
    }
}

async fn connect<P: Projection>(
    setup: &LaneSetup<P>,
    patience: Duration,
) -> Result<PgConnection, Failure> {
    let doing = "connecting";
    let limits = SessionLimits {
        idle_in_transaction: setup.transaction_timeout,
        transaction: setup.transaction_timeout,
        lock: setup.lock_timeout,
        statement: setup.transaction_timeout,
    };
    let options = setup.database.session(&setup.name, limits);
    match timeout(patience, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(Failure::of_database(&error, doing).without_record()),
        Err(_) => Err(Failure::overdue(doing)),
    }
}
