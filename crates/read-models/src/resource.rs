//! The latest state of every device.
//!
//! The row keeps the payload of the highest log position and counts distinct events, so it does not
//! depend on how the log was cut into batches. A record at or below the row's position was folded
//! before (a redelivery) and changes nothing.

mod body;
mod stored;

use std::collections::HashMap;

use domain::Timestamp;
use domain::device::{DeviceEvent, DeviceEventReported};

use crate::recorded::{LogPosition, Recorded};

pub use body::{body, updated_at};
pub use stored::{ResourceColumns, StoredResource, find};

/// What a batch does to one device's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceChange<'a> {
    /// The device.
    pub id: &'a str,
    /// Payload of the newest event.
    pub payload: &'a str,
    /// Events in the batch.
    pub events: i64,
    /// Device time of the newest event.
    pub occurred_at: Option<Timestamp>,
    /// Log time of the newest event.
    pub recorded_at: Timestamp,
    /// Latest log time in the batch.
    pub updated_at: Timestamp,
    /// Position of the oldest event: a row at or above it has seen part of the batch before.
    pub first: LogPosition,
    /// Position of the newest event.
    pub last: LogPosition,
}

/// A row as it is stored, payload as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRow {
    /// Payload of the newest event.
    pub payload: String,
    /// Distinct events folded.
    pub version: i64,
    /// Device time of the newest event.
    pub occurred_at: Option<Timestamp>,
    /// Log time of the newest event.
    pub recorded_at: Timestamp,
    /// Latest log time folded.
    pub updated_at: Timestamp,
    /// Position of the newest event.
    pub position: LogPosition,
}

/// Reduces a batch to one change for each device, sorted by device.
///
/// The events may come in any order; each must be distinct.
pub fn reduce<'a>(batch: &[&'a Recorded<DeviceEvent>]) -> Vec<ResourceChange<'a>> {
    let mut changes: HashMap<&str, ResourceChange<'a>, foldhash::fast::RandomState> =
        HashMap::with_capacity_and_hasher(batch.len(), foldhash::fast::RandomState::default());
    for &record in batch {
        let change = change_of(record);
        changes.entry(change.id).and_modify(|merged| merged.merge(&change)).or_insert(change);
    }
    let mut changes: Vec<_> = changes.into_values().collect();
    changes.sort_unstable_by_key(|change| change.id);
    changes
}

/// The same, of the events that a row at `folded(device)` has not seen.
pub fn reduce_after<'a>(
    batch: &[&'a Recorded<DeviceEvent>],
    folded: impl Fn(&str) -> Option<LogPosition>,
) -> Vec<ResourceChange<'a>> {
    let unseen: Vec<_> = batch
        .iter()
        .copied()
        .filter(|record| {
            folded(device_of(record)).is_none_or(|position| record.position > position)
        })
        .collect();
    reduce(&unseen)
}

impl ResourceRow {
    /// The row after a change; the change must hold no event that the row has folded.
    pub fn folded(row: Option<Self>, change: &ResourceChange<'_>) -> Self {
        Self {
            payload: change.payload.to_owned(),
            version: row.as_ref().map_or(0, |row| row.version) + change.events,
            occurred_at: change.occurred_at,
            recorded_at: change.recorded_at,
            updated_at: row.map_or(change.updated_at, |row| row.updated_at.max(change.updated_at)),
            position: change.last,
        }
    }
}

impl ResourceChange<'_> {
    fn merge(&mut self, other: &Self) {
        let newest = if other.last > self.last { *other } else { *self };
        *self = Self {
            events: self.events + other.events,
            updated_at: self.updated_at.max(other.updated_at),
            first: self.first.min(other.first),
            ..newest
        };
    }
}

fn device_of(record: &Recorded<DeviceEvent>) -> &str {
    let DeviceEvent::Reported(event) = &record.event;
    event.device_id.as_str()
}

fn change_of(record: &Recorded<DeviceEvent>) -> ResourceChange<'_> {
    let DeviceEvent::Reported(DeviceEventReported { device_id, payload, occurred_at, .. }) =
        &record.event;
    ResourceChange {
        id: device_id.as_str(),
        payload,
        events: 1,
        occurred_at: *occurred_at,
        recorded_at: record.log_time,
        updated_at: record.log_time,
        first: record.position,
        last: record.position,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::device::{Dedupe, DeviceId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    type Rows = BTreeMap<String, ResourceRow>;

    fn reported(device: u8, offset: i64) -> Recorded<DeviceEvent> {
        Recorded {
            event: DeviceEvent::Reported(DeviceEventReported {
                device_id: DeviceId::from_log(format!("device-{device}")),
                request_id: Uuid::from_u128(offset.unsigned_abs().into()),
                dedupe: Dedupe::None,
                body_hash: None,
                occurred_at: (offset % 2 == 0).then_some(Timestamp(offset)),
                payload: format!("{{\"n\":{offset}}}"),
            }),
            partition: 0,
            position: LogPosition { epoch: 1, offset },
            log_time: Timestamp(1_000 + offset),
        }
    }

    fn log(devices: &[u8]) -> Vec<Recorded<DeviceEvent>> {
        (0..).zip(devices).map(|(offset, device)| reported(*device, offset)).collect()
    }

    fn apply(rows: &mut Rows, changes: Vec<ResourceChange<'_>>) {
        for change in changes {
            let row = rows.remove(change.id);
            rows.insert(change.id.to_owned(), ResourceRow::folded(row, &change));
        }
    }

    fn fold(batches: &[&[Recorded<DeviceEvent>]]) -> Rows {
        let mut rows = Rows::new();
        for batch in batches {
            let batch: Vec<_> = batch.iter().collect();
            let positions: BTreeMap<_, _> =
                rows.iter().map(|(id, row)| (id.clone(), row.position)).collect();
            let changes = reduce_after(&batch, |id| positions.get(id).copied());
            apply(&mut rows, changes);
        }
        rows
    }

    #[test]
    fn the_newest_event_gives_the_payload_and_every_event_counts() {
        let log = log(&[1, 2, 1]);
        let rows = fold(&[&log]);
        assert_eq!(rows["device-1"].payload, "{\"n\":2}");
        assert_eq!(rows["device-1"].version, 2);
        assert_eq!(rows["device-2"].version, 1);
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_how_the_log_was_cut(
            devices in prop::collection::vec(0u8..5, 1..60),
            cuts in prop::collection::vec(0usize..60, 0..6),
        ) {
            let log = log(&devices);
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut % log.len()).chain([0, log.len()]).collect();
            ends.sort_unstable();
            let batches: Vec<_> = ends.windows(2).map(|pair| &log[pair[0]..pair[1]]).collect();
            prop_assert_eq!(fold(&batches), fold(&[&log]));
        }

        #[test]
        fn rows_do_not_depend_on_the_order_within_a_batch(
            devices in prop::collection::vec(0u8..5, 1..60),
            seed in any::<prop::sample::Index>(),
        ) {
            let log = log(&devices);
            let mut shuffled = log.clone();
            shuffled.rotate_left(seed.index(log.len()));
            shuffled.reverse();
            prop_assert_eq!(fold(&[&shuffled]), fold(&[&log]));
        }

        #[test]
        fn a_position_set_back_changes_nothing(
            devices in prop::collection::vec(0u8..5, 1..60),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
        ) {
            let log = log(&devices);
            let (from, to) = (from.index(log.len()), to.index(log.len()));
            let again = &log[from.min(to)..];
            prop_assert_eq!(fold(&[&log[..=from.max(to)], again]), fold(&[&log]));
        }
    }
}
