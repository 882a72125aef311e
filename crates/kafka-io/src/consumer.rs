//! The consumer shell: one thread polls, everything else happens elsewhere.
//!
//! The thread never sleeps and never waits for anything but the broker. It decodes each record where
//! its bytes are and appends it to the partition's [`Feed`]; a feed that is full is not polled, so
//! back-pressure holds partition by partition. Group membership is told to the owner as
//! [`Notice`]s; the owner answers with [`Command`]s, so that positions are read without blocking
//! the thread. Each assignment of a partition has a feed of its own: what an earlier assignment
//! still holds can never be taken for what a later one delivers.

mod context;
mod feed;
mod poll;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

pub use feed::{Capacity, Delivery, Feed};

use crate::config::KafkaConfig;
use crate::statistics::ConsumerStatistics;
use context::GroupContext;

/// How a projection's records are read.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// The consumer group.
    pub group: String,
    /// The name of this client, for operators.
    pub client: String,
    /// Whether the name is kept over restarts: then it is a static member of the group, and a
    /// restart within the session time-out moves no partition. Without, leaving hands over at once.
    pub is_static_member: bool,
    /// The topic.
    pub topic: String,
    /// Silence after which the group gives the member's partitions to others.
    pub session_timeout: Duration,
    /// Bytes the broker collects before it answers a fetch.
    pub fetch_min_bytes: u32,
    /// Longest time it collects.
    pub fetch_wait: Duration,
    /// Records and bytes that a partition may have in hand.
    pub capacity: Capacity,
}

/// A record as the broker delivered it, readable while it is being decoded.
pub struct RecordView<'a> {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The broker's time, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Value, if any.
    pub value: Option<&'a [u8]>,
    /// Value of the [header](Decode::header) that is wanted, if the record has it.
    pub header: Option<&'a [u8]>,
}

/// Makes of a record's bytes what the feed carries; runs on the polling thread.
pub trait Decode: Send + 'static {
    /// What the feed carries.
    type Item: Send + 'static;

    /// The one header that is to be looked for. To look takes time with every record.
    fn header(&self) -> Option<&'static str> {
        None
    }

    /// Decodes; what cannot be decoded is an item too, since nothing may be skipped.
    fn decode(&mut self, record: &RecordView<'_>) -> Self::Item;
}

/// A partition to read, from where, and into what.
pub struct Assignment<T> {
    /// Partition of the topic.
    pub partition: i32,
    /// First offset to deliver.
    pub offset: i64,
    /// Where its records go until it is released.
    pub feed: Arc<Feed<T>>,
}

/// What the owner asks of the polling thread.
pub enum Command<T> {
    /// Answers [`Notice::Assigned`]: reads the partitions from the given offsets.
    Assign(Vec<Assignment<T>>),
    /// Reads a partition again from another offset, into another feed.
    Reassign(Assignment<T>),
    /// Answers [`Notice::Revoked`]: the partitions are handed over.
    Release(Vec<i32>),
    /// Writes next offsets to the group, for tools that show them; nothing here reads them.
    Commit(BTreeMap<i32, i64>),
}

/// What the polling thread tells the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The group gave us partitions; they are read once [`Command::Assign`] says from where.
    Assigned(Vec<i32>),
    /// The group wants partitions back; it waits for [`Command::Release`].
    Revoked(Vec<i32>),
    /// The partitions were lost with the session; others may have them already.
    Lost(Vec<i32>),
    /// The partition cannot be read at the offset asked for.
    OffsetOutOfRange {
        /// Partition.
        partition: i32,
        /// What the client said.
        reason: String,
    },
    /// The partition cannot be read now, such as for a right that was withdrawn; a record that
    /// arrives says that it can be again.
    Unreadable {
        /// Partition.
        partition: i32,
        /// What the client said.
        reason: String,
    },
    /// Log ends as far as fetches have shown them.
    LogEnds(BTreeMap<i32, i64>),
    /// What the client counted, every second.
    Statistics(Box<ConsumerStatistics>),
    /// Whether any broker can be reached, with what the client says.
    Brokers {
        /// Whether one can.
        reachable: bool,
        /// The client's words.
        reason: String,
    },
    /// The client cannot go on; the thread has ended.
    Failed {
        /// The client's words.
        reason: String,
    },
}

