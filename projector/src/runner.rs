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
//! - `batch` is the one transaction: position first, then duplicates, then rows;
//! - `progress` is what health, metrics and waiting readers are told.
//!
//! Exactly once rests on the fence: the transaction that folds records also moves the position, and
//! only from where these records begin. Whatever else goes wrong (a crash, a redelivery, a second
//! owner, an answer lost on the way) ends in a position that is not where it was left; then
//! everything is rolled back and read again from where the position really is.

mod batch;
mod decoding;
mod failure;
mod group;
mod lane;
mod occurrence;
mod partition;
mod plan;
mod positions;
mod progress;
mod publish;
mod seen;
mod supervisor;

use std::future::Future;
use std::time::Duration;

use domain::device::BodyHash;
use event_schema::decode::EventFamily;
use event_schema::registry::RegistryConfig;
use kafka_io::consumer::ConsumerConfig;
use kafka_io::topic::Topic;
use read_models::database::DatabaseConfig;
use read_models::recorded::Recorded;
use sqlx::PgConnection;
use uuid::Uuid;

pub use failure::{Failure, FailureClass};
pub use progress::{PartitionState, Progress, Standing};
pub(crate) use seen::to_datetime;
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
}

/// A fold of events into a read model.
pub trait Projection: Send + Sync + 'static {
    /// The name, in positions, health and metrics.
    const NAME: &'static str;
    /// Where its events are.
    const TOPIC: Topic;
    /// What it folds.
    type Event: Event;

    /// Writes what a batch does to the read model's rows of the generation, in one statement for
    /// the usual case.
    ///
    /// The events are distinct and stand in log order within each key. Some may have been folded
    /// before, when a position was set back: a record at or below its row's position changes
    /// nothing. Returns how many rows were written.
    fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<Self::Event>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
}

/// How a projection is run.
#[derive(Clone)]
pub struct RunnerConfig {
    /// How its records are read.
    pub consumer: ConsumerConfig,
    /// Where its tables are.
    pub database: DatabaseConfig,
    /// The schema registry, asked only for an id that is not known.
    pub registry: RegistryConfig,
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
