//! One name for states that differ only in names.

use super::rules::{Mistake, Setting};
use super::state::{
    Age, BatchId, By, Call, Cg, Entry, Home, NOBODY, Reader, Redis, Row, State, Tx,
};

/// The name of what can never again be equal to anything that counts.
const DEAD: u8 = 200;

/// Names in the order in which they are met.
#[derive(Default)]
struct Names(Vec<u8>);

impl Names {
    fn rename(&mut self, name: &mut u8) {
        let known = self.0.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.0.push(*name);
            self.0.len() - 1
        });
        *name = u8::try_from(index).expect("few names");
    }
}

#[derive(Default)]
struct Renaming {
    cgs: Names,
    batches: Names,
    servers: Names,
    marks: Names,
}

impl Renaming {
    fn home(&mut self, home: &mut Home) {
        self.servers.rename(&mut home.server);
        self.marks.rename(&mut home.mark);
    }

    fn cg(&mut self, cg: &mut Cg) {
        self.cgs.rename(cg);
    }

    fn redis(&mut self, redis: &mut Redis) {
        self.servers.rename(&mut redis.server);
        if let Some(mark) = &mut redis.mark {
            self.marks.rename(mark);
        }
        if let Some(trust) = &mut redis.trust {
            self.cg(&mut trust.cg);
        }
        if let Some(batch) = &mut redis.window {
            self.batches.rename(batch);
        }
        for entry in &mut redis.entries {
            match entry {
                Entry::Tombstone { batch, .. } => self.batches.rename(batch),
                Entry::Body { cg, .. } => self.cg(cg),
                Entry::Absent | Entry::Lease(_) => {}
            }
        }
    }

    fn tx(&mut self, tx: &mut Tx) {
        self.batches.rename(&mut tx.batch);
        self.cg(&mut tx.cg);
    }

    fn call(&mut self, call: &mut Call) {
        match call {
            Call::Before { batch, .. } => self.batches.rename(batch),
            Call::After { batch, cg, .. } => {
                self.batches.rename(batch);
                self.cg(cg);
            }
            Call::Renew { cg, home, .. } => {
                self.cg(cg);
                self.home(home);
            }
        }
    }
}

impl State {
    /// The same state under the names that all states like it have.
    pub(super) fn canonical(mut self, setting: &Setting) -> Self {
        self.bury_homes(setting);
        self.bury_cgs();
        let of_any = [Mistake::EndAnyWindow, Mistake::UpgradeAnyTombstone, Mistake::ReplayByWindow];
        if !of_any.iter().any(|mistake| setting.breaks(*mistake)) {
            self.bury_vain_calls();
        }
        self.bury_batches();
        if !setting.cuts {
            // Only a lane that may go without Redis asks how long ago it was.
            self.lanes.iter_mut().for_each(|lane| lane.since = 0);
        }
        if setting.readers > 1 {
            self.sort_readers();
        }
        let mut names = Renaming::default();
        names.cg(&mut self.position.cg);
        names.home(&mut self.position.home);
        names.redis(&mut self.redis);
        self.copy.iter_mut().for_each(|copy| names.redis(copy));
        for lane in &mut self.lanes {
            lane.tx.iter_mut().for_each(|tx| names.tx(tx));
            lane.marked.iter_mut().for_each(|home| names.home(home));
            if let Some((cg, home)) = &mut lane.memory {
                names.cg(cg);
                names.home(home);
            }
        }
        self.replay.iter_mut().for_each(|tx| names.tx(tx));
        for reader in &mut self.readers {
            if let Reader::Loaded { cg, .. } = reader {
                names.cg(cg);
            }
        }
        self.calls.sort_unstable();
        self.calls.iter_mut().for_each(|call| names.call(call));
        self.calls.sort_unstable();
        self
    }

    /// A server that is gone never comes back, nor does a mark; a copy serves as a new server.
    fn bury_homes(&mut self, setting: &Setting) {
        let told_apart = [Mistake::ForgetServer, Mistake::NoMark, Mistake::MarkAfterRaise];
        if !told_apart.iter().any(|mistake| setting.breaks(*mistake)) {
            self.bury_elsewhere();
        }
        let server = self.redis.server;
        let marks = [self.redis.mark, self.copy.and_then(|copy| copy.mark)];
        let bury = |home: &mut Home| {
            if home.server != server {
                home.server = DEAD;
            }
            if !marks.contains(&Some(home.mark)) {
                home.mark = DEAD;
            }
        };
        bury(&mut self.position.home);
        for lane in &mut self.lanes {
            lane.marked.iter_mut().for_each(bury);
            lane.memory.iter_mut().for_each(|(_, home)| bury(home));
        }
        let unmarked = setting.breaks(Mistake::NoMark);
        let redis = self.redis;
        self.calls.retain(|call| match call {
            Call::Renew { home, .. } => redis.is(*home) || unmarked && home.server == server,
            Call::Before { .. } | Call::After { .. } => true,
        });
    }

