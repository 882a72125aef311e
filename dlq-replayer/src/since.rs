//! Moments as people write them, and ages as people read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// How far back, or from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// From a moment on.
    At(DateTime<Utc>),
    /// So long ago.
    Ago(TimeDelta),
}

impl Since {
    /// Takes RFC 3339, or a number with `s`, `m`, `h`, `d` or `w`.
    ///
    /// # Errors
    /// What would have been taken.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        ago(text).map(Self::Ago).ok_or_else(|| {
            "take a time such as 2026-03-01T12:00:00Z, or an age such as 30m, 2h or 3d".to_owned()
        })
    }

    /// The moment.
    pub(crate) fn moment(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Ago(age) => now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC),
        }
    }
}

fn ago(text: &str) -> Option<TimeDelta> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds: i64 = match text.strip_prefix(digits)? {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let number: u32 = digits.parse().ok()?;
    TimeDelta::try_seconds(seconds.checked_mul(i64::from(number))?)
}

/// An age in its two largest units; what lies ahead is `0s`.
pub(crate) fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let seconds = age_seconds(now, then);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d {}h", hours % 24),
        () if hours > 0 => format!("{hours}h {}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m {}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

/// An age in whole seconds; what lies ahead is 0.
pub(crate) fn age_seconds(now: DateTime<Utc>, then: DateTime<Utc>) -> i64 {
    (now - then).num_seconds().max(0)
}

/// RFC 3339 in UTC with microseconds.
pub(crate) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn ages_and_times_are_taken() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("2h", 7200), ("3d", 259_200), ("1w", 604_800)]
        {
            assert_eq!(Since::parse(text), Ok(Since::Ago(TimeDelta::seconds(seconds))), "{text}");
        }
        let time = "2026-03-01T12:00:00+02:00";
        assert_eq!(Since::parse(time), Ok(Since::At(at("2026-03-01T10:00:00Z"))));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "2", "h", "-2h", "2 h", "2hours", "1.5h", "yesterday", "2026-03-01"] {
            assert!(Since::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_age_longer_than_time_itself_is_all_of_it() {
        let since = Since::parse("4294967295w").unwrap();
        assert!(since.moment(at("2026-03-01T12:00:00Z")) < at("0001-01-01T00:00:00Z"));
    }

    #[test]
    fn ages_are_shown_in_two_units() {
        let now = at("2026-03-04T12:00:00Z");
        for (then, shown) in [
            ("2026-03-04T12:00:09Z", "0s"),
            ("2026-03-04T11:59:15Z", "45s"),
            ("2026-03-04T11:56:00Z", "4m 0s"),
            ("2026-03-04T09:55:00Z", "2h 5m"),
            ("2026-03-01T08:00:00Z", "3d 4h"),
        ] {
            assert_eq!(age(now, at(then)), shown, "{then}");
        }
    }
}