/// A running consumer; dropping it leaves the thread to finish by itself.
pub struct Consumer<T> {
    commands: mpsc::Sender<Command<T>>,
    thread: std::thread::JoinHandle<()>,
}

/// Why a consumer did not start.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The client refused its configuration.
    #[error("creating the consumer of {topic}")]
    Create {
        /// Topic.
        topic: String,
        /// The client's reason.
        #[source]
        source: KafkaError,
    },
    /// The operating system gave no thread.
    #[error("starting the polling thread")]
    Thread(#[source] std::io::Error),
}

impl<T: Send + 'static> Consumer<T> {
    /// Joins the group. Notices arrive on `notices`; when its receiver is gone the thread ends.
    pub fn start<D: Decode<Item = T>>(
        config: &ConsumerConfig,
        decode: D,
        notices: tokio::sync::mpsc::UnboundedSender<Notice>,
    ) -> Result<Self, ConsumerError> {
        let create = |source| ConsumerError::Create { topic: config.topic.clone(), source };
        let context = GroupContext::new(config.topic.clone(), notices.clone());
        let consumer: BaseConsumer<GroupContext> =
            client_config(config).create_with_context(context).map_err(create)?;
        consumer.subscribe(&[&config.topic]).map_err(create)?;
        let (commands, inbox) = mpsc::channel();
        let polling =
            poll::Polling::new(Arc::new(consumer), config.topic.clone(), decode, inbox, notices);
        let thread = std::thread::Builder::new()
            .name(format!("poll-{}", config.topic))
            .spawn(move || polling.run())
            .map_err(ConsumerError::Thread)?;
        Ok(Self { commands, thread })
    }

    /// Asks the thread; one that has ended by itself has said so by [`Notice::Failed`].
    pub fn command(&self, command: Command<T>) {
        let _ = self.commands.send(command);
    }

    /// Ends the thread and waits for it. Blocks until the client is closed: about a round trip to
    /// the broker.
    pub fn stop(self) {
        drop(self.commands);
        let _ = self.thread.join();
    }
}

/// How many partitions the cluster gives a topic. Blocks for at most `patience`.
pub fn partition_count(
    kafka: &KafkaConfig,
    topic: &str,
    patience: Duration,
) -> Result<i32, PartitionCountError> {
    let unreachable = |source| PartitionCountError::Unreachable { topic: topic.to_owned(), source };
    let consumer: BaseConsumer = kafka.client().create().map_err(unreachable)?;
    let metadata = consumer.fetch_metadata(Some(topic), patience).map_err(unreachable)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.map(|found| (found.error(), found.partitions().len())) {
        Some((None, partitions)) => Ok(i32::try_from(partitions).unwrap_or(i32::MAX)),
        _ => Err(PartitionCountError::Missing { topic: topic.to_owned() }),
    }
}

/// Why a topic's partitions could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum PartitionCountError {
    /// No broker answered.
    #[error("no broker answers for topic {topic}: {source}")]
    Unreachable {
        /// Topic.
        topic: String,
        /// The client's reason.
        source: KafkaError,
    },
    /// The cluster has no such topic.
    #[error("topic {topic} does not exist: run the deploy step for topics")]
    Missing {
        /// Topic.
        topic: String,
    },
}

fn client_config(config: &ConsumerConfig) -> ClientConfig {
    let millis = |time: Duration| time.as_millis().to_string();
    let mut client = config.kafka.client();
    client
        .set("client.id", &config.client)
        .set("group.id", &config.group)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", millis(config.session_timeout))
        .set("heartbeat.interval.ms", millis(config.session_timeout / 5))
        // The position lives in Postgres. The group's offsets are written for tools and never
        // read: every assignment names its offset, and one out of range is an error.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "false")
        .set("check.crcs", "true")
        .set("fetch.min.bytes", config.fetch_min_bytes.to_string())
        .set("fetch.wait.max.ms", millis(config.fetch_wait))
        // The default of 1000 lets a consumer whose local queue was full sleep for a second.
        .set("fetch.queue.backoff.ms", "10")
        // Counted for each partition, since each has a queue of its own.
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "8192")
        // What a broker that hangs may hold up: a closing client waits for its last commit.
        .set("socket.timeout.ms", "4000")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("statistics.interval.ms", "1000");
    if config.is_static_member {
        client.set("group.instance.id", &config.client);
    }
    client
}
