//! Trying letters again by themselves: nothing waits for it, and nobody has to ask.

use std::sync::Arc;
use std::time::Duration;

use event_schema::registry::Registry;
use read_cache::times::LONGEST_TRANSACTION;
use read_models::database::{DatabaseConfig, SessionLimits};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::replay::{By, Mode, Replay, ReplayError};
use crate::cache::Announcer;
use crate::runner::{Failure, FailureClass, Projection, Scope, SharedDecoder};

/// How often letters whose time has come are looked for, and how many are taken at once.
const EVERY: Duration = Duration::from_millis(500);
const AT_ONCE: i64 = 100;

/// Longest attempt; its transaction is over before what it tells the cache lapses.
const PATIENCE: Duration = LONGEST_TRANSACTION;

/// How long a letter rests whose attempt failed for a reason that is not its own.
const POSTPONED: Duration = Duration::from_secs(2);

/// What letters of one build of a projection are tried again with.
pub(crate) struct Retry<P: Projection> {
    pub(crate) projection: Arc<P>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) decoder: SharedDecoder<P::Event>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) announcer: Option<Arc<Announcer>>,
    pub(crate) database: DatabaseConfig,
}

impl<P: Projection> Retry<P> {
    /// Tries until it is aborted.
    pub(crate) async fn run(self) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = None;
        loop {
            tick.tick().await;
            let round = timeout(PATIENCE, self.round(&mut connection)).await;
            let failure = match round {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure,
                Err(_) => Failure::overdue("trying letters again"),
            };
            // Nothing is known of what the session has open.
            connection = None;
            tracing::debug!(error.code = failure.code, "letters are tried later: {failure}");
        }
    }

    async fn round(&self, connection: &mut Option<PgConnection>) -> Result<(), Failure> {
        let due = self.due(self.connected(connection).await?).await?;
        for letter in due {
            let attempted = self.attempt(self.connected(connection).await?, letter).await;
            if let Err(failure) = attempted {
                // What is open in the session is not known, and the letter may be the reason: the
                // others go before it.
                *connection = None;
                // A defect was written down as a try, with the rest that follows one.
                if failure.class != FailureClass::Bug {
                    postpone(self.connected(connection).await?, letter).await?;
                }
                tracing::warn!(letter.id = %letter, error.code = failure.code, "a letter is tried later: {failure}");
            }
        }
        Ok(())
    }

    async fn connected<'c>(
        &self,
        connection: &'c mut Option<PgConnection>,
    ) -> Result<&'c mut PgConnection, Failure> {
        match connection {
            Some(connection) => Ok(connection),
            None => Ok(connection.insert(self.connect().await?)),
        }
    }

    async fn attempt(&self, connection: &mut PgConnection, letter: Uuid) -> Result<(), Failure> {
        let replay = Replay {
            projection: &*self.projection,
            decoder: &self.decoder,
            registry: &self.registry,
            announcer: self.announcer.as_deref(),
        };
        match replay.letter(connection, letter, By::Schedule, Mode::Commit).await {
            Ok(_) | Err(ReplayError::Unknown(_) | ReplayError::Retired) => Ok(()),
            Err(ReplayError::Failed(failure)) if failure.class == FailureClass::Bug => {
                // The attempt took the session with it; that it was made is written by another.
                let mut connection = self.connect().await?;
                super::replay::failed_on_schedule(&mut connection, letter, &failure)
                    .await
                    .map_err(|error| Failure::of_database(&error, "writing a failed try"))?;
                Err(failure)
            }
            Err(ReplayError::Failed(failure)) => Err(failure),
        }
    }

    /// Letters whose time has come, the oldest first.
    async fn due(&self, connection: &mut PgConnection) -> Result<Vec<Uuid>, Failure> {
        sqlx::query_scalar(
            "SELECT l.id FROM letters l JOIN generations g USING (projection, generation)
             WHERE l.projection = $1 AND l.generation = $2 AND l.state = 'retrying'
               AND l.next_try_at <= now() AND g.brake IS NULL
             ORDER BY l.next_try_at LIMIT $3",
        )
        .bind(self.scope.projection)
        .bind(self.scope.generation)
        .bind(AT_ONCE)
        .fetch_all(connection)
        .await
        .map_err(|error| Failure::of_database(&error, "looking for letters"))
    }

    async fn connect(&self) -> Result<PgConnection, Failure> {
        let limits = SessionLimits {
            idle_in_transaction: PATIENCE / 2,
            transaction: PATIENCE,
            lock: Duration::from_secs(2),
            statement: PATIENCE,
        };
        let name = format!("projector-{}-letters", self.scope.projection);
        PgConnection::connect_with(&self.database.session(&name, limits))
            .await
            .map_err(|error| Failure::of_database(&error, "connecting"))
    }
}

/// Puts a letter behind the others, without counting a try.
async fn postpone(connection: &mut PgConnection, letter: Uuid) -> Result<(), Failure> {
    sqlx::query(
        "UPDATE letters SET next_try_at = now() + $2 * interval '1 second'
         WHERE id = $1 AND state = 'retrying'",
    )
    .bind(letter)
    .bind(POSTPONED.as_secs_f64())
    .execute(connection)
    .await
    .map(drop)
    .map_err(|error| Failure::of_database(&error, "putting a letter off"))
}
