//! The producing side of the log: idempotent, acknowledged by all replicas, and honest about what
//! it does not know.
//!
//! A record is refused only before it is queued: then nothing of it can reach the log. Whatever
//! happens after is [`SendError::Unknown`], because a record whose time ran out may still be in the
//! log. While the brokers are known to be away nothing is queued at all, and a producer that can
//! not go on (a fatal error of the idempotent client) is replaced behind the same handle.

mod availability;
mod client;
mod raw;
mod supervisor;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::config::ProducerConfig;
use crate::header::RecordHeaders;
use availability::Availability;
use client::Client;

pub use crate::statistics::ProducerStatistics;
pub use availability::Unavailable;
pub use raw::RawRecord;

/// A record to append.
#[derive(Debug)]
pub struct Record<'a> {
    /// The topic, as [`crate::topic::Topic::name`] spells it.
    pub topic: &'a str,
    /// The stream's id; it decides the partition.
    pub key: &'a [u8],
    /// The value.
    pub payload: &'a [u8],
    /// The headers.
    pub headers: RecordHeaders,
}

/// Where a record stands, once every in-sync replica has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset in the partition; `None` where the broker had the record from an earlier attempt
    /// and did not say where it stands.
    pub offset: Option<u64>,
}

/// Why a record has no place in the log, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not queued and is not in the log, now or later.
    #[error("the record was refused")]
    Refused(#[source] Refusal),
    /// It was queued, and whether it is or will be in the log is unknown.
    #[error("whether the record is in the log is unknown")]
    Unknown(#[source] LostOutcome),
}

/// Why a record was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many records wait as may wait; try again in a second.
    #[error("the queue to the brokers is full")]
    QueueFull,
    /// It is larger than a batch may be.
    #[error("the record is larger than the log takes")]
    TooLarge,
    /// The brokers do not answer; try again in a second.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The producer is being replaced after a fatal error; try again at once.
    #[error("the producer is being replaced")]
    Replacing,
    /// The process is stopping.
    #[error("the producer is stopping")]
    Stopping,
    /// The client refused it for another reason.
    #[error("the client refused the record ({0})")]
    Client(RDKafkaErrorCode),
}

/// How an outcome was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LostOutcome {
    /// The time for it ran out.
    #[error("no acknowledgement came in time")]
    TimedOut,
    /// The producer was replaced or stopped while the record was under way.
    #[error("the producer ended while the record was under way")]
    ProducerEnded,
    /// A broker answered with an error, perhaps after an attempt that took effect.
    #[error("a broker answered with an error ({0})")]
    Broker(RDKafkaErrorCode),
}

impl SendError {
    /// A stable name for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => match refusal {
                Refusal::QueueFull => "queue-full",
                Refusal::TooLarge => "too-large",
                Refusal::Unavailable(_) => "unavailable",
                Refusal::Replacing => "replacing",
                Refusal::Stopping => "stopping",
                Refusal::Client(_) => "client",
            },
            Self::Unknown(lost) => match lost {
                LostOutcome::TimedOut => "timed-out",
                LostOutcome::ProducerEnded => "producer-ended",
                LostOutcome::Broker(_) => "broker-error",
            },
        }
    }
}

/// Something an operator wants to hear of; the process turns it into a log line and a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Occurrence {
    /// The brokers answer, for the first time or again.
    Available,
    /// The brokers do not answer; records are refused until they do.
    Unavailable(Unavailable),
    /// A fatal error ended the client, and a new one has taken its place.
    Replaced {
        /// The client's error code.
        code: RDKafkaErrorCode,
        /// What the client says of it.
        reason: String,
    },
    /// What the client counted, every five seconds.
    Statistics(ProducerStatistics),
}

/// Where the producer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerFacts {
    /// Why records are refused, or `None` while they are taken.
    pub unavailable: Option<Unavailable>,
    /// Records queued whose outcome is not known yet.
    pub waiting: u64,
    /// How often a fatal error made a new client necessary.
    pub replaced: u64,
}

/// What was left when the producer stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Records whose outcome stays unknown; 0 when all were settled in time.
    pub unsettled: u64,
}

