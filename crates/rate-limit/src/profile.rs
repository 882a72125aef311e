//! The quotas by name, as data: [`APP`] counts a caller over a minute and more, [`EDGE`] and [`STRICT`] over a
//! second.

use std::time::Duration;

/// Most quotas of a class.
pub const MAX_QUOTAS: usize = 4;

/// The most that a request costs in work.
pub const HEAVIEST: u32 = 10;

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Requests, each as one.
    Request,
    /// Work: a request counts as much as it costs ([`Rated::work`]).
    Work,
}

/// How much a caller may use in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What programs know it by.
    pub name: &'static str,
    /// How much a full bucket holds.
    pub units: u64,
    /// In what time an empty bucket is full again, in whole seconds.
    pub window: Duration,
    /// What is counted.
    pub unit: Unit,
}

impl Quota {
    const fn requests(name: &'static str, units: u64, seconds: u64) -> Self {
        Self { name, units, window: Duration::from_secs(seconds), unit: Unit::Request }
    }

    const fn work(units: u64, seconds: u64) -> Self {
        Self { name: "work", units, window: Duration::from_secs(seconds), unit: Unit::Work }
    }
}

/// Requests that are counted together. Each class of a caller has buckets of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reads and decisions: whatever is nothing else.
    General,
    /// What somebody does before they have an access token, or to stay in.
    Auth,
    /// Facts of devices.
    Facts,
}

impl Class {
    /// Every class, in the order of the declaration: so [`PerClass`] has them.
    pub const ALL: [Self; 3] = [Self::General, Self::Auth, Self::Facts];

    /// The stable name, for metrics and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Auth => "auth",
            Self::Facts => "facts",
        }
    }
}

/// One thing for each class.
pub struct PerClass<T>([T; Class::ALL.len()]);

impl<T> PerClass<T> {
    /// What is made for each class.
    pub fn new(make: impl FnMut(Class) -> T) -> Self {
        Self(Class::ALL.map(make))
    }

    /// The one of a class.
    pub fn of(&self, class: Class) -> &T {
        &self.0[class as usize]
    }
}

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rated {
    /// With which others.
    pub class: Class,
    /// What it costs where work is counted: 1 to [`HEAVIEST`].
    pub work: u32,
}

impl Rated {
    /// A read of one thing.
    pub const READ: Self = Self { class: Class::General, work: 1 };
    /// A read of many things.
    pub const LIST: Self = Self { class: Class::General, work: 5 };
    /// A decision.
    pub const WRITE: Self = Self { class: Class::General, work: HEAVIEST };
    /// Logging in and the like.
    pub const AUTH: Self = Self { class: Class::Auth, work: 1 };
    /// What devices report, one fact or many.
    pub const FACTS: Self = Self { class: Class::Facts, work: 1 };
}

/// Quotas that belong together, by class.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// What settings know it by.
    pub name: &'static str,
    pub(crate) general: &'static [Quota],
    pub(crate) auth: &'static [Quota],
    pub(crate) facts: &'static [Quota],
}

/// Devices may be many behind one name or address, and may never retry: this stops floods and nothing else.
const FACTS: &[Quota] = &[Quota::requests("facts", 60_000, 60)];

/// 100 requests in a minute, 500 in ten, 2,000 in an hour; and no more work at once than a process does for
/// 50 reads in a second.
pub static APP: Profile = Profile {
    name: "app",
    general: &[
        Quota::requests("short", 100, 60),
        Quota::requests("medium", 500, 600),
        Quota::requests("long", 2_000, 3_600),
        Quota::work(500, 10),
    ],
    auth: &[
        Quota::requests("auth", 10, 1),
        Quota::requests("auth-short", 100, 60),
        Quota::requests("auth-medium", 500, 600),
        Quota::requests("auth-long", 2_000, 3_600),
    ],
    facts: FACTS,
};

/// 50 requests in a second, 10 of them to log in and the like: what the front door allows an address, where
/// the processes are to keep it themselves.
pub static EDGE: Profile = Profile {
    name: "edge",
    general: &[Quota::requests("second", 50, 1), Quota::work(500, 10)],
    auth: &[Quota::requests("auth", 10, 1)],
    facts: FACTS,
};

/// 10 requests in a second, 5 of them to log in and the like.
pub static STRICT: Profile = Profile {
    name: "strict",
    general: &[Quota::requests("second", 10, 1), Quota::work(100, 10)],
    auth: &[Quota::requests("auth", 5, 1)],
    facts: FACTS,
};

impl Profile {
    /// The profile of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        [&APP, &EDGE, &STRICT].into_iter().find(|profile| profile.name == name)
    }

    /// The quotas of a class.
    pub const fn quotas(&self, class: Class) -> &'static [Quota] {
        match class {
            Class::General => self.general,
            Class::Auth => self.auth,
            Class::Facts => self.facts,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_quota_of_a_profile_can_be_told_and_holds_its_heaviest_request() {
        for profile in [&APP, &EDGE, &STRICT] {
            assert_eq!(Profile::named(profile.name), Some(profile));
            let mut names = HashSet::new();
            for class in Class::ALL {
                let quotas = profile.quotas(class);
                assert!((1..=MAX_QUOTAS).contains(&quotas.len()), "{} {class:?}", profile.name);
                for quota in quotas {
                    assert!(names.insert(quota.name), "{} stands twice", quota.name);
                    assert!(quota.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
                    assert_eq!(quota.window.subsec_nanos(), 0);
                    assert!(quota.window.as_secs() > 0 && quota.units >= 1);
                    assert!(quota.unit == Unit::Request || quota.units >= u64::from(HEAVIEST));
                }
            }
        }
        assert_eq!(Profile::named("off"), None);
    }

    #[test]
    fn each_class_has_its_own() {
        let names = PerClass::new(Class::name);
        assert!(Class::ALL.iter().all(|class| *names.of(*class) == class.name()));
    }

    #[test]
    fn no_request_costs_nothing_or_more_than_the_heaviest() {
        for rated in [Rated::READ, Rated::LIST, Rated::WRITE, Rated::AUTH, Rated::FACTS] {
            assert!((1..=HEAVIEST).contains(&rated.work), "{rated:?}");
        }
    }

    #[test]
    fn each_profile_counts_requests_by_its_own_figures() {
        let figures = |profile: &Profile, class| -> Vec<(u64, u64)> {
            let requests = profile.quotas(class).iter().filter(|it| it.unit == Unit::Request);
            requests.map(|quota| (quota.units, quota.window.as_secs())).collect()
        };
        assert_eq!(figures(&APP, Class::General), [(100, 60), (500, 600), (2_000, 3_600)]);
        assert_eq!(figures(&EDGE, Class::General), [(50, 1)]);
        assert_eq!(figures(&EDGE, Class::Auth), [(10, 1)]);
        assert_eq!(figures(&STRICT, Class::General), [(10, 1)]);
        assert_eq!(figures(&STRICT, Class::Auth), [(5, 1)]);
    }
}
