//! The month by which rows lie.

use chrono::{DateTime, Datelike as _, Utc};
use domain::Timestamp;

/// A month of a calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    /// From 1.
    month: u32,
}

impl Month {
    /// The month in which a time lies.
    pub fn of(time: Timestamp) -> Self {
        let time = DateTime::<Utc>::from_timestamp_micros(time.micros()).unwrap_or_default();
        Self { year: time.year(), month: time.month() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_utc() {
        let of = |text| Month::of(Timestamp::parse_rfc3339(text).unwrap());
        assert_eq!(of("2026-03-01T00:00:00Z"), Month { year: 2026, month: 3 });
        assert_eq!(of("2026-02-28T23:59:59.999999Z"), Month { year: 2026, month: 2 });
        assert_eq!(of("2026-03-01T01:00:00+02:00"), Month { year: 2026, month: 2 });
        assert!(of("2025-12-31T00:00:00Z") < of("2026-01-01T00:00:00Z"));
    }
}
