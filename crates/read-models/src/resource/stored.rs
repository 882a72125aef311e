//! The row as Postgres gives it.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use sqlx::PgConnection;

use super::{ResourceRow, body};
use crate::cached::CachedRow;
use crate::recorded::LogPosition;

/// A row and the build it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResource {
    /// The device.
    pub id: String,
    /// The build of the projection.
    pub generation: i32,
    /// The row.
    pub row: ResourceRow,
}

impl StoredResource {
    /// The row as it stands in the cache.
    pub fn cached(&self) -> CachedRow {
        CachedRow {
            generation: self.generation,
            version: self.row.version.unsigned_abs(),
            position: self.row.position,
            body: body(&self.id, &self.row).into(),
        }
    }
}

/// Columns of `resource_rows` in this order: id, generation, payload as text, version, occurred_at,
/// recorded_at, updated_at, log_epoch, log_offset.
pub type ResourceColumns =
    (String, i32, String, i64, Option<DateTime<Utc>>, DateTime<Utc>, DateTime<Utc>, i32, i64);

impl From<ResourceColumns> for StoredResource {
    fn from(columns: ResourceColumns) -> Self {
        let (id, generation, payload, version, occurred_at, recorded_at, updated_at, epoch, offset) =
            columns;
        let micros = |time: DateTime<Utc>| Timestamp(time.timestamp_micros());
        let row = ResourceRow {
            payload,
            version,
            occurred_at: occurred_at.map(micros),
            recorded_at: micros(recorded_at),
            updated_at: micros(updated_at),
            position: LogPosition { epoch, offset },
        };
        Self { id, generation, row }
    }
}

/// The rows of these devices in one build, in no order; who has none is missing.
///
/// # Errors
/// What the database says.
pub async fn find(
    connection: &mut PgConnection,
    generation: i32,
    ids: &[&str],
) -> Result<Vec<StoredResource>, sqlx::Error> {
    // The payload is read as text, so that it is shown as it was sent.
    let rows: Vec<ResourceColumns> = sqlx::query_as(
        "SELECT id, generation, payload::text, version, occurred_at, recorded_at, updated_at,
                log_epoch, log_offset
         FROM resource_rows WHERE generation = $1 AND id = ANY($2)",
    )
    .bind(generation)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(StoredResource::from).collect())
}
