//! The transaction: positions first, then what is known already, then rows and letters, and last,
//! under the locks of all of them, the word to the cache.

mod aside;
mod sequenced;
mod sort;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use kafka_io::record_reader::RecordReader;
use read_cache::{CallError, Cover, failpoint};
use read_models::recorded::Recorded;
use sqlx::{Connection as _, Executor as _, PgConnection};
use telemetry::trace::{self, Step};
use tracing::Instrument as _;

use super::failure::Failure;
use super::positions::{self, CacheGenerationMove, GenerationState, Move, Moved, Scope};
use super::seen::{self, Distinct, SeenError};
use super::{Event as _, Projection};
use crate::cache::{Announced, Cache, Commit, Touched, generation_of};
use crate::letters::set_aside::Item;
use sort::{Past, Sorted};

/// What a committed batch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) events: usize,
    /// Events that had an effect before, the absorbed among them.
    pub(super) duplicates: usize,
    /// Decided events that were folded before, as their versions tell.
    pub(super) absorbed: usize,
    pub(super) rows: u64,
    /// Partitions and offsets of the records that became letters; those that were letters before
    /// are not among them.
    pub(super) letters: BTreeSet<(i32, i64)>,
    /// Offset of the newest letter of each partition that moved, below 0 where there is none.
    pub(super) newest_letters: BTreeMap<i32, i64>,
}

/// A committed batch, and what it has announced.
pub(super) type Committed = (Folded, Option<Announced>);

/// Why a batch did not commit. Nothing of it is left behind, except of [`BatchError::Unknown`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BatchError {
    /// A position was not where the batch begins, or is somebody else's by now.
    Fenced,
    /// Nobody said what became of the commit: it is known once the positions are claimed anew.
    Unknown(Failure),
    /// The cache was not told, so that its bodies would be older than the rows.
    CacheLost(CallError),
    /// The generation is not folded any more.
    Retired,
    /// The projection has stopped itself, for this reason.
    Braked(String),
    /// There would be more letters than there may be.
    TooManyLetters(String),
    /// These records are at fault: one reuses an identity with another body, or does not follow what was
    /// folded of its stream.
    Blamed(Vec<Blamed>),
    /// An attempt failed.
    Failed(Failure),
}

/// A record that is at fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blamed {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) failure: Failure,
}

/// Folds batches of one projection.
pub(super) struct Folding<'a, P> {
    pub(super) projection: &'a P,
    pub(super) scope: &'a Scope,
    /// Reads again what is to be set aside.
    pub(super) records: &'a RecordReader,
    pub(super) cache: &'a Cache,
    /// What the cache is to hear of it.
    pub(super) commit: &'a Commit,
}

