//! Records appended exactly as they were elsewhere: nothing added, nothing made up.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kafka_io::config::{KafkaConfig, ProducerConfig};
use kafka_io::header::OwnedHeader;
use kafka_io::producer::{Producer, RawRecord, Refusal, SendError};
use kafka_io::record_reader::RecordReader;
use kafka_io::topic::Topic;
use settings::Settings;
use test_support::{Log, LogRecord, World, eventually};

use super::record_reader::served_world;

const PARTITION: i32 = 5;

/// A producer that takes records.
async fn producer(world: &World) -> Result<Producer> {
    let brokers = ("KAFKA_BROKERS".to_owned(), world.stack().brokers()?.to_owned());
    let mut settings = Settings::new([brokers]);
    let config = ProducerConfig::from_settings(&mut settings);
    let producer = Producer::start(&config, |_| {})?;
    eventually("the producer takes records", async || {
        let facts = producer.facts();
        ensure!(facts.unavailable.is_none(), "{facts:?}");
        Ok(())
    })
    .await?;
    Ok(producer)
}

fn reader(world: &World) -> Result<RecordReader> {
    let brokers = world.stack().brokers()?.to_owned();
    let kafka = KafkaConfig::plaintext(brokers, "tests");
    Ok(RecordReader::new(kafka, Duration::from_secs(20)))
}

/// What a record may look like.
struct Form {
    name: &'static str,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

fn header(name: &str, value: Option<&[u8]>) -> OwnedHeader {
    (name.to_owned(), value.map(<[u8]>::to_vec))
}

fn forms() -> Vec<Form> {
    let form = |name, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[OwnedHeader]| {
        let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        Form { name, key, value, headers: headers.to_vec() }
    };
    let (key, value) = (Some(&b"device-123"[..]), Some(&b"value"[..]));
    let one = [header("ce_id", Some(b"1"))];
    let bytes: Vec<u8> = (0u8..=255).cycle().take(1 << 20).collect();
    vec![
        form("everything is there", key, value, &one),
        form("no key", None, value, &one),
        form("an empty key", Some(b""), value, &one),
        form("a key that is not UTF-8", Some(&[0xff, 0, 0xfe]), value, &one),
        form("no value", key, None, &one),
        form("an empty value", key, Some(b""), &one),
        form("neither key nor value", None, None, &one),
        form("a megabyte", key, Some(&bytes), &one),
        form("no headers", key, value, &[]),
        form("nothing at all", None, None, &[]),
        form(
            "headers whose names repeat",
            key,
            value,
            &[header("b", Some(b"1")), header("a", Some(b"2")), header("b", Some(b"1"))],
        ),
        form(
            "headers without a value, with an empty one, with any bytes, without a name",
            key,
            value,
            &[
                header("absent", None),
                header("empty", Some(b"")),
                header("bytes", Some(&[0, 0xff, 0xc0])),
                header("", Some(b"x")),
                header("größe", None),
            ],
        ),
    ]
}

/// Appends and returns the offset.
async fn append(producer: &Producer, log: &Log, form: &Form) -> Result<i64> {
    let record = RawRecord {
        topic: log.topic(),
        partition: PARTITION,
        key: form.key.as_deref(),
        value: form.value.as_deref(),
        headers: &form.headers,
    };
    let sent = producer.send_raw(record).await;
    let offset = sent.with_context(|| form.name)?.offset.context("no offset")?;
    Ok(i64::try_from(offset)?)
}

fn must_be(form: &Form, found: &LogRecord) -> Result<()> {
    let name = form.name;
    // Never the values: one of them is a megabyte.
    ensure!(found.partition == PARTITION, "{name}: it is in partition {}", found.partition);
    ensure!(found.key == form.key, "{name}: the key is another");
    ensure!(found.value == form.value, "{name}: the value is another");
    ensure!(found.headers == form.headers, "{name}: the headers are {:?}", found.headers);
    Ok(())
}

#[tokio::test]
async fn every_form_of_a_record_is_appended_as_it_is_and_read_again_as_it_is() -> Result<()> {
    let world = served_world("raw-forms").await?;
    let (log, producer, reader) = (world.log()?, producer(&world).await?, reader(&world)?);
    let forms = forms();
    let mut offsets = Vec::new();
    for form in &forms {
        offsets.push(append(&producer, &log, form).await?);
    }
    let stored = log.read().await?;
    let read = reader.read(log.topic(), PARTITION, &offsets).await?;
    ensure!(stored.len() == forms.len() && read.len() == forms.len(), "some are missing");
    for ((form, stored), read) in forms.iter().zip(&stored).zip(read) {
        must_be(form, stored)?;
        ensure!(read.timestamp_ms == stored.timestamp_ms, "{}: the time is another", form.name);
        ensure!(read.offset == stored.offset, "{}: the offset is another", form.name);
        let read = LogRecord {
            partition: PARTITION,
            offset: read.offset,
            timestamp_ms: read.timestamp_ms,
            key: read.key,
            value: read.value,
            headers: read.headers,
        };
        must_be(form, &read)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_in_another_topic_differs_from_its_origin_in_place_and_time_only() -> Result<()> {
    let world = served_world("raw-copy").await?;
    let (log, producer, reader) = (world.log()?, producer(&world).await?, reader(&world)?);
    let letters = Topic::EventsDlq.name(world.prefix());
    for form in forms() {
        let offset = append(&producer, &log, &form).await?;
        let origin = reader.read(log.topic(), PARTITION, &[offset]).await?.remove(0);
        let copy = RawRecord {
            topic: &letters,
            partition: PARTITION,
            key: origin.key.as_deref(),
            value: origin.value.as_deref(),
            headers: &origin.headers,
        };
        let delivered = producer.send_raw(copy).await.with_context(|| form.name)?;
        let offset = i64::try_from(delivered.offset.context("no offset")?)?;
        let mut copy = reader.read(&letters, delivered.partition, &[offset]).await?.remove(0);
        ensure!(copy.identity().hash == origin.identity().hash, "{}: another hash", form.name);
        (copy.offset, copy.timestamp_ms) = (origin.offset, origin.timestamp_ms);
        ensure!(copy == origin, "{}: {copy:?} is no copy of {origin:?}", form.name);
    }
    Ok(())
}

#[tokio::test]
async fn a_record_goes_to_the_partition_that_is_named_whatever_its_key() -> Result<()> {
    let world = served_world("raw-partition").await?;
    let (log, producer) = (world.log()?, producer(&world).await?);
    let record = |partition| RawRecord {
        topic: log.topic(),
        partition,
        key: Some(b"device-123"),
        value: Some(b"value"),
        headers: &[],
    };
    let partitions = Topic::PARTITIONS;
    for partition in 0..partitions {
        let delivered = producer.send_raw(record(partition)).await?;
        ensure!(delivered.partition == partition, "{partition} became {}", delivered.partition);
    }
    let found: Vec<i32> = log.read().await?.iter().map(|record| record.partition).collect();
    ensure!(found == (0..partitions).collect::<Vec<_>>(), "they are in {found:?}");
    for partition in [-1, i32::MIN, partitions] {
        let sent = producer.send_raw(record(partition)).await;
        let is_refused = matches!(sent, Err(SendError::Refused(Refusal::Client(_))));
        ensure!(is_refused, "partition {partition}: {sent:?}");
    }
    ensure!(log.len().await? == i64::from(partitions), "a refused record is in the log");
    Ok(())
}
