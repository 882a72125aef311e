//! The end of a topic, read by whoever must know what stands there and belongs to no group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::config::KafkaConfig;
use crate::header::own_headers;
use crate::record_reader::OwnedRecord;

/// Records that one call returns, about.
const AT_ONCE: usize = 10_000;

/// Bytes of records that one call returns, about.
const BYTES_AT_ONCE: usize = 64 << 20;

/// Longest wait for one answer of the brokers.
const ANSWER: Duration = Duration::from_secs(5);

/// Records at the end of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tail {
    /// Partition and record, each partition's in their order.
    pub records: Vec<(i32, OwnedRecord)>,
    /// Where to go on, by partition.
    pub next: BTreeMap<i32, i64>,
    /// True where there was no more when the call began.
    pub is_end: bool,
}

/// Why it was not read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// No broker gave it in time.
    #[error("the end of the topic {topic} could not be read in time")]
    Unavailable {
        /// The topic.
        topic: String,
        /// What the client says of it, if it does.
        #[source]
        source: Option<KafkaError>,
    },
}

/// Reads records at or behind these offsets, of partitions that are not named from their beginning,
/// up to the ends that the log has when the call begins. Blocks.
///
/// # Errors
/// The brokers did not answer within the time.
pub fn read(
    kafka: &KafkaConfig,
    topic: &str,
    from: &BTreeMap<i32, i64>,
    within: Duration,
) -> Result<Tail, TailError> {
    let until = Instant::now() + within;
    let unavailable =
        |source| TailError::Unavailable { topic: topic.to_owned(), source: Some(source) };
    let consumer = create(kafka).map_err(unavailable)?;
    let spans = spans(&consumer, topic, from).map_err(unavailable)?;
    let mut next: BTreeMap<i32, i64> =
        spans.iter().map(|(partition, (start, _))| (*partition, *start)).collect();
    let mut left: BTreeMap<i32, i64> = spans
        .iter()
        .filter(|(_, (start, end))| start < end)
        .map(|(partition, (_, end))| (*partition, *end))
        .collect();
    let mut assignment = TopicPartitionList::new();
    for partition in left.keys() {
        let at = Offset::Offset(next[partition]);
        assignment.add_partition_offset(topic, *partition, at).map_err(unavailable)?;
    }
    consumer.assign(&assignment).map_err(unavailable)?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while !left.is_empty() && records.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Err(TailError::Unavailable { topic: topic.to_owned(), source: None });
        }
        match consumer.poll(wait) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                left.remove(&partition);
            }
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(unavailable(error)),
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                next.insert(partition, offset + 1);
                if left.get(&partition).is_some_and(|end| offset + 1 >= *end) {
                    left.remove(&partition);
                }
                let record = OwnedRecord {
                    offset,
                    timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    // Whoever wrote names that are no text wrote nothing that anybody reads.
                    headers: own_headers(&message).unwrap_or_default(),
                };
                bytes += record.bytes();
                records.push((partition, record));
            }
        }
    }
    Ok(Tail { records, next, is_end: left.is_empty() })
}

/// From where to where each partition is to be read.
fn spans(
    consumer: &BaseConsumer,
    topic: &str,
    from: &BTreeMap<i32, i64>,
) -> Result<BTreeMap<i32, (i64, i64)>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let topics = metadata.topics().iter().filter(|found| found.name() == topic);
    let partitions: Vec<i32> =
        topics.flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
    if partitions.is_empty() {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
    }
    let span = |partition: i32| {
        let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER)?;
        let start = from.get(&partition).copied().unwrap_or(low).max(low);
        Ok((partition, (start, high)))
    };
    partitions.into_iter().map(span).collect()
}

fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
        )
    )
}

/// It takes no assignment without the name of a group, but joins none and commits nothing.
fn create(kafka: &KafkaConfig) -> Result<BaseConsumer, KafkaError> {
    kafka
        .client()
        .set("group.id", format!("{}-tail", kafka.client_id))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.queue.backoff.ms", "10")
        .set_log_level(RDKafkaLogLevel::Warning)
        .create()
}
