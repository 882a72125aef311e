//! The runner: takes a projection's records from the log and folds each exactly once.
//!
//! A [`Projection`] says what to fold and how; it never sees offsets, retries or the end of a
//! transaction. The runner owns those and never sees a table of a projection. Its parts:
//!
//! - the polling thread of `kafka_io::consumer` decodes records into feeds;
//! - `supervisor` prepares a run and begins anew when one fails;
//! - `group` owns membership: which partitions are ours, from which position they are read;
//! - a `lane` is one task with one database connection that folds some of the partitions;
//! - `partition` and `plan` are what a lane knows of a partition and does next, as plain data;
//! - `batch` is the one transaction: position first, then duplicates, then rows, then the word to the
//!   [cache](crate::cache);
//! - `sequence` judges decided events by their versions, as plain data;
//! - a record that cannot be folded becomes a [letter](crate::letters), in the same transaction;
//! - `upkeep` lets the projection look after its tables;
//! - `progress` is what health, metrics and waiting readers are told.
//!
//! Exactly once rests on the fence: the transaction that folds records also moves the position, and
//! only from where these records begin, under the assignment that was claimed last. Whatever else goes wrong (a crash, a redelivery, a second
//! owner, an answer lost on the way) ends in a position that is not where it was left; then
//! everything is rolled back and read again from where the position really is.

mod batch;
mod decoding;
mod failure;
mod freshness;
mod group;
mod lane;
mod occurrence;
mod partition;
mod plan;
mod positions;
mod progress;
mod publish;
mod reclaims;
pub(crate) mod seen;
pub(crate) mod sequence;
pub(crate) mod stream_events;
mod supervisor;
mod upkeep;
mod vitals;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use domain::device::BodyHash;
use event_schema::decode::EventFamily;
use event_schema::registry::RegistryConfig;
use kafka_io::config::ProducerConfig;
use kafka_io::consumer::ConsumerConfig;
use kafka_io::topic::Topic;
use read_cache::CacheConfig;
use read_models::cached::CachedRow;
use read_models::database::DatabaseConfig;
use read_models::recorded::{RecordPlace, Recorded};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use decoding::{Place, SharedDecoder, UNDECODABLE, event_of};
pub use failure::{Failure, FailureClass, Unreadable};
pub(crate) use failure::{STREAM_FORK, VERSION_GAP};
pub(crate) use positions::{Move, Scope};
pub use progress::{PartitionState, Progress, Standing};
pub(crate) use seen::to_datetime;
pub use sequence::Sequence;
pub use supervisor::Runner;

/// An event as the runner sees it: whose it is and whether its client named it.
pub trait Event: EventFamily + Send + Sync + 'static {
    /// The stream it belongs to, which is the key it is logged under.
    fn stream_id(&self) -> &str;

    /// Its identity.
    fn event_id(&self) -> Uuid;

    /// Hash of its body if the client named it: a second event with its identity has no effect,
    /// and one with another body is a reused id.
    fn client_named(&self) -> Option<BodyHash>;

    /// Its place in its stream, if it was decided; a fact has none.
    fn sequence(&self) -> Option<Sequence> {
        None
    }
}

/// What a projection owes to the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Events are facts, each complete in itself: one that cannot be folded is set aside alone, and
    /// folded late it changes what an early fold would have changed.
    Independent,
    /// An event means something only after those before it: behind one that cannot be folded, the
    /// later events of its stream wait. Decided events are folded in the order of their versions, each
    /// once and none around a gap.
    Sequenced,
}

/// What an event that is folded late did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It is the newest of its row.
    Newest,
    /// It counts, and a newer event had won before.
    Superseded,
}

