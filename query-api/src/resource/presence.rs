//! Whether a device is online: it has reported within a time. Derived whenever it is shown, so that
//! nobody has to notice the moment at which it falls silent, and a restart changes nothing.

use std::time::Duration;

use domain::Timestamp;

/// The name of the member.
pub(super) const ONLINE: &str = "online";

/// Whether a device whose last event the log took at this time is online.
pub(super) fn is_online(updated_at: Timestamp, now: Timestamp, offline_after: Duration) -> bool {
    let silence = now.micros().saturating_sub(updated_at.micros());
    let silence = Duration::from_micros(u64::try_from(silence).unwrap_or_default());
    silence <= offline_after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_online_for_as_long_as_it_may_be_silent() {
        let after = Duration::from_secs(60);
        let at = |seconds: i64| is_online(Timestamp(0), Timestamp(seconds * 1_000_000), after);
        assert_eq!([-5, 0, 60, 61].map(at), [true, true, true, false]);
        assert!(!is_online(Timestamp(0), Timestamp(60_000_001), after));
    }
}
