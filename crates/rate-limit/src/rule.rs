//! A quota as arithmetic. A bucket is one time: when it is full again if nothing more is taken.

use std::time::Duration;

use crate::profile::{HEAVIEST, Quota, Unit};

/// For how long a process may let requests through that the shared bucket has not heard of, at the rate at
/// which the bucket fills.
const CREDIT_TIME: Duration = Duration::from_millis(100);

/// Or this part of a bucket, whichever is more: of a slow one a page takes several units at once.
const CREDIT_PART: u64 = 8;

/// Or this many requests.
const LEAST_CREDIT: u64 = 2;

/// A bucket: how fast it fills and how much it holds, in nanoseconds of filling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// In what time a unit flows in; never 0.
    interval: u64,
    /// In what time an empty one is full.
    capacity: u64,
}

impl Bucket {
    fn new(interval: u64, units: u64) -> Self {
        Self { interval, capacity: interval.saturating_mul(units) }
    }

    /// The time in which so many units flow in.
    pub(crate) fn time_of(self, units: u64) -> u64 {
        self.interval.saturating_mul(units)
    }

    /// How long it takes until so many units are there; 0 where they are.
    fn lacks(self, full_at: u64, cost: u32, now: u64) -> u64 {
        self.full_after(full_at, cost, now).saturating_sub(now.saturating_add(self.capacity))
    }

    /// When it is full again once so many units are taken.
    fn full_after(self, full_at: u64, cost: u32, now: u64) -> u64 {
        full_at.max(now).saturating_add(self.time_of(u64::from(cost)))
    }

    /// How many units there are.
    fn holds(self, full_at: u64, now: u64) -> u64 {
        self.capacity.saturating_sub(full_at.saturating_sub(now)) / self.interval
    }

    /// How many units have to flow in until it is full; begun ones count.
    fn lent(self, full_at: u64, now: u64) -> u64 {
        full_at.saturating_sub(now).div_ceil(self.interval)
    }
}

/// When the two buckets of a quota are full again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fill {
    /// The shared one, as far as this process knows.
    pub(crate) full_at: u64,
    /// This process's share.
    share_full_at: u64,
}

/// A quota, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// As it is told: with the factor of the settings.
    pub(crate) quota: Quota,
    /// The bucket that all processes share.
    pub(crate) shared: Bucket,
    /// What each of them keeps to alone.
    share: Bucket,
    /// Units that a process may let through and the shared bucket has not been charged with.
    pub(crate) credit: u32,
}

/// A request that is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// What it costs where work is counted.
    pub(crate) work: u32,
    /// When.
    pub(crate) now: u64,
    /// Whether the shared buckets do not answer.
    pub(crate) is_alone: bool,
}

impl Rule {
    /// The quota made larger by a factor, for so many processes.
    pub(crate) fn new(quota: Quota, factor: u32, instances: u32) -> Self {
        let quota = Quota { units: quota.units.saturating_mul(u64::from(factor)), ..quota };
        let window = u64::try_from(quota.window.as_nanos()).unwrap_or(u64::MAX);
        // Rounded up, so that a full bucket never holds more than it is to.
        let interval = window.div_ceil(quota.units.max(1)).max(1);
        let instances = u64::from(instances.max(1));
        let heaviest = match quota.unit {
            Unit::Request => 1,
            Unit::Work => u64::from(HEAVIEST),
        };
        let share_units = (quota.units / instances).max(heaviest).min(quota.units);
        let in_time = u64::try_from(CREDIT_TIME.as_nanos()).unwrap_or(u64::MAX) / interval;
        let credit = in_time.max(quota.units / CREDIT_PART).max(heaviest).max(LEAST_CREDIT);
        Self {
            quota,
            shared: Bucket::new(interval, quota.units),
            share: Bucket::new(interval.saturating_mul(instances), share_units),
            credit: u32::try_from(credit.min(quota.units)).unwrap_or(u32::MAX),
        }
    }

    /// What a request costs here.
    pub(crate) fn cost(&self, work: u32) -> u32 {
        match self.quota.unit {
            Unit::Request => 1,
            Unit::Work => work,
        }
    }