/// A fold of events into a read model.
pub trait Projection: Send + Sync + 'static {
    /// The name, in positions, health and metrics.
    const NAME: &'static str;
    /// Where its events are.
    const TOPIC: Topic;
    /// What it owes to the order of events.
    const ORDER: Order;
    /// What its rows are called in the cache, a row for each stream; `None` where they are not cached.
    const CACHED_AS: Option<&'static str> = None;
    /// What it folds.
    type Event: Event;

    /// Makes what the rows of a batch need beside their tables, such as a partition. It runs before
    /// the batch's transaction and outlives it, also where the batch is rolled back.
    fn prepare(
        &self,
        _connection: &mut PgConnection,
        _generation: i32,
        _batch: &[&Recorded<Self::Event>],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Looks after the tables of the generation, now and then and beside the batches.
    fn upkeep(
        &self,
        _connection: &mut PgConnection,
        _generation: i32,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Writes what a batch does to the read model's rows of the generation, in one statement for
    /// the usual case.
    ///
    /// The events are distinct and stand in log order within each key, decided ones of a sequenced
    /// projection also without a gap and none twice. Of others some may have been folded
    /// before, when a position was set back: a record at or below its row's position changes
    /// nothing. Returns how many rows were written.
    fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<Self::Event>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Writes what one event does that was set aside before and is folded now, after events that
    /// came later. Only asked of [`Order::Independent`]; the event has never been folded.
    fn fold_late(
        &self,
        _transaction: &mut PgConnection,
        _generation: i32,
        _event: &Recorded<Self::Event>,
    ) -> impl Future<Output = Result<Late, sqlx::Error>> + Send {
        // Of a sequenced projection nothing is ever folded out of order.
        std::future::ready(Err(sqlx::Error::RowNotFound))
    }

    /// Writes what cannot wait until these events are folded: they are or stay set aside, at fault
    /// themselves or behind a letter, for as long as it takes. Their fold comes later, or never.
    ///
    /// It runs after the fold of what is folded beside them, and may be asked about an event more than
    /// once. Its failures are never taken for a record's. Returns the streams whose rows it changed.
    fn on_set_aside(
        &self,
        _transaction: &mut PgConnection,
        _generation: i32,
        _events: &[&Recorded<Self::Event>],
    ) -> impl Future<Output = Result<BTreeSet<String>, sqlx::Error>> + Send {
        std::future::ready(Ok(BTreeSet::new()))
    }

    /// What the row of a stream is called in the cache: as the stream, where the read model does not
    /// name it otherwise.
    fn cached_id(stream_id: &str) -> &str {
        stream_id
    }

    /// Rows as they stand in the cache, by what they are [called](Self::cached_id) there, as the
    /// transaction sees them; one that does not exist is missing. Asked only where they are cached.
    fn cached(
        &self,
        _transaction: &mut PgConnection,
        _generation: i32,
        _ids: &[&str],
    ) -> impl Future<Output = Result<Vec<(String, CachedRow)>, sqlx::Error>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// The rows of a stream by name, as people are shown them before and after a replay of this
    /// record; where a stream has many, those that the record may change.
    fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        record: &RecordPlace,
    ) -> impl Future<Output = Result<BTreeMap<String, Value>, sqlx::Error>> + Send;
}

/// How a projection is run.
#[derive(Clone)]
pub struct RunnerConfig {
    /// How its records are read.
    pub consumer: ConsumerConfig,
    /// How copies of letters are published.
    pub notices: ProducerConfig,
    /// The topic of those copies.
    pub notices_topic: String,
    /// Where its tables are.
    pub database: DatabaseConfig,
    /// The schema registry, asked only for an id that is not known.
    pub registry: RegistryConfig,
    /// The cache in front of reads; `None` where it is switched off.
    pub cache: Option<CacheConfig>,
    /// Tasks that fold side by side.
    pub lanes: usize,
    /// When a batch is folded.
    pub batch: BatchLimits,
    /// Longest transaction; its locks hold no longer, whatever happens to this process.
    pub transaction_timeout: Duration,
    /// Longest wait for a row lock.
    pub lock_timeout: Duration,
    /// Lines `processed message` in a second, at most.
    pub processed_lines_per_second: u32,
}

/// When what waits is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records at which a partition is folded alone.
    pub records: usize,
    /// Bytes at which a partition is folded alone.
    pub bytes: usize,
    /// Least time between the folds of what is smaller, so that batches form under load and a
    /// single event waits for nothing.
    pub age: Duration,
}
