//! Every event of every device, by month.

use std::collections::{BTreeMap, BTreeSet};

use domain::device::DeviceEvent;
use kafka_io::topic::Topic;
use parking_lot::Mutex;
use read_models::device_history::{self, HistoryEntry, Month};
use read_models::recorded::{RecordPlace, Recorded};
use serde_json::Value;
use sqlx::PgConnection;

use crate::runner::{Late, Order, Projection, to_datetime};

/// Months that are made before they begin, beside the one that runs.
const MONTHS_AHEAD: i32 = 2;

/// Months that are dropped in one round at most.
const DROPPED_AT_ONCE: usize = 12;

/// Folds what devices report into `device_history`.
#[derive(Debug, Default)]
pub struct DeviceHistory {
    /// Whole months that are kept beside the one that runs; `None` keeps all.
    kept_months: Option<u16>,
    /// Months whose tables stand, by generation, as far as is known.
    made: Mutex<BTreeSet<(i32, Month)>>,
}

impl DeviceHistory {
    /// Keeps so many whole months beside the one that runs, or all of them.
    pub fn keeping(kept_months: Option<u16>) -> Self {
        Self { kept_months, made: Mutex::default() }
    }
}

impl Projection for DeviceHistory {
    const NAME: &'static str = "device_history";
    const TOPIC: Topic = Topic::EventsInput;
    const ORDER: Order = Order::Independent;
    type Event = DeviceEvent;

    /// Makes the tables of months that nobody has made ahead: those of a log that is folded again
    /// from its beginning, or of a projector that stood still for months.
    async fn prepare(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<DeviceEvent>],
    ) -> Result<(), sqlx::Error> {
        let times = batch.iter().map(|record| (Month::of(record.log_time), record.log_time));
        let months: BTreeMap<_, _> = times.collect();
        for (month, log_time) in months {
            if !self.made.lock().contains(&(generation, month)) {
                make_month(&mut *connection, generation, log_time).await?;
                self.made.lock().insert((generation, month));
            }
        }
        Ok(())
    }

    async fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<DeviceEvent>],
    ) -> Result<u64, sqlx::Error> {
        let written = insert(transaction, generation, &device_history::entries(batch)).await;
        if written.is_err() {
            // Perhaps a month was dropped meanwhile: the next attempt asks again.
            self.made.lock().clear();
        }
        written
    }

    async fn fold_late(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        event: &Recorded<DeviceEvent>,
    ) -> Result<Late, sqlx::Error> {
        make_month(&mut *transaction, generation, event.log_time).await?;
        insert(transaction, generation, &device_history::entries(&[event])).await?;
        // Nothing newer hides it: it is a row of its own.
        Ok(Late::Newest)
    }

    /// Makes the months to come and drops those that are not kept any more.
    async fn upkeep(
        &self,
        connection: &mut PgConnection,
        generation: i32,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT make_device_history_months_ahead($1, $2)")
            .bind(generation)
            .bind(MONTHS_AHEAD)
            .execute(&mut *connection)
            .await?;
        let Some(kept) = self.kept_months else { return Ok(()) };
        for _ in 0..DROPPED_AT_ONCE {
            let dropped: Option<String> =
                sqlx::query_scalar("SELECT drop_device_history_month($1, $2)")
                    .bind(generation)
                    .bind(i32::from(kept))
                    .fetch_one(&mut *connection)
                    .await?;
            let Some(table) = dropped else { break };
            self.made.lock().clear();
            tracing::info!(table, kept_months = kept, "a month of device history is dropped");
        }
        Ok(())
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        record: &RecordPlace,
    ) -> Result<BTreeMap<String, Value>, sqlx::Error> {
        let row: Option<String> = sqlx::query_scalar(
            "SELECT to_json(r)::text FROM device_history_rows r
             WHERE generation = $1 AND device_id = $2 AND recorded_at = $3 AND log_epoch = $4
               AND partition = $5 AND log_offset = $6",
        )
        .bind(generation)
        .bind(stream_id)
        .bind(to_datetime(record.log_time))
        .bind(record.position.epoch)
        .bind(record.partition)
        .bind(record.position.offset)
        .fetch_optional(connection)
        .await?;
        let row = row.and_then(|text| serde_json::from_str(&text).ok());
        Ok(row.map(|row| ("device_history".to_owned(), row)).into_iter().collect())
    }
}

async fn make_month(
    connection: &mut PgConnection,
    generation: i32,
    log_time: domain::Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT make_device_history_month($1, $2)")
        .bind(generation)
        .bind(to_datetime(log_time))
        .execute(connection)
        .await
        .map(drop)
}

/// Writes rows that are not there, in the order of their keys; returns how many those were.
async fn insert(
    transaction: &mut PgConnection,
    generation: i32,
    entries: &[HistoryEntry<'_>],
) -> Result<u64, sqlx::Error> {
    if entries.is_empty() {
        return Ok(0);
    }
    let written = sqlx::query(
        "INSERT INTO device_history_rows (generation, device_id, event_id, payload, occurred_at,
                                          recorded_at, log_epoch, partition, log_offset)
         SELECT $1, b.device_id, b.event_id, b.payload::json, b.occurred_at, b.recorded_at, b.epoch,
                b.partition, b.log_offset
         FROM UNNEST($2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                     $7::int[], $8::int[], $9::bigint[])
              AS b(device_id, event_id, payload, occurred_at, recorded_at, epoch, partition,
                   log_offset)
         ON CONFLICT DO NOTHING",
    )
    .bind(generation)
    .bind(column(entries, |entry| entry.device_id))
    .bind(column(entries, |entry| entry.event_id))
    .bind(column(entries, |entry| entry.payload))
    .bind(column(entries, |entry| entry.occurred_at.map(to_datetime)))
    .bind(column(entries, |entry| to_datetime(entry.recorded_at)))
    .bind(column(entries, |entry| entry.position.epoch))
    .bind(column(entries, |entry| entry.partition))
    .bind(column(entries, |entry| entry.position.offset))
    .execute(transaction)
    .await?;
    Ok(written.rows_affected())
}

fn column<'a, T>(entries: &[HistoryEntry<'a>], value: impl Fn(&HistoryEntry<'a>) -> T) -> Vec<T> {
    entries.iter().map(value).collect()
}
