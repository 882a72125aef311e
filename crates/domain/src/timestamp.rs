//! A point in time, to the microsecond.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// Microseconds since 1970-01-01T00:00:00 UTC: what Avro's `timestamp-micros` and Postgres'
/// `timestamptz` both hold exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads an RFC 3339 time; what is finer than a microsecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_micros()))
    }

    /// From milliseconds since 1970, as Kafka counts.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The time so much later, or the last that can be told.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// RFC 3339 in UTC with six decimals, or `None` beyond the years a calendar can write.
    pub fn to_rfc3339(self) -> Option<String> {
        DateTime::<Utc>::from_timestamp_micros(self.0)
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_as_written() {
        let time = Timestamp::parse_rfc3339("2026-03-01T12:00:00.123456Z").unwrap();
        assert_eq!(time.to_rfc3339().unwrap(), "2026-03-01T12:00:00.123456Z");
    }

    #[test]
    fn a_time_with_an_offset_is_the_same_moment() {
        assert_eq!(
            Timestamp::parse_rfc3339("2026-03-01T14:00:00+02:00"),
            Timestamp::parse_rfc3339("2026-03-01T12:00:00Z")
        );
    }

    #[test]
    fn a_time_after_all_times_is_the_last() {
        let noon = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let one = Timestamp::parse_rfc3339("2026-03-01T13:00:00Z").unwrap();
        assert_eq!(noon.after(Duration::from_hours(1)), one);
        assert_eq!(noon.after(Duration::MAX), Timestamp(i64::MAX));
    }
}
