//! The latest state of every device.

use std::collections::HashMap;

use domain::device::DeviceEvent;
use kafka_io::topic::Topic;
use read_models::recorded::{LogPosition, Recorded};
use read_models::resource::{self, ResourceChange};
use sqlx::PgConnection;

use crate::runner::{Projection, to_datetime};

/// Folds what devices report into `resources`.
pub struct Resource;

impl Projection for Resource {
    const NAME: &'static str = "resource";
    const TOPIC: Topic = Topic::EventsInput;
    type Event = DeviceEvent;

    async fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<DeviceEvent>],
    ) -> Result<u64, sqlx::Error> {
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
