//! Folding letters again, with today's code, in one transaction with what becomes of them.
//!
//! Of a projection that keeps no order, one letter is replayed; of one that does, all letters of its
//! stream, in log order or that of their versions, until one fails. A live lane that meets the stream meanwhile waits for the
//! lock on it. A dry run is the same transaction rolled back. Nothing is written to event topics.
//!
//! Where the projection is cached, a replay announces itself like a batch, and has no effect while
//! Redis cannot be reached: it does not own the partition, so that it cannot let trust lapse.

mod attempt;
mod cached;
mod letter;
mod settle;
mod turns;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use event_schema::decode::{DecodeError, Decoder};
use event_schema::registry::{FetchError, Registry};
use futures_util::FutureExt as _;
use read_cache::failpoint;
use read_cache::times::LONGEST_TRANSACTION;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use super::LetterState;
use super::occurrence::LetterTried;
use crate::cache::{Announced, Announcer};
use crate::runner::{Failure, FailureClass, Order, Projection, Scope};
use letter::Place;

/// Letters that one replay takes at most; the rest of a stream is taken by the next.
pub const AT_ONCE: i64 = 500;

/// Rows of a stream as people are shown them, by name.
pub type Rows = BTreeMap<String, Value>;

/// On whose behalf letters are replayed.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// By themselves, because their time has come; others than those due are left alone.
    Schedule,
    /// For an operator, which leaves a line in the audit.
    Operator {
        /// Who.
        who: &'a str,
        /// Why, if it was said.
        reason: Option<&'a str>,
    },
}

/// Whether the replay has effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It has.
    Commit,
    /// It is rolled back: nothing changes, no try is counted, no audit is written.
    DryRun,
}

/// What became of one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was folded; see [`LetterState`].
    Settled(LetterState),
    /// It failed again.
    Failed(Failure),
    /// It was left alone.
    Skipped(&'static str),
}

impl Outcome {
    /// Stable name, for metrics, audit and scripts.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Settled(state) => state.as_str(),
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// One letter and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The letter.
    pub letter: Uuid,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a replay did, or would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The letters, in log order.
    pub letters: Vec<Replayed>,
    /// Rows of the stream before.
    pub before: Rows,
    /// Rows of the stream after.
    pub after: Rows,
}

/// Why a replay had no effect at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is no such letter of this projection.
    #[error("there is no letter {0} of this projection")]
    Unknown(Uuid),
    /// The build of the projection that the letter belongs to is not folded any more.
    #[error("the letter belongs to a build of the projection that is retired")]
    Retired,
    /// Something else than the letter is at fault: try again later.
    #[error("{0}")]
    Failed(Failure),
}

/// What a replay needs.
pub struct Replay<'a, P: Projection> {
    /// The projection that failed.
    pub projection: &'a P,
    /// Reads its events.
    pub decoder: &'a Decoder<P::Event>,
    /// Asked what a schema id means that the decoder does not know.
    pub registry: &'a Registry,
    /// Tells the cache; `None` where it is switched off.
    pub announcer: Option<&'a Announcer>,
}

