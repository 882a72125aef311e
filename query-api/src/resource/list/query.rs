//! Which devices are asked for, in which order.

use std::time::Duration;

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::fields::Fields;
use crate::parameters::{Fault, Parameters, time, truth};

/// Parameters of a page.
pub(super) const OF_PAGES: [&str; 6] =
    ["prefix", "updated_since", "online", "fields", "limit", "cursor"];

/// Parameters of an export.
pub(super) const OF_EXPORTS: [&str; 4] = ["prefix", "updated_since", "online", "fields"];

/// Characters of the longest prefix: no device id is longer.
const LONGEST_PREFIX: usize = 512;

/// Devices, ordered by their id; by the minute of `updated_at` and then by id where a time is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourcesQuery {
    pub(super) prefix: Option<String>,
    /// The only device that the caller may see.
    pub(super) own: Option<String>,
    pub(super) updated_since: Option<Timestamp>,
    pub(super) online: Option<bool>,
    pub(super) fields: Fields,
    pub(super) offline_after: Duration,
    /// Only those behind this place.
    pub(super) after: Option<Place>,
}

/// The place of a row in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(super) id: String,
    /// The minute of `updated_at`, as microseconds.
    pub(super) updated_minute: i64,
}

impl ResourcesQuery {
    /// Reads the parameters but for the cursor; faults are noted there.
    pub(super) fn read(
        parameters: &mut Parameters,
        own: Option<String>,
        offline_after: Duration,
    ) -> Self {
        Self {
            prefix: parameters.read("prefix", prefix),
            own,
            updated_since: parameters.read("updated_since", time),
            online: parameters.read("online", truth),
            fields: parameters.read("fields", Fields::parse).unwrap_or(Fields::ALL),
            offline_after,
            after: None,
        }
    }
}

fn prefix(text: &str) -> Result<String, Fault> {
    if text.contains('\0') {
        return Err(Fault::new("no-nul", "must not hold U+0000"));
    }
    if text.chars().count() > LONGEST_PREFIX {
        let detail = format!("must have at most {LONGEST_PREFIX} characters");
        return Err(Fault { limit: Some(512), ..Fault::new("max-characters", detail) });
    }
    Ok(text.to_owned())
}
