//! The latest state of every device.

use std::collections::{BTreeMap, HashMap};

use domain::device::DeviceEvent;
use kafka_io::topic::Topic;
use read_models::cached::CachedRow;
use read_models::recorded::{LogPosition, RecordPlace, Recorded};
use read_models::resource::{self, ResourceChange};
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::runner::{Late, Order, Projection, to_datetime};

/// Folds what devices report into `resources`.
pub struct Resource;

impl Projection for Resource {
    const NAME: &'static str = "resource";
    const TOPIC: Topic = Topic::EventsInput;
    const ORDER: Order = Order::Independent;
    const CACHED_AS: Option<&'static str> = Some("resource");
    type Event = DeviceEvent;

    async fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<DeviceEvent>],
    ) -> Result<u64, sqlx::Error> {
        judge(&mut *transaction, batch).await?;
        let changes = resource::reduce(batch);
        let written = upsert(transaction, generation, &changes).await?;
        if written == changes.len() as u64 {
            return Ok(written);
        }
        // Some rows have seen part of the batch before: a position was set back.
        let ids: Vec<&str> = changes.iter().map(|change| change.id).collect();
        let folded = positions_of(transaction, generation, &ids).await?;
        let unseen = resource::reduce_after(batch, |id| folded.get(id).copied());
        Ok(written + upsert(transaction, generation, &unseen).await?)
    }

    async fn fold_late(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        event: &Recorded<DeviceEvent>,
    ) -> Result<Late, sqlx::Error> {
        for change in &resource::reduce(&[event]) {
            if !upsert_late(&mut *transaction, generation, change).await? {
                return Ok(Late::Superseded);
            }
        }
        Ok(Late::Newest)
    }

    async fn cached(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        stream_ids: &[&str],
    ) -> Result<Vec<(String, CachedRow)>, sqlx::Error> {
        let stored = resource::find(transaction, generation, stream_ids).await?;
        Ok(stored.into_iter().map(|stored| (stored.id.clone(), stored.cached())).collect())
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        _: &RecordPlace,
    ) -> Result<BTreeMap<String, Value>, sqlx::Error> {
        let row: Option<String> = sqlx::query_scalar(
            "SELECT to_json(r)::text FROM resource_rows r WHERE generation = $1 AND id = $2",
        )
        .bind(generation)
        .bind(stream_id)
        .fetch_optional(connection)
        .await?;
        let row = row.and_then(|text| serde_json::from_str(&text).ok());
        Ok(row.map(|row| ("resources".to_owned(), row)).into_iter().collect())
    }
}

/// Counts one event that was set aside before, and shows it where nothing newer is shown. Returns
/// whether it is shown.
async fn upsert_late(
    transaction: &mut PgConnection,
    generation: i32,
    change: &ResourceChange<'_>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO resource_rows AS r (generation, id, payload, version, occurred_at, recorded_at,
                                         updated_at, log_epoch, log_offset, batch_start)
         VALUES ($1, $2, $3::json, 1, $4, $5, $5, $6, $7, $7)
         ON CONFLICT (generation, id) DO UPDATE
         SET (payload, occurred_at, recorded_at, log_epoch, log_offset, batch_start) = (
                 SELECT CASE WHEN n.is_newer THEN excluded.payload ELSE r.payload END,
                        CASE WHEN n.is_newer THEN excluded.occurred_at ELSE r.occurred_at END,
                        CASE WHEN n.is_newer THEN excluded.recorded_at ELSE r.recorded_at END,
                        CASE WHEN n.is_newer THEN excluded.log_epoch ELSE r.log_epoch END,
                        CASE WHEN n.is_newer THEN excluded.log_offset ELSE r.log_offset END,
                        CASE WHEN n.is_newer THEN excluded.batch_start ELSE r.batch_start END
                 FROM (VALUES ((r.log_epoch, r.log_offset)
                               < (excluded.log_epoch, excluded.log_offset))) AS n(is_newer)),
             version = r.version + 1, updated_at = greatest(r.updated_at, excluded.updated_at)
         RETURNING log_epoch = $6 AND log_offset = $7",
    )
    .bind(generation)
    .bind(change.id)
    .bind(change.payload)
    .bind(change.occurred_at.map(to_datetime))
    .bind(to_datetime(change.recorded_at))
    .bind(change.last.epoch)
    .bind(change.last.offset)
    .fetch_one(transaction)
    .await
}