    /// Why the request may not be let through: in how many nanoseconds there will be enough for it. It is 0
    /// where there is enough, but more than the credit is not charged yet, which passes at once.
    pub(crate) fn refusal(&self, fill: Fill, uncharged: u32, asked: Asked) -> Option<u64> {
        let Asked { work, now, is_alone } = asked;
        let cost = self.cost(work);
        let lacking = self.shared.lacks(fill.full_at, cost, now);
        if is_alone {
            let lacking = lacking.max(self.share.lacks(fill.share_full_at, cost, now));
            return (lacking > 0).then_some(lacking);
        }
        let is_beyond_credit = uncharged.saturating_add(cost) > self.credit;
        (lacking > 0 || is_beyond_credit).then_some(lacking)
    }

    /// Lets the request through.
    pub(crate) fn spend(&self, fill: &mut Fill, asked: Asked) {
        let Asked { work, now, .. } = asked;
        let cost = self.cost(work);
        fill.full_at = self.shared.full_after(fill.full_at, cost, now);
        // With the others' silence a process may let through more than its share, which is then empty and no
        // less than that.
        let share = self.share.full_after(fill.share_full_at, cost, now);
        fill.share_full_at = share.min(now.saturating_add(self.share.capacity));
    }

    /// How many units are left.
    pub(crate) fn left(&self, fill: Fill, asked: Asked) -> u64 {
        let left = self.shared.holds(fill.full_at, asked.now);
        if asked.is_alone {
            left.min(self.share.holds(fill.share_full_at, asked.now))
        } else {
            left
        }
    }

    /// In how many nanoseconds the bucket is full again.
    pub(crate) fn until_full(&self, fill: Fill, asked: Asked) -> u64 {
        let full_at = if asked.is_alone { fill.rests_at() } else { fill.full_at };
        full_at.saturating_sub(asked.now)
    }

    /// How many units this process has let through that have not flowed back into its share.
    pub(crate) fn lent(&self, fill: Fill, now: u64) -> u64 {
        self.share.lent(fill.share_full_at, now)
    }
}

impl Fill {
    /// When both buckets are full.
    pub(crate) fn rests_at(self) -> u64 {
        self.full_at.max(self.share_full_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{APP, Class, STRICT};

    fn rule(place: usize, factor: u32, instances: u32) -> Rule {
        Rule::new(APP.quotas(Class::General)[place], factor, instances)
    }

    #[test]
    fn a_bucket_holds_what_its_quota_says_and_fills_in_its_window() {
        let rule = rule(0, 1, 2);
        assert_eq!(rule.shared.holds(0, 0), 100);
        assert_eq!(rule.shared.time_of(1), 600_000_000);
        assert_eq!(rule.shared.lacks(60_000_000_000, 1, 0), 600_000_000);
        assert_eq!(rule.shared.lacks(59_400_000_000, 1, 0), 0);
        assert_eq!(rule.shared.lent(1, 0), 1);
        assert_eq!(rule.shared.lent(0, 5), 0);
    }

    #[test]
    fn a_share_is_a_part_of_the_bucket_and_never_too_small_for_a_request() {
        assert_eq!(rule(0, 1, 2).share.holds(0, 0), 50);
        assert_eq!(rule(0, 1, 1).share.holds(0, 0), 100);
        assert_eq!(rule(0, 1, 1_000).share.holds(0, 0), 1);
        assert_eq!(rule(3, 1, 1_000).share.holds(0, 0), u64::from(HEAVIEST));
    }

    #[test]
    fn a_credit_is_a_tenth_of_a_second_and_for_slow_quotas_an_eighth_of_the_bucket() {
        assert_eq!(rule(0, 1, 2).credit, 12);
        assert_eq!(rule(3, 1, 2).credit, 62);
        let facts = Rule::new(APP.quotas(Class::Facts)[0], 1, 2);
        assert_eq!(facts.credit, 7_500);
        let strict = Rule::new(STRICT.quotas(Class::Auth)[0], 1, 2);
        assert_eq!(strict.credit, 2);
    }

    #[test]
    fn a_factor_makes_everything_larger_and_the_window_stays() {
        let larger = rule(0, 100_000, 2);
        assert_eq!(larger.quota.units, 10_000_000);
        assert_eq!(larger.shared.holds(0, 0), 10_000_000);
        assert_eq!(larger.shared.time_of(10_000_000), 60_000_000_000);
    }
}
