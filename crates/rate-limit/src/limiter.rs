//! One process's word on who may ask for more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::decision::{Decision, Told};
use crate::outbox::Outbox;
use crate::profile::{Class, PerClass, Profile, Quota, Rated, Unit};
use crate::rule::{Asked, Rule};
use crate::shared_buckets::{Charge, Debts};
use crate::slot::{Counted, Slot};
use crate::table::Table;
use crate::{LimitKey, Moment};

/// What a limiter is made of.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Whose quotas.
    pub profile: &'static Profile,
    /// By how much each of them is larger.
    pub factor: u32,
    /// Processes that a caller's requests are assumed to reach while the shared buckets do not answer.
    pub instances: u32,
    /// Callers of a class that are remembered, about.
    pub callers: usize,
}

/// Decides for one process. Shared by all of its requests; no call waits for anything but a lock that is held
/// for the time of a few comparisons.
pub struct Limiter {
    rules: PerClass<Vec<Rule>>,
    table: Table,
    outbox: Outbox,
    has_shared: bool,
    is_alone: AtomicBool,
}

impl Limiter {
    /// One whose callers are all unknown. Where there are no shared buckets it is alone for ever.
    pub fn new(limits: Limits, has_shared: bool) -> Self {
        let Limits { profile, factor, instances, callers } = limits;
        let rules = |class| -> Vec<Rule> {
            let quotas = profile.quotas(class).iter();
            quotas.map(|quota| Rule::new(*quota, factor, instances)).collect()
        };
        Self {
            rules: PerClass::new(rules),
            table: Table::new(callers),
            outbox: Outbox::new(if has_shared { callers } else { 0 }),
            has_shared,
            is_alone: AtomicBool::new(!has_shared),
        }
    }

    /// The quotas of a class, as they hold.
    pub fn quotas(&self, class: Class) -> impl Iterator<Item = Quota> {
        self.rules(class).iter().map(|rule| rule.quota)
    }

    /// Whether the shared buckets do not answer, or there are none.
    pub fn is_alone(&self) -> bool {
        self.is_alone.load(Ordering::Relaxed)
    }

    /// Lets a request through, or not. A refused one costs nothing.
    pub fn decide(&self, key: LimitKey, rated: Rated, now: Moment) -> Decision {
        let rules = self.rules(rated.class);
        let counted = Counted { key, class: rated.class };
        let asked = Asked { work: rated.work, now: now.0, is_alone: self.is_alone() };
        let mut set = self.table.set(counted);
        let slot = set.slot(counted);
        if let Some((rule, fill, lacking)) = slot.refusal(rules, asked) {
            let after = Duration::from_nanos(lacking);
            let told = Told { quota: rule.quota, left: rule.left(fill, asked), after };
            return Decision { is_admitted: false, wakes: false, told };
        }
        slot.spend(rules, asked);
        let wakes = self.put_out(slot);
        Decision { is_admitted: true, wakes, told: nearest(slot, rules, asked) }
    }

    /// What the shared buckets are to be charged with, of so many callers at most. Each of these calls is
    /// followed by [`Self::charged`] or [`Self::not_charged`] with what it gave, before the next.
    pub fn take(&self, most: usize, now: Moment) -> Vec<Charge> {
        let waiting = self.outbox.take(most).into_iter();
        let charge = |counted: Counted| {
            let mut set = self.table.set(counted);
            // Whoever was forgotten meanwhile has no more than a credit to owe.
            set.find(counted)?.take(self.rules(counted.class), now.0)
        };
        waiting.filter_map(charge).collect()
    }

    /// The shared buckets were charged with these, and stand so.
    pub fn charged(&self, charges: &[Charge], debts: &[Debts], now: Moment) {
        for (charge, debts) in charges.iter().zip(debts) {
            let counted = Counted { key: charge.key, class: charge.class };
            if let Some(slot) = self.table.set(counted).find(counted) {
                slot.charged(self.rules(charge.class), debts, now.0);
            }
        }
        self.is_alone.store(!self.has_shared, Ordering::Relaxed);
    }

    /// The shared buckets did not answer. They are charged with these again.
    pub fn not_charged(&self, charges: &[Charge]) {
        self.is_alone.store(true, Ordering::Relaxed);
        for charge in charges {
            let counted = Counted { key: charge.key, class: charge.class };
            if let Some(slot) = self.table.set(counted).find(counted) {
                slot.not_charged();
                self.put_out(slot);
            }
        }
    }

    /// Has the slot's caller charged, unless that is going to happen anyway; true where it was not. Without
    /// room the next request tries again.
    fn put_out(&self, slot: &mut Slot) -> bool {
        if !self.has_shared || slot.is_waiting {
            return false;
        }
        slot.is_waiting = self.outbox.push(slot.counted);
        slot.is_waiting
    }

    pub(crate) fn rules(&self, class: Class) -> &[Rule] {
        self.rules.of(class)
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.table.len()
    }
}

/// The quota of which fewest requests like this one are left.
fn nearest(slot: &Slot, rules: &[Rule], asked: Asked) -> Told {
    let told = slot.fills(rules).map(|(rule, fill)| {
        let left = rule.left(fill, asked);
        let requests = left / u64::from(rule.cost(asked.work).max(1));
        let after = Duration::from_nanos(rule.until_full(fill, asked));
        (requests, Told { quota: rule.quota, left, after })
    });
    let nearest = told.min_by_key(|(requests, _)| *requests).map(|(_, told)| told);
    // A class without quotas keeps nobody from anything.
    nearest.unwrap_or(Told { quota: NONE, left: u64::MAX, after: Duration::ZERO })
}

/// What is told where nothing is counted.
const NONE: Quota =
    Quota { name: "none", units: u64::MAX, window: Duration::from_secs(1), unit: Unit::Request };