    /// Server and mark count together, and those of a copy never.
    fn bury_elsewhere(&mut self) {
        let redis = self.redis;
        self.copy.iter_mut().for_each(|copy| copy.mark = None);
        let named = self.lanes.iter_mut().filter_map(|lane| lane.marked.as_mut());
        let mut is_named = false;
        for home in named.chain([&mut self.position.home]) {
            if redis.is(*home) {
                is_named = true;
            } else {
                *home = Home { server: DEAD, mark: DEAD };
            }
        }
        if !is_named {
            self.redis.mark = None;
        }
    }

    /// A cache generation that the trust key cannot have any more: neither it nor Postgres names it,
    /// nor does a renewal under way.
    fn bury_cgs(&mut self) {
        let copy = self.copy.and_then(|copy| copy.trust);
        let mut living = vec![self.position.cg];
        living.extend([self.redis.trust, copy].into_iter().flatten().map(|trust| trust.cg));
        living.extend(self.lanes.iter().filter_map(|lane| lane.memory).map(|(cg, _)| cg));
        for call in &self.calls {
            if let Call::Renew { cg, .. } = call {
                living.push(*cg);
            }
        }
        let is_dead = |cg: Cg| !living.contains(&cg);
        let old = Row { version: Age::Old, position: Age::Old };
        let stored = [Some(&mut self.redis), self.copy.as_mut()];
        for entry in stored.into_iter().flatten().flat_map(|redis| &mut redis.entries) {
            if matches!(entry, Entry::Body { cg, .. } if is_dead(*cg)) {
                *entry = Entry::Body { cg: DEAD, row: old };
            }
        }
        let open = self.lanes.iter_mut().filter_map(|lane| lane.tx.as_mut());
        for tx in open.chain(&mut self.replay).filter(|tx| is_dead(tx.cg)) {
            tx.cg = DEAD;
        }
        for reader in &mut self.readers {
            if let Reader::Loaded { cg, .. } = reader
                && is_dead(*cg)
            {
                *cg = DEAD;
            }
        }
        for call in &mut self.calls {
            if let Call::After { cg, rows, .. } = call
                && is_dead(*cg)
            {
                *cg = DEAD;
                rows.iter_mut().for_each(|row| *row = row.map(|_| old));
            }
        }
    }

    /// Calls after a commit that find nothing of their batch, nor ever will: they take away what they
    /// visit, and those that visit nothing do nothing.
    fn bury_vain_calls(&mut self) {
        let stored = [Some(self.redis), self.copy];
        let before = |call: &Call| match call {
            Call::Before { batch, .. } => Some(*batch),
            Call::After { .. } | Call::Renew { .. } => None,
        };
        let sent: Vec<BatchId> = self.calls.iter().filter_map(before).collect();
        let old = Row { version: Age::Old, position: Age::Old };
        self.calls.retain_mut(|call| {
            let Call::After { by, batch, cg, rows, .. } = call else { return true };
            let hot = Entry::Tombstone { batch: *batch, hot: true };
            let mut stored = stored.iter().flatten();
            if !sent.contains(batch) {
                if stored.clone().all(|redis| redis.window != Some(*batch)) {
                    *by = By::Replay;
                }
                if stored.all(|redis| !redis.entries.contains(&hot)) {
                    *cg = DEAD;
                    rows.iter_mut().for_each(|row| *row = row.map(|_| old));
                }
            }
            *by == By::Lane || rows.iter().any(Option::is_some)
        });
    }

    /// A batch that is over and has no call after a commit under way: nothing is compared with it
    /// any more, and its late call before the commit is like any other's.
    fn bury_batches(&mut self) {
        let mut living: Vec<BatchId> = self.transactions().map(|tx| tx.batch).collect();
        living.extend(self.calls.iter().filter_map(|call| match call {
            Call::After { batch, .. } => Some(*batch),
            Call::Before { .. } | Call::Renew { .. } => None,
        }));
        let bury = |batch: &mut BatchId| {
            if !living.contains(batch) {
                *batch = DEAD;
            }
        };
        for redis in [Some(&mut self.redis), self.copy.as_mut()].into_iter().flatten() {
            redis.window.iter_mut().for_each(bury);
            for entry in &mut redis.entries {
                if let Entry::Tombstone { batch, .. } = entry {
                    bury(batch);
                }
            }
        }
        for call in &mut self.calls {
            if let Call::Before { batch, .. } = call {
                bury(batch);
            }
        }
    }

    /// Readers are alike: who is first is decided by what they hold.
    fn sort_readers(&mut self) {
        let leases = |state: &Self, who: u8| {
            let stored = [Some(&state.redis), state.copy.as_ref()];
            let entries = stored.map(|redis| redis.map(|redis| redis.entries));
            entries.map(|entries| entries.map(|all| all.map(|entry| entry == Entry::Lease(who))))
        };
        if (self.readers[0], leases(self, 0)) <= (self.readers[1], leases(self, 1)) {
            return;
        }
        self.readers.swap(0, 1);
        let stored = [Some(&mut self.redis), self.copy.as_mut()];
        for entry in stored.into_iter().flatten().flat_map(|redis| &mut redis.entries) {
            if let Entry::Lease(holder) = entry
                && *holder != NOBODY
            {
                *holder = 1 - *holder;
            }
        }
    }

    /// A number that none of these has yet.
    pub(super) fn unused(&self) -> u8 {
        // Names are counted from zero, and a state has fewer than this.
        100
    }
}
