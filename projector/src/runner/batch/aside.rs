//! Letters of a batch: those that stand in its way, and those that it writes.

use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;
use kafka_io::record_reader::{OwnedRecord, ReadRecordError};
use read_cache::failpoint;
use read_models::recorded::Recorded;
use sqlx::PgConnection;
use uuid::Uuid;

use super::sort::{self, Aside};
use super::{BatchError, Folding, bookkeeping};
use crate::letters::set_aside::{Item, SetAside};
use crate::letters::{parked, store};
use crate::runner::positions::{Move, Moved};
use crate::runner::{Event as _, Failure, FailureClass, Order, Projection};

impl<P: Projection> Folding<'_, P> {
    /// Records of the batch that are letters already, which only a position that was set back meets.
    pub(super) async fn known_letters(
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
    pub(super) async fn parked_streams(
        &self,
        connection: &mut PgConnection,
        moved: &[Moved],
        batch: &[&Item<P::Event>],
    ) -> Result<sort::Parked, BatchError> {
        if P::ORDER == Order::Independent || moved.iter().all(|moved| moved.parked_keys == 0) {
            return Ok(sort::Parked::new());
        }
        let streams = batch.iter().filter_map(|item| sort::stream_of(item)).collect();
        parked::locked(connection, self.scope, &streams)
            .await
            .map_err(bookkeeping("locking parked streams"))
    }

    pub(super) async fn set_aside(
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
            parked::block(&mut *connection, scope, &waiting).await.map_err(bookkeeping(doing))?;
        }
        failpoint!("batch/letters-written");
        let partitions = asides.iter().map(|aside| aside.record.partition).collect();
        let capped = store::over_the_cap(connection, scope, &partitions)
            .await
            .map_err(bookkeeping("counting letters"))?;
        capped.map_or(Ok(()), |reason| Err(BatchError::TooManyLetters(reason)))
    }

    /// Does what cannot wait until these events are folded. Returns those of streams whose rows changed.
    pub(super) async fn meanwhile<'b>(
        &self,
        connection: &mut PgConnection,
        waiting: &[&'b Recorded<P::Event>],
    ) -> Result<Vec<&'b Recorded<P::Event>>, BatchError> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let changed = self
            .projection
            .on_set_aside(connection, self.scope.generation, waiting)
            .await
            .map_err(bookkeeping("writing what cannot wait"))?;
        let has_changed =
            |record: &&&Recorded<P::Event>| changed.contains(record.event.stream_id());
        Ok(waiting.iter().filter(has_changed).copied().collect())
    }

    /// Tells the heads of streams whose turn it is and whose it is not.
    pub(super) async fn take_turns(
        &self,
        connection: &mut PgConnection,
        due: &BTreeSet<Uuid>,
        overtaken: &[Uuid],
    ) -> Result<(), BatchError> {
        parked::due(&mut *connection, due).await.map_err(bookkeeping("waking letters"))?;
        parked::overtaken(connection, overtaken).await.map_err(bookkeeping("blocking letters"))
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
