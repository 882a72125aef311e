//! Reading rows of the view.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::Timestamp;
use read_models::recorded::LogPosition;
use read_models::resource::ResourceRow;
use sqlx::postgres::PgConnection;

use crate::lookups::Lookup;

/// A row and the build it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredResource {
    pub(crate) generation: i32,
    pub(crate) row: ResourceRow,
}

/// Rows by device.
pub(crate) struct ResourceLookup;

/// The payload is read as text, so that it is answered as it was sent.
const FIND: &str = "
    SELECT r.id, r.generation, r.payload::text, r.version, r.occurred_at, r.recorded_at,
           r.updated_at, r.log_epoch, r.log_offset
    FROM resource_rows r
    WHERE r.id = ANY($1)
      AND r.generation = (SELECT g.generation FROM generations g
                          WHERE g.projection = 'resource' AND g.state = 'active')";

type Row =
    (String, i32, String, i64, Option<DateTime<Utc>>, DateTime<Utc>, DateTime<Utc>, i32, i64);

impl Lookup for ResourceLookup {
    type Row = StoredResource;

    async fn find(
        connection: &mut PgConnection,
        keys: &[String],
    ) -> Result<HashMap<String, StoredResource>, sqlx::Error> {
        let rows: Vec<Row> = sqlx::query_as(FIND).bind(keys).fetch_all(connection).await?;
        Ok(rows.into_iter().map(stored).collect())
    }
}

fn stored(row: Row) -> (String, StoredResource) {
    let (id, generation, payload, version, occurred_at, recorded_at, updated_at, epoch, offset) =
        row;
    let micros = |time: DateTime<Utc>| Timestamp(time.timestamp_micros());
    let row = ResourceRow {
        payload,
        version,
        occurred_at: occurred_at.map(micros),
        recorded_at: micros(recorded_at),
        updated_at: micros(updated_at),
        position: LogPosition { epoch, offset },
    };
    (id, StoredResource { generation, row })
}
