//! A topic as tests write and read it, with records that no process of ours would write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use event_schema::decode::KnownId;
use event_schema::device;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{
    BorrowedMessage, DeliveryResult, Header, Headers as _, Message as _, OwnedHeaders,
};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use read_models::partitioner::partition_of;

use crate::report::{Backlog, Report};

/// How long the broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic of a test's own.
#[derive(Debug, Clone)]
pub struct Log {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) schema_id: u32,
    /// As many as it was deployed with.
    pub(crate) partitions: u32,
}

/// A record as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The log's time, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value, if any.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A record that is to be written.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Where, if not where the key belongs.
    pub partition: Option<i32>,
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value, if any.
    pub value: Option<Vec<u8>>,
    /// When, for a topic that takes the writer's clock.
    pub timestamp_ms: Option<i64>,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Log {
    /// Its name in the cluster.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition of a key.
    pub fn partition_of(&self, key: &[u8]) -> i32 {
        partition_of(key, self.partitions).cast_signed()
    }

    /// The first device that is called so, with a number behind it, whose events stand in the
    /// partition.
    pub fn device_in(&self, partition: i32, name: &str) -> String {
        let mut named = (0u32..).map(|n| format!("{name}-{n}"));
        named.find(|device| self.partition_of(device.as_bytes()) == partition).unwrap_or_default()
    }

    /// The id under which its values name their schema.
    pub fn schema_id(&self) -> u32 {
        self.schema_id
    }

    /// What its schema ids mean.
    pub fn known_ids(&self) -> impl Iterator<Item = KnownId> + use<> {
        let schema = device::WRITTEN;
        std::iter::once(KnownId {
            schema_id: self.schema_id,
            record_name: schema.record_name().to_owned(),
            version: schema.version(),
        })
    }

    /// The record of an event, as command-api would log it but for its headers.
    ///
    /// # Errors
    /// The event cannot be encoded.
    pub fn record(&self, report: &Report) -> Result<Outgoing> {
        let event = report.event();
        Ok(Outgoing {
            key: Some(event.device_id.as_str().as_bytes().to_vec()),
            value: Some(device::encode(event, self.schema_id)?),
            ..Outgoing::default()
        })
    }

    /// Writes events and waits until the log has them.
    ///
    /// # Errors
    /// The log did not take all.
    pub async fn append(&self, reports: impl IntoIterator<Item = Report>) -> Result<()> {
        let records: Result<Vec<_>> =
            reports.into_iter().map(|report| self.record(&report)).collect();
        self.append_raw(records?).await
    }

    /// Writes a backlog and waits until the log has it.
    ///
    /// # Errors
    /// The log did not take all.
    pub async fn append_backlog(&self, backlog: Backlog) -> Result<()> {
        let log = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            let writer = log.writer()?;
            let mut places = 0..backlog.events;
            places.try_for_each(|place| writer.write(&log.record(&backlog.report(place))?))?;
            writer.finish()
        });
        written.await.context("writing a backlog")?
    }

    /// Writes records and waits until the log has them.
    ///
    /// # Errors
    /// The log did not take all.
    pub async fn append_raw(&self, records: Vec<Outgoing>) -> Result<()> {
        let log = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            let writer = log.writer()?;
            records.into_iter().try_for_each(|record| writer.write(&record))?;
            writer.finish()
        });
        written.await.context("writing to the log")?
    }

    /// A writer for many records. It blocks.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn writer(&self) -> Result<Writer> {
        let context = Deliveries::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.messages", "200000")
            .create_with_context(context.clone())
            .context("making a producer")?;
        Ok(Writer { producer, topic: self.topic.clone(), deliveries: context })
    }

    /// The offset after the last record of each partition.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn ends(&self) -> Result<BTreeMap<i32, i64>> {
        let log = self.clone();
        tokio::task::spawn_blocking(move || log.ends_of(&log.consumer()?))
            .await
            .context("asking for log ends")?
    }

    /// How many records it holds, of a log that was never cut.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn len(&self) -> Result<i64> {
        Ok(self.ends().await?.values().sum())
    }

    /// Every record, in order within each partition.
    ///
    /// # Errors
    /// The log cannot be read to its ends.
    pub async fn read(&self) -> Result<Vec<LogRecord>> {
        let log = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut records = Vec::new();
            log.for_each(|message| records.push(LogRecord::of(message)))?;
            records.sort_by_key(|record| (record.partition, record.offset));
            anyhow::Ok(records)
        });
        read.await.context("reading the log")?
    }

    /// Calls `each` with every record there is now. Blocks.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&BorrowedMessage<'_>)) -> Result<()> {
        let consumer = self.consumer()?;
        let mut missing = self.ends_of(&consumer)?;
        missing.retain(|_, end| *end > 0);
        let mut list = TopicPartitionList::new();
        for partition in missing.keys() {
            list.add_partition_offset(&self.topic, *partition, Offset::Beginning)?;
        }
        consumer.assign(&list).context("assigning the reader")?;
        while !missing.is_empty() {
            let Some(message) = consumer.poll(PATIENCE) else {
                bail!("the log gave nothing for {PATIENCE:?} before the ends {missing:?}");
            };
            let message = message.context("reading the log")?;
            if missing.get(&message.partition()).is_some_and(|end| message.offset() < *end) {
                each(&message);
            }
            let is_last = |end: &i64| message.offset() + 1 >= *end;
            if missing.get(&message.partition()).is_some_and(is_last) {
                missing.remove(&message.partition());
            }
        }
        Ok(())
    }

    fn consumer(&self) -> Result<BaseConsumer> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "system-tests")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .context("making a reader of the log")
    }

    fn ends_of(&self, consumer: &BaseConsumer) -> Result<BTreeMap<i32, i64>> {
        let metadata = consumer.fetch_metadata(Some(&self.topic), PATIENCE)?;
        let topic = metadata.topics().first().context("the topic is not described")?;
        ensure!(topic.error().is_none(), "the topic {} is not there", self.topic);
        topic
            .partitions()
            .iter()
            .map(|partition| Ok((partition.id(), self.end_of(consumer, partition.id())?)))
            .collect()
    }

    /// A broker that has just been given a partition says for a moment that it is not its leader.
    fn end_of(&self, consumer: &BaseConsumer, partition: i32) -> Result<i64> {
        let began = Instant::now();
        loop {
            match consumer.fetch_watermarks(&self.topic, partition, PATIENCE) {
                Ok((_, end)) => return Ok(end),
                Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl LogRecord {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            let owned = |header: Header<'_, &[u8]>| {
                (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
            };
            headers.iter().map(owned).collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// Writes records one after another; it blocks while the client's queue is full.
pub struct Writer {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    deliveries: Deliveries,
}

impl Writer {
    /// Hands a record to the client.
    ///
    /// # Errors
    /// The client refuses it.
    pub fn write(&self, outgoing: &Outgoing) -> Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic);
        record.partition = outgoing.partition;
        record.key = outgoing.key.as_deref();
        record.payload = outgoing.value.as_deref();
        record.timestamp = outgoing.timestamp_ms;
        if !outgoing.headers.is_empty() {
            let headers =
                outgoing.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
            record.headers = Some(headers);
        }
        while let Err((error, refused)) = self.producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("writing to the log");
            }
            record = refused;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Waits until the log has everything.
    ///
    /// # Errors
    /// The log did not take all.
    pub fn finish(self) -> Result<()> {
        self.producer.flush(Duration::from_secs(120)).context("waiting for the log")?;
        let failed = self.deliveries.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "the log did not take {failed} records");
        Ok(())
    }
}

/// Counts what the log did not take.
#[derive(Debug, Clone, Default)]
struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