impl<P: Projection> Folding<'_, P> {
    /// Folds a batch, or leaves everything as it was. The connection is usable afterwards unless the
    /// failure is transient or a bug.
    pub(super) async fn fold(
        &self,
        connection: &mut PgConnection,
        moves: &[Move],
        batch: &[&Item<P::Event>],
    ) -> Result<Committed, BatchError> {
        let events: Vec<_> = batch.iter().filter_map(|item| item.event()).collect();
        self.projection
            .prepare(&mut *connection, self.scope.generation, &events)
            .await
            .map_err(bookkeeping("preparing tables"))?;
        // A dropped transaction object would roll back only when the connection is used next,
        // holding the fence until then: the statements are sent by hand.
        connection.execute("BEGIN").await.map_err(bookkeeping("beginning a batch"))?;
        match self.write(connection, moves, batch).await {
            Ok(committed) => {
                failpoint!("batch/prepared");
                let unknown = |error| Failure::of_database(&error, "committing a batch");
                connection
                    .execute("COMMIT")
                    .instrument(trace::step(Step::Commit))
                    .await
                    .map_err(|error| BatchError::Unknown(unknown(error).without_record()))?;
                failpoint!("batch/committed");
                Ok(committed)
            }
            Err(error) => {
                connection.execute("ROLLBACK").await.map_err(bookkeeping("rolling back"))?;
                Err(error)
            }
        }
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        moves: &[Move],
        batch: &[&Item<P::Event>],
    ) -> Result<Committed, BatchError> {
        let scope = self.scope;
        let cache_generation = match self.commit {
            Commit::Unannounced { .. } => CacheGenerationMove::Rises,
            Commit::Announced | Commit::Uncached => CacheGenerationMove::Stays,
        };
        let moved = positions::advance(&mut *connection, scope, moves, cache_generation)
            .await
            .map_err(bookkeeping("moving positions"))?;
        if moved.len() != moves.len() {
            return Err(BatchError::Fenced);
        }
        failpoint!("batch/positions-moved");
        let state = positions::generation_state(&mut *connection, scope)
            .await
            .map_err(bookkeeping("reading the generation"))?;
        match state {
            GenerationState::Folded => {}
            GenerationState::Retired => return Err(BatchError::Retired),
            GenerationState::Braked(reason) => return Err(BatchError::Braked(reason)),
        }
        let letters = self.known_letters(&mut *connection, moves, &moved).await?;
        let folded_to = moved.iter().map(|moved| (moved.partition, moved.folded_to)).collect();
        let past = Past { letters, folded_to };
        let parked = self.parked_streams(&mut *connection, &moved, batch).await?;
        let sorted = self.sorted(&mut *connection, batch, &past, parked).await?;
        let Sorted { events, asides, waiting, absorbed, passed, due, overtaken, .. } = sorted;
        let Distinct { events, duplicates } =
            seen::distinct(&mut *connection, scope, &events).await.map_err(of_seen)?;
        // A panic of the fold is caught here, so that the lane goes on with another connection.
        let rows =
            AssertUnwindSafe(self.projection.fold(&mut *connection, scope.generation, &events))
                .catch_unwind()
                .await
                .map_err(|_| BatchError::Failed(Failure::panicked()))?
                .map_err(writing("writing rows"))?;
        failpoint!("batch/rows-written");
        self.record(&mut *connection, &events, passed).await?;
        self.set_aside(&mut *connection, &asides).await?;
        self.take_turns(&mut *connection, &due, &overtaken).await?;
        let changed = self.meanwhile(&mut *connection, &waiting).await?;
        let letters: BTreeSet<(i32, i64)> =
            asides.iter().map(|a| (a.record.partition, a.record.position.offset)).collect();
        let newest_letters = newest_letters(&moved, &letters);
        let folded = Folded {
            events: events.len(),
            duplicates: duplicates + absorbed,
            absorbed,
            rows,
            letters,
            newest_letters,
        };
        let announced = match self.commit {
            Commit::Announced => {
                let touched = events.into_iter().chain(changed).collect::<Vec<_>>();
                self.announce(connection, &moved, &touched).await?
            }
            Commit::Unannounced { .. } | Commit::Uncached => None,
        };
        Ok((folded, announced))
    }

    /// Takes old bodies away and prepares the new ones of those that somebody reads.
    async fn announce(
        &self,
        connection: &mut PgConnection,
        moved: &[Moved],
        events: &[&Recorded<P::Event>],
    ) -> Result<Option<Announced>, BatchError> {
        let Some((announcer, noun)) = self.cache.announcer().filter(|_| !events.is_empty()) else {
            return Ok(None);
        };
        let mut touched = Touched::with_capacity_and_hasher(events.len(), Default::default());
        touched.extend(events.iter().map(|event| {
            let id = P::cached_id(event.event.stream_id());
            (id, event.partition)
        }));
        let agreed = |moved: &Moved| {
            let home = moved.cache_home.as_deref();
            announcer.trust(P::NAME, moved.partition, moved.cache_generation, home)
        };
        let windows = Cover::Windows(moved.iter().map(agreed).collect());
        let generations: BTreeMap<i32, i64> =
            moved.iter().map(|m| (m.partition, m.cache_generation)).collect();
        let mut announced = announcer
            .announce(noun, windows, &touched)
            .instrument(trace::step(Step::AnnounceToCache))
            .await
            .map_err(BatchError::CacheLost)?;
        failpoint!("batch/announced");
        let wanted: BTreeMap<&str, i32> =
            announcer.wanted(noun, &announced, &touched).into_iter().collect();
        if wanted.is_empty() {
            return Ok(Some(announced));
        }
        let ids: Vec<&str> = wanted.keys().copied().collect();
        let rows = self
            .projection
            .cached(connection, self.scope.generation, &ids)
            .await
            .map_err(bookkeeping("reading rows for the cache"))?;
        for (id, row) in rows {
            let partition = wanted.get(id.as_str());
            if let Some(generation) = partition.and_then(|partition| generations.get(partition)) {
                announcer.give(noun, &mut announced, &id, generation_of(*generation), &row);
            }
        }
        Ok(Some(announced))
    }
}

fn newest_letters(moved: &[Moved], written: &BTreeSet<(i32, i64)>) -> BTreeMap<i32, i64> {
    let mut newest: BTreeMap<i32, i64> =
        moved.iter().map(|moved| (moved.partition, moved.last_letter)).collect();
    for (partition, offset) in written {
        newest.entry(*partition).and_modify(|newest| *newest = (*newest).max(*offset));
    }
    newest
}

fn of_seen(error: SeenError) -> BatchError {
    match error {
        SeenError::Database(error) => writing("looking up seen events")(error),
        SeenError::IdReused { partition, offset } => {
            BatchError::Blamed(vec![Blamed { partition, offset, failure: Failure::id_reused() }])
        }
    }
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
