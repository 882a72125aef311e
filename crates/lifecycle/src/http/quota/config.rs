//! What decides how much callers may ask for.

use rate_limit::{Limits, Profile};
use settings::{Settings, table};

use super::CallerKeys;

/// Which quotas hold.
#[derive(Debug, Clone)]
pub struct RateLimitConfig {
    pub(super) limits: Limits,
    pub(super) keys: CallerKeys,
}

impl RateLimitConfig {
    /// Reads the settings; `None` where nothing is limited.
    pub fn from_settings(settings: &mut Settings) -> Option<Self> {
        let profile = settings.text(&table::RATE_LIMIT_PROFILE);
        let mut number = |setting| u32::try_from(settings.number(setting)).unwrap_or(u32::MAX);
        let factor = number(&table::RATE_LIMIT_FACTOR);
        let instances = number(&table::RATE_LIMIT_INSTANCES);
        let callers = settings.size(&table::RATE_LIMIT_CALLERS);
        let keys = CallerKeys::from_settings(settings);
        let profile = Profile::named(&profile)?;
        Some(Self { limits: Limits { profile, factor, instances, callers }, keys })
    }
}

#[cfg(test)]
mod tests {
    use settings::Kind;

    use super::*;

    fn read(profile: &str) -> Option<RateLimitConfig> {
        let pairs = [("MILLRACE_PROFILE", "dev"), (table::RATE_LIMIT_PROFILE.name, profile)];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings = Settings::new(pairs);
        let config = RateLimitConfig::from_settings(&mut settings);
        settings.finish(config).unwrap()
    }

    #[test]
    fn every_profile_that_the_setting_takes_is_one_but_the_one_that_limits_nothing() {
        let Kind::OneOf(words) = table::RATE_LIMIT_PROFILE.kind else { panic!("no words") };
        for word in words {
            let name = read(word).map(|config| config.limits.profile.name);
            assert_eq!(name.unwrap_or("off"), *word);
        }
    }
}
