//! What happens in Redis: calls that arrive, entries that go, servers that are replaced.

use super::rules::{Mistake, Setting};
use super::state::{
    BatchId, Call, Cg, Entry, Home, KEYS, Keys, NOBODY, Redis, Row, State, TRUST, Trust, has,
};

impl State {
    /// The script of a call runs.
    pub(super) fn arrive(&mut self, call: Call, setting: &Setting) {
        match call {
            Call::Before { batch, keys } => self.set_tombstones(batch, keys),
            Call::After { batch, cg, rows } => {
                let any = setting.breaks(Mistake::UpgradeAnyTombstone);
                for (entry, row) in self.redis.entries.iter_mut().zip(rows) {
                    *entry = row.map_or(*entry, |row| visited(*entry, batch, any, cg, row));
                }
            }
            Call::Renew { cg, age, home } => {
                let unmarked = setting.breaks(Mistake::NoMark) && self.redis.server == home.server;
                if self.redis.is(home) || unmarked {
                    self.redis.trust = Some(Trust { cg, left: TRUST - age });
                }
            }
        }
    }

    fn set_tombstones(&mut self, batch: BatchId, keys: Keys) {
        for (key, entry) in self.redis.entries.iter_mut().enumerate() {
            if has(keys, key) {
                let hot = matches!(entry, Entry::Body { .. } | Entry::Tombstone { hot: true, .. });
                *entry = Entry::Tombstone { batch, hot };
            }
        }
        let waiting = self.lanes.iter_mut().filter_map(|lane| lane.tx.as_mut());
        for tx in waiting.chain(self.replay.as_mut()).filter(|tx| tx.batch == batch) {
            tx.covered = true;
        }
    }

    /// Whether an entry may go by itself: bodies and leases at any time. A tombstone lives longer
    /// than a transaction may last, so it stands until those that it covers are over.
    pub(super) fn may_go(&self, key: usize, setting: &Setting) -> bool {
        match self.redis.entries[key] {
            Entry::Absent => false,
            Entry::Body { .. } | Entry::Lease(_) => true,
            Entry::Tombstone { .. } => {
                setting.breaks(Mistake::TombstoneTooShort)
                    || !self.transactions().any(|tx| tx.covered && has(tx.keys, key))
            }
        }
    }

    /// An older copy serves from now on; its own tombstones may have lapsed meanwhile.
    pub(super) fn replace(&mut self, copy: Redis, lapsed: bool) {
        self.redis = Redis { server: self.unused(), ..copy };
        self.copy = None;
        for entry in &mut self.redis.entries {
            if lapsed && matches!(entry, Entry::Tombstone { .. }) {
                *entry = Entry::Absent;
            }
        }
    }

    /// Nobody fills under this lease any more, so that its holder may be given a new one.
    pub(super) fn abandon(&mut self, who: u8) {
        let stored = [Some(&mut self.redis), self.copy.as_mut()];
        for entry in stored.into_iter().flatten().flat_map(|redis| &mut redis.entries) {
            if *entry == Entry::Lease(who) {
                *entry = Entry::Lease(NOBODY);
            }
        }
    }

    pub(super) fn tick(&mut self, setting: &Setting) {
        let stored = [Some(&mut self.redis), self.copy.as_mut()];
        for redis in stored.into_iter().flatten() {
            redis.trust = redis.trust.and_then(|trust| {
                let left = trust.left - 1;
                (left > 0).then_some(Trust { left, ..trust })
            });
        }
        for call in &mut self.calls {
            if let Call::Renew { age, .. } = call
                && !setting.breaks(Mistake::RenewFromArrival)
            {
                *age += 1;
            }
        }
        // It would set a key that has lapsed already.
        self.calls.retain(|call| !matches!(call, Call::Renew { age, .. } if *age >= TRUST));
        for lane in self.lanes.iter_mut().filter(|lane| lane.holds) {
            lane.since = TRUST.min(lane.since + 1);
            lane.asked = lane.asked.map(|age| age + 1).filter(|age| *age < TRUST);
        }
        self.promoting = self.promoting.map(|since| TRUST.min(since + 1));
    }

    /// The mark that the position names is not in the Redis that serves: a renewal is refused.
    pub(super) fn is_elsewhere(&self) -> bool {
        !self.redis.is(self.position.home)
    }

    pub(super) fn leave_mark(&mut self) -> Home {
        let home = Home { server: self.redis.server, mark: self.unused() };
        self.redis.mark = Some(home.mark);
        home
    }
}

/// What the call after the commit leaves of an entry.
fn visited(entry: Entry, batch: BatchId, any: bool, cg: Cg, row: Row) -> Entry {
    match entry {
        Entry::Tombstone { batch: owner, hot } if owner == batch || any => {
            if hot {
                Entry::Body { cg, row }
            } else {
                Entry::Absent
            }
        }
        Entry::Tombstone { .. } => entry,
        Entry::Absent | Entry::Lease(_) | Entry::Body { .. } => Entry::Absent,
    }
}

const _: () = assert!(KEYS <= 8, "keys are bits of a byte");
