//! Every event of every device.
//!
//! An event is one row, which its place in the log names: folded again it changes nothing, whatever
//! came before or after it. Rows lie by month of log time, so that old months can be dropped whole.

mod body;
mod month;

use domain::Timestamp;
use domain::device::DeviceEvent;
use uuid::Uuid;

use crate::recorded::{LogPosition, Recorded};

pub use body::body;
pub use month::Month;

/// One event as its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryEntry<'a> {
    /// The device.
    pub device_id: &'a str,
    /// The event's identity.
    pub event_id: Uuid,
    /// Its payload, JSON text.
    pub payload: &'a str,
    /// When it happened, by the device's clock.
    pub occurred_at: Option<Timestamp>,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// Partition of its record.
    pub partition: i32,
    /// Where it stands there.
    pub position: LogPosition,
}

/// Where a row stands among those of its device: the order of pages, and the row's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HistoryPlace {
    /// When the log took the event.
    pub recorded_at: Timestamp,
    /// Which life of the topic.
    pub epoch: i32,
    /// Partition of its record.
    pub partition: i32,
    /// Offset of its record.
    pub offset: i64,
}

impl HistoryEntry<'_> {
    /// Its place among the rows of its device.
    pub fn place(&self) -> HistoryPlace {
        let LogPosition { epoch, offset } = self.position;
        HistoryPlace { recorded_at: self.recorded_at, epoch, partition: self.partition, offset }
    }
}

/// The rows of a batch, each once, in the order of devices and then of places.
pub fn entries<'a>(batch: &[&'a Recorded<DeviceEvent>]) -> Vec<HistoryEntry<'a>> {
    let mut entries: Vec<_> = batch.iter().copied().map(entry).collect();
    entries.sort_unstable_by_key(|entry| (entry.device_id, entry.place()));
    entries.dedup_by_key(|entry| (entry.device_id, entry.place()));
    entries
}

fn entry(record: &Recorded<DeviceEvent>) -> HistoryEntry<'_> {
    let DeviceEvent::Reported(event) = &record.event;
    HistoryEntry {
        device_id: event.device_id.as_str(),
        event_id: event.request_id,
        payload: &event.payload,
        occurred_at: event.occurred_at,
        recorded_at: record.log_time,
        partition: record.partition,
        position: record.position,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::device::{Dedupe, DeviceEventReported, DeviceId};
    use proptest::prelude::*;

    use super::*;

    type Rows = BTreeMap<(String, HistoryPlace), (Uuid, String)>;

    fn log(devices: &[u8]) -> Vec<Recorded<DeviceEvent>> {
        let reported = |(offset, device): (i64, &u8)| Recorded {
            event: DeviceEvent::Reported(DeviceEventReported {
                device_id: DeviceId::from_log(format!("device-{device}")),
                request_id: Uuid::from_u128(offset.unsigned_abs().into()),
                dedupe: Dedupe::None,
                body_hash: None,
                occurred_at: None,
                payload: offset.to_string(),
            }),
            partition: i32::from(*device % 2),
            position: LogPosition { epoch: 1, offset },
            // Some share a time, and a clock may go back.
            log_time: Timestamp((offset * 7) % 5),
        };
        (0..).zip(devices).map(reported).collect()
    }

    /// As the database does: a row that is there stays.
    fn fold(batches: &[Vec<&Recorded<DeviceEvent>>]) -> Rows {
        let mut rows = Rows::new();
        for entry in batches.iter().flat_map(|batch| entries(batch)) {
            rows.entry((entry.device_id.to_owned(), entry.place()))
                .or_insert((entry.event_id, entry.payload.to_owned()));
        }
        rows
    }

    #[test]
    fn every_event_is_a_row_in_the_order_of_its_device() {
        let log = log(&[2, 1, 2]);
        let found = entries(&log.iter().collect::<Vec<_>>());
        let shown: Vec<_> = found.iter().map(|e| (e.device_id, e.payload)).collect();
        assert_eq!(shown, [("device-1", "1"), ("device-2", "0"), ("device-2", "2")]);
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_splits_order_or_redelivery(
            devices in prop::collection::vec(0u8..5, 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
            size in 1usize..20,
        ) {
            let log = log(&devices);
            // Any records in any order, some of them often, and then every one once more.
            let delivered: Vec<_> =
                order.iter().map(|index| &log[index.index(log.len())]).chain(&log).collect();
            let batches: Vec<_> = delivered.chunks(size).map(<[_]>::to_vec).collect();
            let rows = fold(&batches);
            prop_assert_eq!(rows.len(), log.len());
            prop_assert_eq!(rows, fold(&[log.iter().collect()]));
        }

        #[test]
        fn entries_are_sorted_and_each_is_there_once(
            devices in prop::collection::vec(0u8..5, 0..60), twice in any::<bool>(),
        ) {
            let log = log(&devices);
            let batch: Vec<_> = log.iter().chain(log.iter().filter(|_| twice)).collect();
            let keys: Vec<_> = entries(&batch).iter().map(|e| (e.device_id, e.place())).collect();
            prop_assert_eq!(keys.len(), log.len());
            prop_assert!(keys.is_sorted());
        }
    }
}
