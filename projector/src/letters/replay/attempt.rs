//! One attempt at one letter, within the transaction of a replay.

use read_models::recorded::Recorded;
use sqlx::{Executor as _, PgConnection};

use super::turns::{self, Turn};
use super::{By, Outcome, Replay, ReplayError, failed};
use crate::letters::LetterState;
use crate::runner::sequence::{Chains, Verdict};
use crate::runner::stream_events::{self, OfStream};
use crate::runner::{Event as _, Failure, FailureClass, Late, Order, Projection, Scope, seen};

impl<P: Projection> Replay<'_, P> {
    /// Folds one letter, or leaves no trace of the attempt. Names the stream whose rows it changed:
    /// the event's own, which a letter of an earlier release may not have known.
    pub(super) async fn attempt(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        turn: &Turn<P::Event>,
        chains: &mut Chains,
        by: By<'_>,
    ) -> Result<(Outcome, Option<String>), ReplayError> {
        if let Some(reason) = turn.stored.leave_alone(by) {
            return Ok((Outcome::Skipped(reason), None));
        }
        let recorded = match &turn.event {
            Ok(recorded) => recorded,
            // A schema that this program lacks is waited for, but not by an operator.
            Err(failure)
                if failure.class == FailureClass::Poison || matches!(by, By::Operator { .. }) =>
            {
                return Ok((Outcome::Failed(failure.clone()), None));
            }
            Err(failure) => return Err(ReplayError::Failed(failure.clone())),
        };
        if let Some(event) = turn.of_stream() {
            match turns::judge(&mut *connection, scope, chains, event).await? {
                Verdict::Next => {}
                Verdict::Duplicate | Verdict::Discarded => {
                    return Ok((Outcome::Settled(LetterState::Duplicate), None));
                }
                Verdict::Fork => return Ok((Outcome::Failed(Failure::stream_fork()), None)),
                Verdict::Gap => return Ok((Outcome::Failed(Failure::version_gap()), None)),
            }
        }
        let savepoint = failed("marking the letter");
        connection.execute("SAVEPOINT letter").await.map_err(savepoint)?;
        match self.fold(&mut *connection, scope, recorded, turn.of_stream()).await {
            Ok(state) => {
                let released = connection.execute("RELEASE SAVEPOINT letter").await;
                released.map_err(failed("marking the letter"))?;
                if let Some((stream_id, link)) = turn.of_stream() {
                    chains.add(stream_id, link.version, link.event_id);
                }
                let has_changed = state != LetterState::Duplicate;
                let stream_id = has_changed.then(|| recorded.event.stream_id().to_owned());
                Ok((Outcome::Settled(state), stream_id))
            }
            Err(failure) if matches!(failure.class, FailureClass::Poison | FailureClass::Bug) => {
                let undone = connection.execute("ROLLBACK TO SAVEPOINT letter").await;
                undone.map_err(failed("undoing an attempt"))?;
                Ok((Outcome::Failed(failure), None))
            }
            Err(failure) => Err(ReplayError::Failed(failure)),
        }
    }

    async fn fold(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        recorded: &Recorded<P::Event>,
        decided: Option<OfStream<'_>>,
    ) -> Result<LetterState, Failure> {
        let distinct = seen::distinct_late(&mut *connection, scope, recorded).await;
        let distinct = distinct.map_err(|error| match error {
            seen::SeenError::Database(error) => {
                Failure::of_database(&error, "looking up seen events")
            }
            seen::SeenError::IdReused { .. } => Failure::id_reused(),
        })?;
        if distinct.events.is_empty() {
            return Ok(LetterState::Duplicate);
        }
        let refused = |error| Failure::of_database(&error, "writing rows");
        match P::ORDER {
            Order::Sequenced => {
                let (fold, generation) = (&self.projection, scope.generation);
                fold.fold(&mut *connection, generation, &[recorded]).await.map_err(refused)?;
                stream_events::record(connection, scope, decided.into_iter().collect())
                    .await
                    .map_err(|error| {
                        Failure::of_database(&error, "writing streams").without_record()
                    })?;
                Ok(LetterState::Applied)
            }
            Order::Independent => {
                let late = self.projection.fold_late(connection, scope.generation, recorded).await;
                Ok(match late.map_err(refused)? {
                    Late::Newest => LetterState::Applied,
                    Late::Superseded => LetterState::Superseded,
                })
            }
        }
    }
}