/// The producer could not be started: a setting that the client does not take.
#[derive(Debug, thiserror::Error)]
#[error("the producer could not be created; check the KAFKA and PRODUCER settings")]
pub struct StartProducerError(#[source] KafkaError);

/// Appends records to the log.
///
/// Starting never waits for a broker: until one answers, records are refused.
pub struct Producer {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

/// A record as the client takes it, with the way back for its outcome.
type Outgoing<'a> = BaseRecord<'a, [u8], [u8], Settle>;
type Settle = Box<oneshot::Sender<Result<Delivered, LostOutcome>>>;
type Outcome = oneshot::Receiver<Result<Delivered, LostOutcome>>;

/// What the handle, the client's callbacks and the supervisor share.
struct Shared {
    config: ProducerConfig,
    client: ArcSwap<Client>,
    state: Arc<State>,
}

/// What the client's callbacks write.
struct State {
    availability: Availability,
    replaced: AtomicU64,
    stopping: AtomicBool,
    wake: Notify,
    observe: Box<dyn Fn(Occurrence) + Send + Sync>,
}

impl Producer {
    /// Starts a producer on the current Tokio runtime. `observe` is called from the client's own
    /// thread too, so it must not block.
    pub fn start(
        config: &ProducerConfig,
        observe: impl Fn(Occurrence) + Send + Sync + 'static,
    ) -> Result<Self, StartProducerError> {
        let state = Arc::new(State {
            availability: Availability::new(Instant::now(), config.stall_timeout),
            replaced: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            wake: Notify::new(),
            observe: Box::new(observe),
        });
        let client = client::create(config, &state).map_err(StartProducerError)?;
        let shared = Arc::new(Shared {
            config: config.clone(),
            client: ArcSwap::from_pointee(client),
            state,
        });
        let supervisor = tokio::spawn(supervisor::supervise(Arc::clone(&shared)));
        Ok(Self { shared, supervisor })
    }

    /// Appends a record and waits until all in-sync replicas have it. Dropping the future does not
    /// take the record back.
    pub async fn send(&self, record: Record<'_>) -> Result<Delivered, SendError> {
        let outcome = self.enqueue(record).map_err(SendError::Refused)?;
        outcome.await.map_err(SendError::Unknown)
    }

    /// Queues a record, behind those of its key that were queued before. What is returned waits
    /// until all in-sync replicas have it; dropping that does not take the record back.
    pub fn enqueue(
        &self,
        record: Record<'_>,
    ) -> Result<impl Future<Output = Result<Delivered, LostOutcome>> + Send + use<>, Refusal> {
        let outcome = self.queue(record.topic, |outgoing| {
            outgoing.key(record.key).payload(record.payload).headers(record.headers.into_client())
        })?;
        Ok(settled(outcome))
    }

    fn queue<'a>(
        &self,
        topic: &'a str,
        fill: impl FnOnce(Outgoing<'a>) -> Outgoing<'a>,
    ) -> Result<Outcome, Refusal> {
        let state = &self.shared.state;
        if state.stopping.load(Ordering::Relaxed) {
            return Err(Refusal::Stopping);
        }
        let now = Instant::now();
        state.availability.check(now)?;
        let (settle, outcome) = oneshot::channel();
        let record = fill(BaseRecord::with_opaque_to(topic, Box::new(settle)));
        state.availability.queued(now);
        match self.shared.client.load().send(record) {
            Ok(()) => Ok(outcome),
            Err((error, _)) => {
                state.availability.not_queued();
                Err(self.refusal(&error))
            }
        }
    }

    fn refusal(&self, error: &KafkaError) -> Refusal {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Refusal::QueueFull,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Refusal::TooLarge,
            Some(RDKafkaErrorCode::Fatal) => {
                self.shared.state.wake.notify_one();
                Refusal::Replacing
            }
            code => Refusal::Client(code.unwrap_or(RDKafkaErrorCode::Unknown)),
        }
    }

    /// Where the producer stands now.
    pub fn facts(&self) -> ProducerFacts {
        let state = &self.shared.state;
        ProducerFacts {
            unavailable: state.availability.check(Instant::now()).err(),
            waiting: state.availability.waiting(),
            replaced: state.replaced.load(Ordering::Relaxed),
        }
    }

    /// Refuses new records and waits until every queued one is settled, at most until the deadline.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let state = &self.shared.state;
        state.stopping.store(true, Ordering::Relaxed);
        let client = self.shared.client.load_full();
        // An error here is the deadline; what is left is counted below.
        let flushed = tokio::task::spawn_blocking(move || client.flush(deadline));
        let _ = flushed.await;
        Drained { unsettled: state.availability.waiting() }
    }
}

/// Waits for what becomes of a queued record.
async fn settled(outcome: Outcome) -> Result<Delivered, LostOutcome> {
    outcome.await.unwrap_or(Err(LostOutcome::ProducerEnded))
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

#[cfg(test)]
mod tests;
