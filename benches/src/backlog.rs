//! A backlog of device events, as the command API would have logged them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::device::{Dedupe, DeviceEventReported, DeviceId};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use uuid::Uuid;

use crate::world::World;

/// What a backlog is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    /// Events in all.
    pub(crate) events: u64,
    /// Devices they are spread over, in a fixed pseudo-random order.
    pub(crate) devices: u64,
    /// Of 100 events, how many carry a client's id.
    pub(crate) client_named_percent: u64,
}

/// Writes the backlog to the world's topic and waits until the log has it.
pub(crate) async fn write(world: &World, backlog: Backlog) -> Result<()> {
    let (brokers, topic, id) = (world.brokers.clone(), world.topic.clone(), world.schema_id);
    tokio::task::spawn_blocking(move || produce(&brokers, &topic, id, backlog)).await?
}

/// The id of a device, by its number.
pub(crate) fn device_id(device: u64) -> String {
    format!("device-{device:06}")
}

fn produce(brokers: &str, topic: &str, schema_id: u32, backlog: Backlog) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("partitioner", "murmur2_random")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "500000")
        .create()?;
    for index in 0..backlog.events {
        let event = event(index, backlog);
        let value = event_schema::device::encode(&event, schema_id)?;
        let key = event.device_id.as_str();
        let mut record = BaseRecord::to(topic).key(key).payload(&value);
        while let Err((error, refused)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("writing the backlog");
            }
            record = refused;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(Duration::from_secs(60)).context("waiting for the log to have the backlog")
}

fn event(index: u64, backlog: Backlog) -> DeviceEventReported {
    // A fixed odd multiplier spreads consecutive indexes over the devices.
    let spread = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let device = (spread >> 16) % backlog.devices;
    let is_named = index % 100 < backlog.client_named_percent;
    DeviceEventReported {
        device_id: DeviceId::from_log(device_id(device)),
        request_id: Uuid::from_u128(u128::from(spread) << 64 | u128::from(index)),
        dedupe: if is_named { Dedupe::Client } else { Dedupe::None },
        body_hash: is_named.then_some([7; 32]),
        occurred_at: None,
        payload: payload(index),
    }
}

/// About 200 bytes, which makes a value of about 260.
fn payload(index: u64) -> String {
    format!(
        r#"{{"status":"ok","temp_c":{}.{},"battery":{},"firmware":"4.2.{}","position":{{"lat":52.{:06},"lon":13.{:06}}},"uptime_s":{},"note":"{}"}}"#,
        index % 40,
        index % 10,
        index % 100,
        index % 7,
        index % 999_983,
        index % 999_979,
        index,
        "x".repeat(60)
    )
}
