//! Device events as a test speaks of them.

use domain::Timestamp;
use domain::device::{BodyHash, Dedupe, DeviceEventReported, DeviceId};
use uuid::Uuid;

/// A device event that is to be logged.
#[derive(Debug, Clone)]
pub struct Report(DeviceEventReported);

/// An event of a device, named by the server, with a small payload.
pub fn a_report(device: &str) -> Report {
    Report(DeviceEventReported {
        device_id: DeviceId::from_log(device.to_owned()),
        request_id: Uuid::now_v7(),
        dedupe: Dedupe::None,
        body_hash: None,
        occurred_at: None,
        payload: r#"{"status":"ok"}"#.to_owned(),
    })
}

impl Report {
    /// With this payload, which is JSON text.
    #[must_use]
    pub fn saying(mut self, payload: impl Into<String>) -> Self {
        self.0.payload = payload.into();
        self
    }

    /// Named by its client: equal ids are one event, another body under an id is a reused id.
    #[must_use]
    pub fn named(mut self, id: u128, body: u8) -> Self {
        self.0.request_id = Uuid::from_u128(id);
        self.0.dedupe = Dedupe::Client;
        self.0.body_hash = Some(BodyHash::from([body; 32]));
        self
    }

    /// Happened at this time by the device's clock, in microseconds since 1970.
    #[must_use]
    pub fn occurred_at(mut self, micros: i64) -> Self {
        self.0.occurred_at = Some(Timestamp(micros));
        self
    }

    /// The event.
    pub fn event(&self) -> &DeviceEventReported {
        &self.0
    }
}

/// A backlog of events that is the same in every run.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// Events in all.
    pub events: u64,
    /// Devices over which they are spread.
    pub devices: u64,
}

impl Backlog {
    /// The event at a place. One in ten is named by its client, and every fourth of those is sent
    /// a second time twenty events later.
    pub fn report(self, place: u64) -> Report {
        match place % 40 {
            39 => self.report(place - 19),
            10 | 20 | 30 => self.first(place).named(u128::from(place), 7),
            _ => self.first(place),
        }
    }

    fn first(self, place: u64) -> Report {
        // An odd multiplier spreads neighbours over the devices.
        let spread = place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        a_report(&format!("device-{}", spread % self.devices))
            .saying(format!(r#"{{"place":{place},"temp_c":{}.5}}"#, place % 40))
    }
}
