//! What happens in Redis: calls that arrive, entries that go, servers that are replaced.

use super::rules::{Mistake, Setting};
use super::state::{
    BatchId, By, Call, Cg, Chunk, Entry, Home, KEYS, Keys, NOBODY, Redis, Row, State, TRUST, Trust,
    Tx, has,
};

impl State {
    /// The script of a call runs.
    pub(super) fn arrive(&mut self, call: Call, setting: &Setting) {
        match call {
            Call::Before { by, batch, keys, chunk } => {
                let (now, rest) = cut(keys, setting);
                let last = setting.breaks(Mistake::WindowLast);
                let due = if last { rest == 0 } else { chunk == Chunk::First };
                if due && has_window(by, setting) {
                    self.redis.window = Some(batch);
                }
                self.set_tombstones(by, batch, now, setting);
                if rest != 0 {
                    self.calls.push(Call::Before { by, batch, keys: rest, chunk: Chunk::Later });
                }
            }
            Call::After { by, batch, cg, rows, chunk } => {
                if chunk == Chunk::First && has_window(by, setting) {
                    self.end_window(batch, setting);
                }
                let (now, rest) = cut(some(&rows), setting);
                self.end_tombstones(batch, cg, only(rows, now), setting);
                if rest != 0 {
                    let rows = only(rows, rest);
                    self.calls.push(Call::After { by, batch, cg, rows, chunk: Chunk::Later });
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

    /// Under a window only what exists needs a tombstone: nothing new can come to an absent key.
    fn set_tombstones(&mut self, by: By, batch: BatchId, keys: Keys, setting: &Setting) {
        let mut tombstoned = 0;
        for (key, entry) in self.redis.entries.iter_mut().enumerate() {
            let covered = *entry == Entry::Absent && has_window(by, setting);
            if has(keys, key) && !covered {
                let hot = matches!(entry, Entry::Body { .. } | Entry::Tombstone { hot: true, .. });
                *entry = Entry::Tombstone { batch, hot };
                tombstoned |= 1 << key;
            }
        }
        let waiting = self.lanes.iter_mut().filter_map(|lane| lane.tx.as_mut());
        for tx in waiting.chain(self.replay.as_mut()).filter(|tx| tx.batch == batch) {
            tx.visited |= keys;
            tx.tombstoned |= tombstoned;
        }
    }

    fn end_tombstones(
        &mut self,
        batch: BatchId,
        cg: Cg,
        rows: [Option<Row>; KEYS],
        setting: &Setting,
    ) {
        let any = setting.breaks(Mistake::UpgradeAnyTombstone);
        for (entry, row) in self.redis.entries.iter_mut().zip(rows) {
            *entry = row.map_or(*entry, |row| visited(*entry, batch, any, cg, row));
        }
    }

    fn end_window(&mut self, batch: BatchId, setting: &Setting) {
        let any = setting.breaks(Mistake::EndAnyWindow);
        self.redis.window = self.redis.window.filter(|holder| *holder != batch && !any);
    }

    /// Whether an entry may go by itself: bodies and leases at any time. A tombstone lives longer
    /// than a transaction may last, so it stands until those that it covers are over.
    pub(super) fn may_go(&self, key: usize, setting: &Setting) -> bool {
        match self.redis.entries[key] {
            Entry::Absent => false,
            Entry::Body { .. } | Entry::Lease(_) => true,
            Entry::Tombstone { .. } => {
                setting.breaks(Mistake::TombstoneTooShort)
                    || !self.transactions().any(|tx| has(tx.visited, key))
            }
        }
    }

    /// Whether the window may go by itself: it lives as long as a tombstone. One that another
    /// batch's late call has set lives longer.
    pub(super) fn window_may_go(&self, setting: &Setting) -> bool {
        let needs = |tx: &Tx| has_window(tx.by, setting) && tx.visited != 0;
        self.redis.window.is_some()
            && (setting.breaks(Mistake::TombstoneTooShort) || !self.transactions().any(needs))
    }

    /// An older copy serves from now on; its own tombstones and window may have lapsed meanwhile.
    pub(super) fn replace(&mut self, copy: Redis, lapsed: bool) {
        self.redis = Redis { server: self.unused(), ..copy };
        self.copy = None;
        self.redis.window = self.redis.window.filter(|_| !lapsed);
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

/// Who covers absent keys with the window.
fn has_window(by: By, setting: &Setting) -> bool {
    by == By::Lane || setting.breaks(Mistake::ReplayByWindow)
}

/// The keys that a call covers, and those that are left to the next one.
fn cut(keys: Keys, setting: &Setting) -> (Keys, Keys) {
    let lowest = keys & keys.wrapping_neg();
    let now = if setting.chunks { lowest } else { keys };
    (now, keys & !now)
}

/// The keys that have a row.
fn some(rows: &[Option<Row>; KEYS]) -> Keys {
    (0..KEYS).filter(|key| rows[*key].is_some()).map(|key| 1 << key).sum()
}

/// The rows of these keys.
fn only(rows: [Option<Row>; KEYS], keys: Keys) -> [Option<Row>; KEYS] {
    std::array::from_fn(|key| rows[key].filter(|_| has(keys, key)))
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
