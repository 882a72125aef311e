//! The schemas of what devices report.

use super::Released;

/// A version of the schema of a device's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceSchema {
    /// `millrace.device.DeviceEventReported`, version 1.
    EventReportedV1,
}

impl DeviceSchema {
    pub(super) const fn released(self) -> Released {
        match self {
            Self::EventReportedV1 => Released::first(
                include_str!("../../../../schemas/device/DeviceEventReported.v1.avsc"),
                "millrace.device.DeviceEventReported",
                "millrace.device.event-reported.v1",
            ),
        }
    }
}
