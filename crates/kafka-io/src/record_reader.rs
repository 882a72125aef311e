//! Records of the log read again, whole and untouched, wherever they stand.
//!
//! A reader belongs to no group and commits nothing: it is assigned at the offset asked for and
//! given back afterwards. A record that is not there is noticed by what stands behind it or by the
//! ends of the log, never by waiting.

mod pass;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::sync::{Mutex, oneshot};

use crate::config::KafkaConfig;
use crate::header::{HeaderNameError, OwnedHeader};
use crate::ledger::Remembered;

/// Bytes that the records of one [`RecordReader::read`] may have together. A single record is read
/// whatever its size.
pub const MAX_READ_BYTES: usize = 32 << 20;

/// A record as the log holds it. Its `Debug` shows sizes, never contents.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Offset.
    pub offset: i64,
    /// The broker's time, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value, if any.
    pub value: Option<Vec<u8>>,
    /// Headers in order; names may repeat, values may be absent.
    pub headers: Vec<OwnedHeader>,
}

impl OwnedRecord {
    /// What the ledger knows it by: equal exactly if this is the record that was delivered before.
    pub fn identity(&self) -> Remembered {
        Remembered::of(self.offset, self.timestamp_ms, self.key.as_deref(), self.value.as_deref())
    }

    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + length(value));
        length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }
}

impl fmt::Debug for OwnedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRecord")
            .field("offset", &self.offset)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("key_bytes", &self.key.as_ref().map(Vec::len))
            .field("value_bytes", &self.value.as_ref().map(Vec::len))
            .field("headers", &self.headers.len())
            .finish()
    }
}

/// Why records were not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadRecordError {
    /// No broker gave them before the deadline, or it may not or cannot give them now. It passes.
    #[error("the log could not be read in time")]
    Unavailable {
        /// What the client says of it, if it does.
        #[source]
        source: Option<KafkaError>,
    },
    /// The log holds no such record: retention, deletion or compaction took it, or it lies behind
    /// the end of a log that was replaced.
    #[error("the log holds no record at offset {offset}")]
    Gone {
        /// The lowest of the offsets that has none.
        offset: i64,
    },
    /// A header has a name that is not UTF-8.
    #[error("the headers of the record at offset {offset} cannot be read")]
    Headers {
        /// The record's offset.
        offset: i64,
        /// Which header.
        #[source]
        source: HeaderNameError,
    },
    /// Together they have more than [`MAX_READ_BYTES`]: ask for fewer at a time.
    #[error("only the first {fits} of the records may be read at once")]
    TooMuch {
        /// How many, counted from the lowest offset, may be; at least 1.
        fits: usize,
    },
}

impl ReadRecordError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Stable label for metrics and health.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "log-unavailable",
            Self::Gone { .. } => "record-gone",
            Self::Headers { .. } => "header-name",
            Self::TooMuch { .. } => "too-much",
        }
    }
}

/// Reads given records of the log, one call at a time.
pub struct RecordReader {
    kafka: KafkaConfig,
    deadline: Duration,
    /// Made by the first call, and anew by the one after an error.
    consumer: Arc<Mutex<Option<Consumer>>>,
}

type Consumer = BaseConsumer<Context>;

/// The records of one call.
struct Request {
    topic: String,
    partition: i32,
    /// Rising.
    offsets: Vec<i64>,
    until: Instant,
}

impl RecordReader {
    /// A reader that gives each call this long. No broker is asked yet.
    pub fn new(kafka: KafkaConfig, deadline: Duration) -> Self {
        Self { kafka, deadline, consumer: Arc::default() }
    }

    /// The records at these offsets, in rising order, each once, all of them or none.
    ///
    /// Calls wait for each other within their own deadlines. Dropping the future lets a call that
    /// has begun run on unheard until its deadline at the latest.
    pub async fn read(
        &self,
        topic: &str,
        partition: i32,
        offsets: &[i64],
    ) -> Result<Vec<OwnedRecord>, ReadRecordError> {
        let until = Instant::now() + self.deadline;
        let mut offsets = offsets.to_vec();
        offsets.sort_unstable();
        offsets.dedup();
        let request = Request { topic: topic.to_owned(), partition, offsets, until };
        let free = Arc::clone(&self.consumer).lock_owned();
        let Ok(mut slot) = tokio::time::timeout_at(until.into(), free).await else {
            return Err(ReadRecordError::Unavailable { source: None });
        };
        let kafka = self.kafka.clone();
        let (answer, answered) = oneshot::channel();
        // The answer comes before the client of a failed call is closed, which may take a while.
        // Meanwhile the slot stays taken, so that there is never more than one.
        drop(tokio::task::spawn_blocking(move || serve(&mut slot, &kafka, &request, answer)));
        answered
            .await
            .unwrap_or(Err(ReadRecordError::Unavailable { source: Some(KafkaError::Canceled) }))
    }
}

type Answer = Result<Vec<OwnedRecord>, ReadRecordError>;

fn serve(
    slot: &mut Option<Consumer>,
    kafka: &KafkaConfig,
    request: &Request,
    answer: oneshot::Sender<Answer>,
) {
    let created = slot.take().map_or_else(|| create(kafka), Ok);
    let (read, consumer) = match created {
        Ok(consumer) => (pass::read(&consumer, request), Some(consumer)),
        Err(error) => (Err(ReadRecordError::Unavailable { source: Some(error) }), None),
    };
    if read.is_ok() {
        *slot = consumer;
        let _ = answer.send(read);
    } else {
        let _ = answer.send(read);
        drop(consumer);
    }
}

/// The client's settings. It takes no assignment without the name of a group, but joins none and
/// commits nothing.
fn create(kafka: &KafkaConfig) -> KafkaResult<Consumer> {
    let mut client = kafka.client();
    client
        .set("group.id", format!("{}-record-reader", kafka.client_id))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        // Whoever asks for a record has seen it, so no transaction hides it any more.
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "10")
        // The default of 1000 lets a consumer whose local queue was full sleep for a second.
        .set("fetch.queue.backoff.ms", "10")
        // What is fetched ahead of the records asked for: about as much again as one fetch.
        .set("queued.min.messages", "100")
        .set("queued.max.messages.kbytes", "2048")
        .set("fetch.message.max.bytes", "1048576")
        // A topic that a broker does not know is an error at once: it is older than its records.
        .set("topic.metadata.propagation.max.ms", "0")
        .set("socket.timeout.ms", "4000")
        .set("socket.nagle.disable", "true");
    client.create_with_context(Context)
}

struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::client_log::emit(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, reason, "the record reader reports an error");
    }
}

impl ConsumerContext for Context {}
