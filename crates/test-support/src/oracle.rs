//! What the views must hold: the log folded in memory, record by record, without a database, a batch
//! or a position. Written apart from the folds it judges.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, ensure};
use domain::device::{BodyHash, DeviceEvent, DeviceEventReported};
use event_schema::decode::Decoder;
use rdkafka::Message as _;
use sqlx::PgPool;
use uuid::Uuid;

use crate::Log;

/// How long a client's id is remembered, in milliseconds of log time.
const REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A row of the view `resources`; times in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The payload as text.
    pub payload: String,
    /// How many distinct events.
    pub version: i64,
    /// By the device's clock.
    pub occurred_at: Option<i64>,
    /// Log time of the newest event.
    pub recorded_at: i64,
    /// Highest log time.
    pub updated_at: i64,
    /// Offset of the newest event.
    pub offset: i64,
}

/// The state after folding a log from its beginning.
#[derive(Debug, Default)]
pub struct Oracle {
    /// By device.
    pub rows: BTreeMap<String, StoredRow>,
    /// Next offset by partition, of those that hold records.
    pub positions: BTreeMap<i32, i64>,
    /// Records that cannot be folded, by partition and offset, with the stable name of the reason.
    pub letters: BTreeMap<(i32, i64), String>,
    /// Events without effect.
    pub duplicates: u64,
    seen: HashMap<Uuid, (i64, BodyHash)>,
}

impl Oracle {
    /// Folds what the log holds now.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn of(log: &Log) -> Result<Self> {
        let log = log.clone();
        tokio::task::spawn_blocking(move || {
            let decoder = Decoder::<DeviceEvent>::new(log.known_ids());
            let mut oracle = Self::default();
            log.for_each(|record| {
                let partition = record.partition();
                let (key, value) = (record.key(), record.payload());
                let time = record.timestamp().to_millis().unwrap_or_default();
                let offset = record.offset();
                // Java's clients would have put it there.
                let is_home = |key: &[u8]| log.partition_of(key) == partition;
                if let Err(kind) = oracle.fold(&decoder, key, value, is_home, time, offset) {
                    oracle.letters.insert((partition, offset), kind);
                }
                oracle.positions.insert(partition, offset + 1);
            })?;
            Ok(oracle)
        })
        .await
        .context("folding the log in memory")?
    }

    fn fold(
        &mut self,
        decoder: &Decoder<DeviceEvent>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        is_home: impl FnOnce(&[u8]) -> bool,
        time_ms: i64,
        offset: i64,
    ) -> Result<(), String> {
        let key = key.ok_or("no-key")?;
        let DeviceEvent::Reported(event) =
            decoder.decode(value.ok_or("no-value")?).map_err(|error| error.kind().to_owned())?;
        if event.device_id.as_str().as_bytes() != key {
            return Err("foreign-key".to_owned());
        }
        if !is_home(key) {
            return Err("foreign-partition".to_owned());
        }
        if serde_json::from_str::<serde_json::Value>(&event.payload).is_err() {
            // What Postgres says of a text that is no JSON.
            return Err("22P02".to_owned());
        }
        if let Some(hash) = event.body_hash {
            match self.seen.get(&event.request_id) {
                Some((first, body)) if time_ms - first <= REMEMBERED_MS => {
                    self.duplicates += 1;
                    return if *body == hash { Ok(()) } else { Err("id-reused".to_owned()) };
                }
                _ => drop(self.seen.insert(event.request_id, (time_ms, hash))),
            }
        }
        self.apply(event, time_ms, offset);
        Ok(())
    }

    fn apply(&mut self, event: DeviceEventReported, time_ms: i64, offset: i64) {
        let before = self.rows.get(event.device_id.as_str());
        let time = time_ms * 1000;
        let row = StoredRow {
            payload: event.payload,
            version: before.map_or(0, |row| row.version) + 1,
            occurred_at: event.occurred_at.map(|time| time.micros()),
            recorded_at: time,
            updated_at: before.map_or(time, |row| row.updated_at.max(time)),
            offset,
        };
        self.rows.insert(event.device_id.into_string(), row);
    }

    /// Refuses rows that are not exactly these.
    ///
    /// # Errors
    /// They differ; then with the first difference and how many there are.
    pub fn must_equal(&self, found: &BTreeMap<String, StoredRow>) -> Result<()> {
        let ids = self.rows.keys().chain(found.keys().filter(|id| !self.rows.contains_key(*id)));
        let differing: Vec<_> = ids.filter(|id| self.rows.get(*id) != found.get(*id)).collect();
        if let Some(id) = differing.first() {
            anyhow::bail!(
                "{} of {} rows differ from the log folded in memory, first {id}: wanted {:?}, found {:?}",
                differing.len(),
                self.rows.len(),
                self.rows.get(*id),
                found.get(*id)
            );
        }
        Ok(())
    }
}

/// Every row that readers see.
pub(crate) async fn stored_rows(pool: &PgPool) -> Result<BTreeMap<String, StoredRow>> {
    type Row = (String, String, i64, Option<i64>, i64, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, payload::text, version, (extract(epoch FROM occurred_at) * 1000000)::bigint,
                (extract(epoch FROM recorded_at) * 1000000)::bigint,
                (extract(epoch FROM updated_at) * 1000000)::bigint, log_offset
         FROM resources",
    )
    .fetch_all(pool)
    .await
    .context("reading the view")?;
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows
        .into_iter()
        .map(|(id, payload, version, occurred_at, recorded_at, updated_at, offset)| {
            (id, StoredRow { payload, version, occurred_at, recorded_at, updated_at, offset })
        })
        .collect();
    ensure!(rows.len() == count, "the view shows a device twice");
    Ok(rows)
}
