//! Partitions for tests.

use domain::Timestamp;
use domain::device::{Dedupe, DeviceEvent, DeviceEventReported, DeviceId};
use event_schema::decode::KnownId;
use event_schema::device::encode;
use kafka_io::consumer::{Capacity, Decode as _, RecordView};
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::runner::decoding::EventDecode;

pub(crate) const SCHEMA_ID: u32 = 7;
pub(crate) fn decoder() -> Decoder<DeviceEvent> {
    Decoder::new([KnownId {
        schema_id: SCHEMA_ID,
        record_name: "millrace.device.DeviceEventReported".to_owned(),
        version: 1,
    }])
}

pub(crate) fn value(offset: i64, schema_id: u32) -> Vec<u8> {
    let event = DeviceEventReported {
        device_id: DeviceId::from_log("d".to_owned()),
        request_id: Uuid::from_u128(offset.unsigned_abs().into()),
        dedupe: Dedupe::None,
        body_hash: None,
        occurred_at: Some(Timestamp(offset)),
        payload: "{}".to_owned(),
    };
    encode(&event, schema_id).unwrap()
}

pub(crate) fn delivery(offset: i64, value: &[u8]) -> Delivery<Decoded<DeviceEvent>> {
    let shared = Arc::new(decoder());
    let view = RecordView {
        partition: 0,
        offset,
        timestamp_ms: offset,
        key: Some(b"d"),
        value: Some(value),
        header: None,
    };
    Delivery {
        identity: Remembered { offset, timestamp_ms: offset, hash: 0 },
        bytes: value.len(),
        item: EventDecode::new(shared, 1, 1).decode(&view),
    }
}

pub(crate) fn feed() -> Arc<Feed<Decoded<DeviceEvent>>> {
    let capacity = Capacity { records: 1000, bytes: 1_000_000 };
    Arc::new(Feed::new(0, 1, capacity, Arc::new(Notify::new())))
}

pub(crate) fn partition_with(values: &[Vec<u8>]) -> Partition<DeviceEvent> {
    let feed = feed();
    feed.append(&mut (0..).zip(values).map(|(offset, value)| delivery(offset, value)).collect());
    let mut partition = Partition::new(feed, Ledger::new(0, None), Uuid::nil());
    partition.take_arrivals(Instant::now());
    partition
}

pub(crate) fn good(count: i64) -> Vec<Vec<u8>> {
    (0..count).map(|offset| value(offset, SCHEMA_ID)).collect()
}

/// A partition with so many good records, which arrived then.
pub(crate) fn partition_of(id: i32, records: i64, arrived: Instant) -> Partition<DeviceEvent> {
    let capacity = Capacity { records: 1000, bytes: 1_000_000 };
    let feed = Arc::new(Feed::new(id, 1, capacity, Arc::new(Notify::new())));
    let values = good(records);
    feed.append(&mut (0..).zip(&values).map(|(offset, value)| delivery(offset, value)).collect());
    let mut partition = Partition::new(feed, Ledger::new(0, None), Uuid::nil());
    partition.take_arrivals(arrived);
    partition
}
