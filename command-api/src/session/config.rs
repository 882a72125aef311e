//! How long sessions last, and how long it takes that none begins.

use std::time::Duration;

use domain::session::{RefreshRules, SessionLife};
use settings::{Settings, table};

/// How long sessions last, and how long it takes that none begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// What refreshing goes by.
    pub rules: RefreshRules,
    /// How long it takes at least until a login is refused, from when it is known whether it has to wait.
    pub login_floor: Duration,
}

impl SessionConfig {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let life = SessionLife {
            idle: settings.days(&table::SESSION_IDLE_DAYS),
            longest: settings.days(&table::SESSION_MAX_DAYS),
        };
        if life.longest < life.idle {
            settings.fault(format!(
                "{} must not be below {}: no session would live to see it",
                table::SESSION_MAX_DAYS.name,
                table::SESSION_IDLE_DAYS.name
            ));
        }
        let repeat_within = settings.millis(&table::REFRESH_REPEAT);
        let login_floor = settings.millis(&table::LOGIN_FLOOR);
        Self { rules: RefreshRules { repeat_within, life }, login_floor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn read(pairs: &[(&str, &str)]) -> Result<RefreshRules, Vec<String>> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings = Settings::new(pairs);
        let config = SessionConfig::from_settings(&mut settings);
        settings.finish(config.rules).map_err(|error| error.0)
    }

    #[test]
    fn a_session_rests_for_two_weeks_and_lasts_for_three_months() {
        let repeat_within = Duration::from_secs(10);
        let life = SessionLife { idle: 14 * DAY, longest: 90 * DAY };
        assert_eq!(read(&[]), Ok(RefreshRules { repeat_within, life }));
    }

    #[test]
    fn a_session_that_rests_for_longer_than_it_lasts_is_refused_by_name() {
        let faults = read(&[("MILLRACE_SESSION_MAX_DAYS", "13")]).unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].contains("MILLRACE_SESSION_IDLE_DAYS"),
            "{faults:?}"
        );
        assert!(read(&[("MILLRACE_SESSION_MAX_DAYS", "14")]).is_ok());
    }
}
