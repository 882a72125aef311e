//! What somebody would write who needs no promises: consume, decode, keep the latest of each
//! device, upsert; no position, no fence, no duplicates, no health.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use domain::device::DeviceEvent;
use event_schema::decode::{Decoder, KnownId};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// Where the loop reads and writes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Loop {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    schema_id: u32,
    #[arg(long)]
    database_url: String,
    #[arg(long)]
    events: u64,
    #[arg(long)]
    batch: usize,
}

/// The table of the loop: the columns of `resources`.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS bare_resources (
    id text PRIMARY KEY, payload json NOT NULL, version bigint NOT NULL, occurred_at timestamptz,
    recorded_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02)";

struct Latest {
    payload: String,
    events: i64,
    occurred_at: Option<DateTime<Utc>>,
    recorded_at: DateTime<Utc>,
}

/// Runs until it has folded as many events as it was told.
pub(crate) async fn run(bare: Loop) -> Result<()> {
    let mut connection = PgConnection::connect(&bare.database_url).await?;
    connection.execute(TABLE).await?;
    let decoder: Decoder<DeviceEvent> = Decoder::new([KnownId {
        schema_id: bare.schema_id,
        record_name: "millrace.device.DeviceEventReported".to_owned(),
        version: 1,
    }]);
    let consumer = consumer(&bare)?;
    let mut batches: BTreeMap<i32, (usize, HashMap<String, Latest>)> = BTreeMap::new();
    let mut folded = 0;
    while folded < bare.events {
        let full = match consumer.poll(Duration::from_millis(50)) {
            Some(message) => {
                let message = message?;
                let partition = message.partition();
                let (count, latest) = batches.entry(partition).or_default();
                let time = message.timestamp().to_millis().unwrap_or_default();
                let event = decoder.decode(message.payload().context("an empty value")?)?;
                keep_latest(latest, event, time);
                *count += 1;
                (*count == bare.batch).then_some(partition)
            }
            // The backlog's end: what is left is less than a batch.
            None => batches.iter().find(|(_, (count, _))| *count > 0).map(|(id, _)| *id),
        };
        if let Some((count, latest)) = full.and_then(|partition| batches.remove(&partition)) {
            upsert(&mut connection, latest).await?;
            folded += count as u64;
        }
    }
    Ok(())
}

fn consumer(bare: &Loop) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bare.brokers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "50")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(&bare.topic), Duration::from_secs(5))?;
    let Some(topic) = metadata.topics().first() else { bail!("no topic {}", bare.topic) };
    let mut list = TopicPartitionList::new();
    for partition in topic.partitions() {
        list.add_partition_offset(&bare.topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn keep_latest(latest: &mut HashMap<String, Latest>, event: DeviceEvent, time_ms: i64) {
    let DeviceEvent::Reported(event) = event;
    let recorded_at = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
    let occurred_at =
        event.occurred_at.and_then(|time| DateTime::from_timestamp_micros(time.micros()));
    let kept = latest.entry(event.device_id.into_string()).or_insert(Latest {
        payload: String::new(),
        events: 0,
        occurred_at,
        recorded_at,
    });
    (kept.payload, kept.occurred_at, kept.recorded_at) = (event.payload, occurred_at, recorded_at);
    kept.events += 1;
}

async fn upsert(connection: &mut PgConnection, latest: HashMap<String, Latest>) -> Result<()> {
    let mut rows: Vec<_> = latest.into_iter().collect();
    rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let ids: Vec<&str> = rows.iter().map(|(id, _)| id.as_str()).collect();
    let payloads: Vec<&str> = rows.iter().map(|(_, row)| row.payload.as_str()).collect();
    let events: Vec<i64> = rows.iter().map(|(_, row)| row.events).collect();
    let occurred: Vec<_> = rows.iter().map(|(_, row)| row.occurred_at).collect();
    let recorded: Vec<_> = rows.iter().map(|(_, row)| row.recorded_at).collect();
    sqlx::query(
        "INSERT INTO bare_resources AS r (id, payload, version, occurred_at, recorded_at, updated_at)
         SELECT b.id, b.payload::json, b.events, b.occurred_at, b.recorded_at, b.recorded_at
         FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
              AS b(id, payload, events, occurred_at, recorded_at)
         ON CONFLICT (id) DO UPDATE
         SET payload = excluded.payload, version = r.version + excluded.version,
             occurred_at = excluded.occurred_at, recorded_at = excluded.recorded_at,
             updated_at = excluded.updated_at",
    )
    .bind(ids)
    .bind(payloads)
    .bind(events)
    .bind(occurred)
    .bind(recorded)
    .execute(connection)
    .await?;
    Ok(())
}
