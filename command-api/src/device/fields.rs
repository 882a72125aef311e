//! The fields of an event, in whatever form it comes.

use domain::Timestamp;
use domain::device::{DeviceId, DeviceIdError};

use super::ReportLimits;

pub(super) use crate::fields::{Broken, Faults, Place, fault_problem, read_items, string, text};

/// The device of this name.
pub(super) fn device_id(
    text: impl Into<String>,
    limits: &ReportLimits,
) -> Result<DeviceId, Broken> {
    DeviceId::parse(text, limits.device_id_characters).map_err(|error| {
        let broken = |rule| Broken::new(rule, error.to_string());
        match error {
            DeviceIdError::Empty => Broken::empty(),
            DeviceIdError::TooLong { limit, .. } => {
                broken("max-characters").with_limit(limit as u64)
            }
            DeviceIdError::NotVisible { .. } => broken("visible-characters"),
        }
    })
}

/// When it happened, by the device's clock.
pub(super) fn occurred_at(
    text: &str,
    limits: &ReportLimits,
    now: Timestamp,
) -> Result<Timestamp, Broken> {
    let time = Timestamp::parse_rfc3339(text).ok_or_else(|| {
        Broken::new("rfc-3339", "must be an RFC 3339 time such as 2026-03-01T12:00:00Z")
    })?;
    if time.micros() - now.micros() > limits.occurred_at_max_ahead {
        let millis = limits.occurred_at_max_ahead / 1000;
        let detail = format!("must be at most {millis} ms ahead of our clock");
        let broken = Broken::new("max-ahead-ms", detail);
        return Err(broken.with_limit(u64::try_from(millis).unwrap_or_default()));
    }
    Ok(time)
}
