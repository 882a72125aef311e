//! Reading rows of the view.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::Timestamp;
use read_models::recorded::LogPosition;
use read_models::resource::ResourceRow;
use sqlx::postgres::PgConnection;

use super::letters::{self, Sought};
use crate::consistency::OpenLetters;
use crate::lookups::Lookup;
use crate::positions::map::Need;

/// A row and the build it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredResource {
    pub(crate) generation: i32,
    pub(crate) row: ResourceRow,
}

/// What a reader looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceKey {
    /// The device.
    pub(crate) id: String,
    /// What its token asks for, where some of it may be set aside.
    pub(crate) unsure: Vec<Need>,
}

/// What there is, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundResource {
    pub(crate) stored: Option<StoredResource>,
    /// Open letters that keep the reader's needs from being shown, or bound what the row promises.
    pub(crate) letters: Vec<OpenLetters>,
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

/// A row as it is selected.
pub(super) type Row =
    (String, i32, String, i64, Option<DateTime<Utc>>, DateTime<Utc>, DateTime<Utc>, i32, i64);

impl Lookup for ResourceLookup {
    type Key = ResourceKey;
    type Found = FoundResource;

    async fn find(
        connection: &mut PgConnection,
        keys: &[ResourceKey],
    ) -> Result<Vec<FoundResource>, sqlx::Error> {
        let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let sought = Sought::of_all(keys);
        if sought.is_empty() {
            let rows = sqlx::query_as(FIND).bind(ids).fetch_all(connection).await?;
            return Ok(found(keys, rows));
        }
        let (rows, letters) = letters::find(connection, &ids, &sought).await?;
        let mut found = found(keys, rows);
        for (reader, letters) in letters {
            if let Some(found) = found.get_mut(reader) {
                found.letters.push(letters);
            }
        }
        Ok(found)
    }
}

/// The row of each key, in their order.
fn found(keys: &[ResourceKey], rows: Vec<Row>) -> Vec<FoundResource> {
    let rows: HashMap<String, StoredResource> = rows.into_iter().map(stored).collect();
    let found = |key: &ResourceKey| FoundResource {
        stored: rows.get(&key.id).cloned(),
        letters: Vec::new(),
    };
    keys.iter().map(found).collect()
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
