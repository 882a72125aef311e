//! What is remembered of one caller and one class.

use crate::LimitKey;
use crate::profile::{Class, MAX_QUOTAS, Unit};
use crate::rule::{Asked, Fill, Rule};
use crate::shared_buckets::{Charge, Debts};

/// Whose requests of which class are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) key: LimitKey,
    pub(crate) class: Class,
}

/// What was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Used {
    requests: u32,
    work: u32,
}

impl Used {
    fn of(self, unit: Unit) -> u32 {
        match unit {
            Unit::Request => self.requests,
            Unit::Work => self.work,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            work: self.work.saturating_add(other.work),
        }
    }
}

/// A caller's buckets of one class.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) counted: Counted,
    fills: [Fill; MAX_QUOTAS],
    /// What the shared buckets are to be charged with.
    uncharged: Used,
    /// What they are being charged with.
    under_way: Used,
    /// Some of it was let through while they did not answer, perhaps long ago.
    was_alone: bool,
    /// Stands in the outbox.
    pub(crate) is_waiting: bool,
}

impl Slot {
    pub(crate) fn new(counted: Counted) -> Self {
        Self {
            counted,
            fills: Default::default(),
            uncharged: Used::default(),
            under_way: Used::default(),
            was_alone: false,
            is_waiting: false,
        }
    }

    /// The rules with where their buckets stand.
    pub(crate) fn fills<'a>(&self, rules: &'a [Rule]) -> impl Iterator<Item = (&'a Rule, Fill)> {
        rules.iter().zip(self.fills)
    }

    /// The rule that keeps the request back for longest, and for how many nanoseconds.
    pub(crate) fn refusal<'a>(
        &self,
        rules: &'a [Rule],
        asked: Asked,
    ) -> Option<(&'a Rule, Fill, u64)> {
        let open = self.uncharged.and(self.under_way);
        let refusals = self.fills(rules).filter_map(|(rule, fill)| {
            let lacking = rule.refusal(fill, open.of(rule.quota.unit), asked)?;
            Some((rule, fill, lacking))
        });
        refusals.max_by_key(|(.., lacking)| *lacking)
    }

    /// Lets the request through.
    pub(crate) fn spend(&mut self, rules: &[Rule], asked: Asked) {
        for (rule, fill) in rules.iter().zip(&mut self.fills) {
            rule.spend(fill, asked);
        }
        self.uncharged = self.uncharged.and(Used { requests: 1, work: asked.work });
        self.was_alone |= asked.is_alone;
    }

    /// What the shared buckets are to be charged with now, if there is anything.
    pub(crate) fn take(&mut self, rules: &[Rule], now: u64) -> Option<Charge> {
        self.is_waiting = false;
        if self.uncharged == Used::default() {
            return None;
        }
        let used = std::mem::take(&mut self.uncharged);
        let was_alone = std::mem::take(&mut self.was_alone);
        self.under_way = self.under_way.and(used);
        let mut nanos = [0; MAX_QUOTAS];
        for (nanos, (rule, fill)) in nanos.iter_mut().zip(self.fills(rules)) {
            let units = u64::from(used.of(rule.quota.unit));
            // What was let through an hour ago has flowed in since.
            let units = if was_alone { units.min(rule.lent(fill, now)) } else { units };
            *nanos = rule.shared.time_of(units);
        }
        let Counted { key, class } = self.counted;
        Some(Charge { key, class, quotas: rules.len(), nanos })
    }

    /// The shared buckets were charged, and stand so far from full.
    pub(crate) fn charged(&mut self, rules: &[Rule], debts: &Debts, now: u64) {
        self.under_way = Used::default();
        for ((rule, fill), debt) in rules.iter().zip(&mut self.fills).zip(debts.nanos) {
            let since = u64::from(self.uncharged.of(rule.quota.unit));
            let debt = debt.saturating_add(rule.shared.time_of(since));
            fill.full_at = now.saturating_add(debt);
        }
    }

    /// They were not, as far as is known: to be charged twice is better than never.
    pub(crate) fn not_charged(&mut self) {
        self.uncharged = self.uncharged.and(std::mem::take(&mut self.under_way));
        self.was_alone = true;
    }

    /// When nothing is lost if it is forgotten.
    pub(crate) fn rests_at(&self) -> u64 {
        self.fills.iter().map(|fill| fill.rests_at()).max().unwrap_or_default()
    }
}