impl<P: Projection> Replay<'_, P> {
    /// Replays the letter, or the stream it waits in. An error leaves everything as it was; after
    /// one the connection is to be closed, unless the error is [`ReplayError::Unknown`] or
    /// [`ReplayError::Retired`].
    pub async fn letter(
        &self,
        connection: &mut PgConnection,
        letter: Uuid,
        by: By<'_>,
        mode: Mode,
    ) -> Result<Report, ReplayError> {
        let place = letter::place(&mut *connection, letter)
            .await
            .map_err(failed("looking for a letter"))?
            .filter(|place| place.projection == P::NAME)
            .ok_or(ReplayError::Unknown(letter))?;
        self.learn(&mut *connection, &place).await?;
        // What it tells the cache lapses: the server ends it before. Of the session, since a time-out
        // that is set inside a transaction does not hold for it.
        let limit = format!("SET transaction_timeout = {}", LONGEST_TRANSACTION.as_millis());
        for statement in [limit.as_str(), "BEGIN"] {
            connection
                .execute(sqlx::AssertSqlSafe(statement))
                .await
                .map_err(failed("beginning a replay"))?;
        }
        let replayed = AssertUnwindSafe(self.within(&mut *connection, &place, by, mode))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(ReplayError::Failed(Failure::panicked())));
        let end = if replayed.is_ok() && mode == Mode::Commit { "COMMIT" } else { "ROLLBACK" };
        let ended = connection.execute(end).await.map_err(failed("ending a replay"));
        let (report, announced) = replayed?;
        // Where the outcome is not known, what was announced lapses by itself.
        ended?;
        failpoint!("replay/committed");
        if let (Some(announcer), Some(announced)) = (self.announcer, announced) {
            // Where Redis does not take it, the keys stay cold until the tombstones lapse.
            let _ = announcer.committed(announced).await;
            failpoint!("replay/told");
        }
        if mode == Mode::Commit {
            for Replayed { letter, outcome } in &report.letters {
                let (letter, outcome) = (*letter, outcome.label());
                LetterTried { projection: P::NAME, letter, outcome }.emit();
            }
        }
        Ok(report)
    }

    /// Asks the registry for schemas that letters of the place carry and the decoder does not know.
    /// A definite no is left to the attempt to say.
    async fn learn(&self, connection: &mut PgConnection, place: &Place) -> Result<(), ReplayError> {
        let values = letter::values(connection, place).await.map_err(failed("reading letters"))?;
        for value in values {
            let Err(DecodeError::UnknownSchemaId(id)) = self.decoder.decode(&value) else {
                continue;
            };
            if let Err(FetchError::Unavailable { .. }) = self.decoder.learn(self.registry, id).await
            {
                return Err(ReplayError::Failed(Failure {
                    class: FailureClass::Transient,
                    code: "registry".to_owned(),
                    message: format!("the registry does not say what schema id {id} means"),
                }));
            }
        }
        Ok(())
    }

    async fn within(
        &self,
        connection: &mut PgConnection,
        place: &Place,
        by: By<'_>,
        mode: Mode,
    ) -> Result<(Report, Option<Announced>), ReplayError> {
        let scope = place.scope(P::NAME);
        let held = self.hold_trust(&mut *connection, &scope, place).await?;
        let letters = letter::lock(&mut *connection, &scope, place, P::ORDER)
            .await
            .map_err(failed("locking letters"))?;
        failpoint!("replay/locked");
        if !letter::generation_is_folded(&mut *connection, &scope)
            .await
            .map_err(failed("reading the generation"))?
        {
            return Err(ReplayError::Retired);
        }
        let before = self.rows(&mut *connection, &scope, place).await?;
        let turns = turns::turns(letters, P::ORDER, self.decoder, place);
        let mut chains = turns::chains(&mut *connection, &scope, &turns).await?;
        let mut report = Report { before, ..Report::default() };
        let (mut changed, mut is_stuck) = (BTreeSet::new(), false);
        for turn in &turns {
            let (outcome, stream_id) =
                self.attempt(&mut *connection, &scope, turn, &mut chains, by).await?;
            changed.extend(stream_id);
            failpoint!("replay/folded");
            // Whatever comes after it in its stream may not overtake it.
            is_stuck = P::ORDER == Order::Sequenced && !matches!(outcome, Outcome::Settled(_));
            let stored = &turn.stored;
            settle::settle(&mut *connection, &scope, stored, &outcome, by)
                .await
                .map_err(failed("settling a letter"))?;
            failpoint!("replay/settled");
            report.letters.push(Replayed { letter: stored.id, outcome });
            if is_stuck {
                break;
            }
        }
        if P::ORDER == Order::Sequenced {
            settle::unblock(&mut *connection, &scope, place, is_stuck)
                .await
                .map_err(failed("unblocking a stream"))?;
        }
        changed.extend(self.meanwhile(&mut *connection, &scope, &turns, &report.letters).await?);
        report.after = self.rows(&mut *connection, &scope, place).await?;
        let announced = match held {
            Some(trust) if mode == Mode::Commit && !changed.is_empty() => {
                self.announce(connection, &scope, place, trust, &changed).await?
            }
            _ => None,
        };
        Ok((report, announced))
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        place: &Place,
    ) -> Result<Rows, ReplayError> {
        let Some(stream_id) = &place.stream_id else { return Ok(Rows::new()) };
        self.projection
            .rows(connection, scope.generation, stream_id, &place.record())
            .await
            .map_err(failed("reading rows"))
    }
}

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> ReplayError {
    move |error| ReplayError::Failed(Failure::of_database(&error, doing).without_record())
}

/// Writes down a try on schedule that took its whole transaction with it, such as a panic.
pub(crate) async fn failed_on_schedule(
    connection: &mut PgConnection,
    letter: Uuid,
    failure: &Failure,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let open = letter::due(&mut transaction, letter).await?;
    if let Some(stored) = open {
        let outcome = Outcome::Failed(failure.clone());
        settle::noted(&mut transaction, &stored, &outcome, By::Schedule).await?;
    }
    transaction.commit().await
}
