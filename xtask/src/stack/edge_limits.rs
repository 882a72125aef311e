//! How much the front door lets an address ask for, before any process is asked: what a profile of
//! `MILLRACE_RATE_LIMIT_PROFILE` lets a caller ask for in a second.

use rate_limit::{Class, EDGE, Profile, Quota, STRICT, Unit};

/// What the front door's template is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Whether addresses are counted at all.
    is_on: bool,
    /// Requests in a second, and at once.
    general: u64,
    /// Of them, those that log in and the like.
    auth: u64,
}

impl EdgeLimits {
    /// Those that hold unless somebody chooses others.
    pub const USUAL: Self = Self::keeping(&EDGE);

    /// Nobody is counted.
    pub const OFF: Self = Self { is_on: false, ..Self::USUAL };

    /// Those of the profile `strict`.
    pub const STRICT: Self = Self::keeping(&STRICT);

    /// What a profile allows that counts requests over a second.
    const fn keeping(profile: &Profile) -> Self {
        let general = in_a_second(profile.quotas(Class::General));
        Self { is_on: true, general, auth: in_a_second(profile.quotas(Class::Auth)) }
    }

    /// Those of a profile; the usual ones where it says nothing of the front door.
    pub fn of(profile: &str) -> Self {
        match profile {
            "off" => Self::OFF,
            "strict" => Self::STRICT,
            _ => Self::USUAL,
        }
    }

    /// Those of the profile that the environment names.
    pub(crate) fn from_env() -> Self {
        let profile = std::env::var(settings::table::RATE_LIMIT_PROFILE.name);
        profile.map_or(Self::USUAL, |profile| Self::of(&profile))
    }

    /// The values of the template's marks.
    pub fn values(self) -> [(&'static str, String); 3] {
        // What has no key is not counted.
        let counted = if self.is_on { "$binary_remote_addr" } else { "\"\"" };
        [
            ("counted_address", counted.to_owned()),
            ("general_rate", self.general.to_string()),
            ("auth_rate", self.auth.to_string()),
        ]
    }
}

/// The requests of a class in a second, which its first quota tells; one of another kind does not compile.
const fn in_a_second(quotas: &[Quota]) -> u64 {
    let quota = &quotas[0];
    assert!(quota.window.as_secs() == 1 && matches!(quota.unit, Unit::Request));
    quota.units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_that_processes_know_has_its_limits() {
        let settings::Kind::OneOf(profiles) = settings::table::RATE_LIMIT_PROFILE.kind else {
            panic!("no words")
        };
        let limits = |profile: &&str| EdgeLimits::of(profile);
        let found: Vec<_> = profiles.iter().map(limits).collect();
        let usual = EdgeLimits::USUAL;
        assert_eq!(found, [usual, usual, EdgeLimits::STRICT, EdgeLimits::OFF]);
    }
}
