//! Reading rows of the view.

use std::collections::HashMap;

use read_models::resource::{ResourceColumns, StoredResource};
use sqlx::postgres::PgConnection;

use super::letters::{self, Sought};
use crate::consistency::OpenLetters;
use crate::lookups::Lookup;
use crate::positions::map::Need;

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

impl Lookup for ResourceLookup {
    const OF: &'static str = "resource";
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
fn found(keys: &[ResourceKey], rows: Vec<ResourceColumns>) -> Vec<FoundResource> {
    let rows = rows.into_iter().map(StoredResource::from);
    let rows: HashMap<String, StoredResource> =
        rows.map(|stored| (stored.id.clone(), stored)).collect();
    let found = |key: &ResourceKey| FoundResource {
        stored: rows.get(&key.id).cloned(),
        letters: Vec::new(),
    };
    keys.iter().map(found).collect()
}
