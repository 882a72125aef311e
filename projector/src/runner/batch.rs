//! The transaction: positions first, then what is known already, then rows and letters, and last,
//! under the locks of all of them, the word to the cache.

mod sort;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use domain::Timestamp;
use futures_util::FutureExt as _;
use kafka_io::record_reader::{OwnedRecord, ReadRecordError, RecordReader};
use read_cache::{CallError, Cover, failpoint};
use read_models::recorded::Recorded;
use sqlx::{Connection as _, Executor as _, PgConnection};
use telemetry::trace::{self, Step};
use tracing::Instrument as _;

use super::failure::{Failure, FailureClass};
use super::positions::{self, CacheGenerationMove, GenerationState, Move, Moved, Scope};
use super::seen::{self, Distinct, SeenError};
use super::{Event as _, Order, Projection};
use crate::cache::{Announced, Cache, Commit, Touched, generation_of};
use crate::letters::set_aside::{Item, SetAside};
use crate::letters::store;
use sort::{Aside, Past, Sorted, sort};

/// What a committed batch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) events: usize,
    pub(super) duplicates: usize,
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
    /// A record reuses an identity with another body.
    IdReused { partition: i32, offset: i64 },
    /// An attempt failed.
    Failed(Failure),
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
        let Sorted { events, asides } = sort(batch, P::ORDER, &past, parked);
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
        self.set_aside(&mut *connection, &asides).await?;
        let letters: BTreeSet<(i32, i64)> =
            asides.iter().map(|a| (a.record.partition, a.record.position.offset)).collect();
        let newest_letters = newest_letters(&moved, &letters);
        let events_folded = events.len();
        let folded = Folded { events: events_folded, duplicates, rows, letters, newest_letters };
        let announced = match self.commit {
            Commit::Announced => self.announce(connection, &moved, &events).await?,
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
        touched.extend(events.iter().map(|event| (event.event.stream_id(), event.partition)));
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

    /// Records of the batch that are letters already, which only a position that was set back meets.
    async fn known_letters(
        &self,
        connection: &mut PgConnection,
        moves: &[Move],
        moved: &[Moved],
    ) -> Result<BTreeSet<(i32, i64)>, BatchError> {
        let newest: BTreeMap<i32, i64> =
            moved.iter().map(|moved| (moved.partition, moved.last_letter)).collect();
        let meets_letters =
            |m: &Move| newest.get(&m.partition).is_some_and(|newest| m.advance.from <= *newest);
        if !moves.iter().any(meets_letters) {
            return Ok(BTreeSet::new());
        }
        store::known(connection, self.scope, moves).await.map_err(bookkeeping("reading letters"))
    }

    /// Streams of the batch that wait behind a letter, locked; asked only where a position says that
    /// there are any.
    async fn parked_streams(
        &self,
        connection: &mut PgConnection,
        moved: &[Moved],
        batch: &[&Item<P::Event>],
    ) -> Result<sort::Parked, BatchError> {
        if P::ORDER == Order::Independent || moved.iter().all(|moved| moved.parked_keys == 0) {
            return Ok(sort::Parked::new());
        }
        let streams = batch.iter().filter_map(|item| sort::stream_of(item)).collect();
        store::parked(connection, self.scope, &streams)
            .await
            .map_err(bookkeeping("locking parked streams"))
    }

    async fn set_aside(
        &self,
        connection: &mut PgConnection,
        asides: &[Aside<'_>],
    ) -> Result<(), BatchError> {
        if asides.is_empty() {
            return Ok(());
        }
        let scope = self.scope;
        let records = self.read_again(asides).await?;
        let letters: Vec<_> =
            asides.iter().zip(records).map(|(aside, record)| aside.letter(record)).collect();
        let doing = "writing letters";
        store::insert(&mut *connection, scope, &letters).await.map_err(bookkeeping(doing))?;
        if P::ORDER == Order::Sequenced {
            let waiting = sort::waiting(asides);
            store::block(&mut *connection, scope, &waiting).await.map_err(bookkeeping(doing))?;
        }
        failpoint!("batch/letters-written");
        let partitions = asides.iter().map(|aside| aside.record.partition).collect();
        let capped = store::over_the_cap(connection, scope, &partitions)
            .await
            .map_err(bookkeeping("counting letters"))?;
        capped.map_or(Ok(()), |reason| Err(BatchError::TooManyLetters(reason)))
    }

    /// The records as the log holds them, in the order of `asides`.
    async fn read_again(&self, asides: &[Aside<'_>]) -> Result<Vec<OwnedRecord>, BatchError> {
        let mut offsets: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for aside in asides {
            let SetAside { partition, position, .. } = &*aside.record;
            offsets.entry(*partition).or_default().push(position.offset);
        }
        let mut found = BTreeMap::new();
        for (partition, offsets) in offsets {
            let mut left = &offsets[..];
            // As many at a time as the reader holds at once.
            let mut at_once = left.len();
            while !left.is_empty() {
                let (some, rest) = left.split_at(at_once.min(left.len()));
                match self.records.read(&self.scope.topic, partition, some).await {
                    Ok(records) => {
                        found.extend(records.into_iter().map(|r| ((partition, r.offset), r)));
                        left = rest;
                    }
                    Err(ReadRecordError::TooMuch { fits }) if fits < some.len() => {
                        at_once = fits.max(1);
                    }
                    Err(error) => return Err(BatchError::Failed(not_read(&error))),
                }
            }
        }
        let take = |aside: &Aside<'_>| {
            let SetAside { partition, position, log_time, .. } = &*aside.record;
            let record = found.remove(&(*partition, position.offset));
            let is_same =
                |record: &OwnedRecord| Timestamp::from_millis(record.timestamp_ms) == *log_time;
            record.filter(is_same).ok_or_else(|| {
                BatchError::Failed(Failure {
                    class: FailureClass::DeployFault,
                    code: "log-replaced".to_owned(),
                    message: format!("the log holds another record at offset {}", position.offset),
                })
            })
        };
        asides.iter().map(take).collect()
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

/// The records are the same in a moment, unless the log has lost them. It is the partition that rests
/// meanwhile, not the lane: the database is there, and so may be the leaders of other partitions.
fn not_read(error: &ReadRecordError) -> Failure {
    let class =
        if error.is_transient() { FailureClass::Contention } else { FailureClass::DeployFault };
    Failure {
        class,
        code: error.kind().to_owned(),
        message: format!("reading a record again: {error}"),
    }
}

fn of_seen(error: SeenError) -> BatchError {
    match error {
        SeenError::Database(error) => writing("looking up seen events")(error),
        SeenError::IdReused { partition, offset } => BatchError::IdReused { partition, offset },
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