/// Lets the database judge payloads that look like no JSON. Of one that a newer event of the batch
/// overtakes it would never see anything, and whether a record is bad may not depend on how the log
/// was cut into batches.
async fn judge(
    transaction: &mut PgConnection,
    batch: &[&Recorded<DeviceEvent>],
) -> Result<(), sqlx::Error> {
    let payloads = batch.iter().map(|record| {
        let DeviceEvent::Reported(event) = &record.event;
        event.payload.as_str()
    });
    let is_suspect = |payload: &&str| serde_json::from_str::<&RawValue>(payload).is_err();
    let suspects: Vec<&str> = payloads.filter(is_suspect).collect();
    if suspects.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT json_typeof(p::json) FROM UNNEST($1::text[]) AS p")
        .bind(suspects)
        .execute(transaction)
        .await
        .map(drop)
}

/// Writes the changes whose rows have seen nothing of the batch, in the order of ids; returns how
/// many those were.
async fn upsert(
    transaction: &mut PgConnection,
    generation: i32,
    changes: &[ResourceChange<'_>],
) -> Result<u64, sqlx::Error> {
    if changes.is_empty() {
        return Ok(0);
    }
    let epochs: Vec<i32> = column(changes, |change| change.last.epoch);
    let offsets: Vec<i64> = column(changes, |change| change.last.offset);
    let starts: Vec<i64> = column(changes, |change| change.first.offset);
    let written = sqlx::query(
        "INSERT INTO resource_rows AS r (generation, id, payload, version, occurred_at, recorded_at,
                                         updated_at, log_epoch, log_offset, batch_start)
         SELECT $1, b.id, b.payload::json, b.events, b.occurred_at, b.recorded_at, b.updated_at,
                b.epoch, b.log_offset, b.batch_start
         FROM UNNEST($2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],
                     $7::timestamptz[], $8::int[], $9::bigint[], $10::bigint[])
              AS b(id, payload, events, occurred_at, recorded_at, updated_at, epoch, log_offset,
                   batch_start)
         ON CONFLICT (generation, id) DO UPDATE
         SET payload = excluded.payload, version = r.version + excluded.version,
             occurred_at = excluded.occurred_at, recorded_at = excluded.recorded_at,
             updated_at = greatest(r.updated_at, excluded.updated_at),
             log_epoch = excluded.log_epoch, log_offset = excluded.log_offset,
             batch_start = excluded.batch_start
         WHERE (r.log_epoch, r.log_offset) < (excluded.log_epoch, excluded.batch_start)",
    )
    .bind(generation)
    .bind(column(changes, |change| change.id))
    .bind(column(changes, |change| change.payload))
    .bind(column(changes, |change| change.events))
    .bind(column(changes, |change| change.occurred_at.map(to_datetime)))
    .bind(column(changes, |change| to_datetime(change.recorded_at)))
    .bind(column(changes, |change| to_datetime(change.updated_at)))
    .bind(epochs)
    .bind(offsets)
    .bind(starts)
    .execute(transaction)
    .await?;
    Ok(written.rows_affected())
}

async fn positions_of(
    transaction: &mut PgConnection,
    generation: i32,
    ids: &[&str],
) -> Result<HashMap<String, LogPosition>, sqlx::Error> {
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(
        "SELECT id, log_epoch, log_offset FROM resource_rows
         WHERE generation = $1 AND id = ANY($2) ORDER BY id FOR UPDATE",
    )
    .bind(generation)
    .bind(ids)
    .fetch_all(transaction)
    .await?;
    Ok(rows.into_iter().map(|(id, epoch, offset)| (id, LogPosition { epoch, offset })).collect())
}

fn column<'a, T>(
    changes: &[ResourceChange<'a>],
    value: impl Fn(&ResourceChange<'a>) -> T,
) -> Vec<T> {
    changes.iter().map(value).collect()
}
