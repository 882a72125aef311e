//! Lanes, their renewals, replays and promotions: everyone who writes to Postgres.

use super::rules::{Mistake, Setting};
use super::state::{By, Call, Cg, Chunk, Entry, Home, Keys, Lane, Row, State, TRUST, Tx, Who, has};

impl State {
    pub(super) fn owns(&self, who: Who) -> bool {
        self.position.owner == who
    }

    /// Whether the first statement of a batch moves the position.
    pub(super) fn passes_fence(&self, who: Who, setting: &Setting) -> bool {
        let lane = &self.lanes[who];
        let owned = self.owns(who) || setting.breaks(Mistake::FenceWithoutOwner);
        lane.holds && lane.at_floor && owned && self.promoting.is_none()
    }

    /// Whether nobody holds what a batch locks: the position, for a lane, and the rows.
    pub(super) fn may_lock(&self, keys: Keys, moves_position: bool, setting: &Setting) -> bool {
        let rows = setting.breaks(Mistake::TombstoneBeforeLocks)
            || self.transactions().all(|tx| tx.keys & keys == 0);
        rows && !(moves_position && self.position_is_locked())
    }

    /// The fence, the rows, and the call before the commit is sent.
    pub(super) fn begin(&mut self, who: Who, keys: Keys, setting: &Setting) {
        self.lanes[who].tx = Some(self.opened(By::Lane, keys, setting));
    }

    pub(super) fn begin_replay(&mut self, keys: Keys, setting: &Setting) {
        self.replay = Some(self.opened(By::Replay, keys, setting));
    }

    fn opened(&mut self, by: By, keys: Keys, setting: &Setting) -> Tx {
        let batch = self.unused();
        let late = setting.breaks(Mistake::TombstoneAfterCommit);
        let visited = if late { keys } else { 0 };
        let tx = Tx { by, batch, keys, cg: self.position.cg, visited, tombstoned: visited };
        if !late {
            self.send_before(tx);
        }
        tx
    }

    pub(super) fn send_before(&mut self, Tx { by, batch, keys, .. }: Tx) {
        self.calls.push(Call::Before { by, batch, keys, chunk: Chunk::First });
    }

    /// Commits what was covered, and sends the call after it.
    pub(super) fn commit(&mut self, who: Who, tx: Tx, setting: &Setting) {
        self.lanes[who].tx = None;
        self.moved_by(who);
        self.committed(tx, setting);
    }

    /// A replay commits unless the cache generation rose since it began.
    pub(super) fn commit_replay(&mut self, tx: Tx, setting: &Setting) {
        self.replay = None;
        if tx.cg == self.position.cg || setting.breaks(Mistake::ReplayUnchecked) {
            self.committed(tx, setting);
        }
    }

    fn committed(&mut self, tx: Tx, setting: &Setting) {
        self.outdate(tx.keys, tx.by == By::Lane);
        if setting.breaks(Mistake::TombstoneAfterCommit) {
            self.send_before(tx);
        }
        let rows = std::array::from_fn(|key| has(tx.tombstoned, key).then_some(Row::CURRENT));
        let Tx { by, batch, cg, .. } = tx;
        self.calls.push(Call::After { by, batch, cg, rows, chunk: Chunk::First });
    }

    fn moved_by(&mut self, who: Who) {
        for (other, lane) in self.lanes.iter_mut().enumerate() {
            lane.at_floor &= other == who;
        }
    }

    /// Goes without Redis: no renewal begins any more.
    pub(super) fn go_blind(&mut self, who: Who) {
        let lane = &mut self.lanes[who];
        *lane = Lane { blind: true, asked: None, marked: None, tx: None, ..*lane };
    }

    pub(super) fn has_waited(&self, who: Who, setting: &Setting) -> bool {
        self.lanes[who].since >= TRUST || setting.breaks(Mistake::NoWait)
    }

    /// Commits without Redis; the cache generation rises in the same transaction.
    pub(super) fn commit_blind(&mut self, who: Who, keys: Keys, setting: &Setting) {
        self.moved_by(who);
        self.outdate(keys, true);
        // Only this mistake's lanes remember that they raised it.
        let raised = self.lanes[who].memory.is_some();
        if !(raised && setting.breaks(Mistake::RaiseOnce)) {
            self.position.cg = self.unused();
        }
        self.remember(who, setting);
    }

    pub(super) fn reach_again(&mut self, who: Who, setting: &Setting) {
        self.lanes[who].blind = false;
        if setting.breaks(Mistake::RaiseOnce) {
            self.lanes[who].memory = None;
        }
    }

    /// Asks Redis for its time.
    pub(super) fn ask_time(&mut self, who: Who) {
        self.lanes[who].asked = Some(0);
        self.lanes[who].since = 0;
    }

    /// Asks Postgres whether the position is still its own, and sends the renewal.
    pub(super) fn confirm(&mut self, who: Who, age: u8, setting: &Setting) {
        let lane = &mut self.lanes[who];
        lane.asked = None;
        let memory = lane.memory.filter(|_| setting.breaks(Mistake::RenewUnasked));
        let (cg, home) = memory.unwrap_or((self.position.cg, self.position.home));
        if self.owns(who) || memory.is_some() {
            self.calls.push(Call::Renew { cg, age, home });
            if memory.is_none() {
                self.remember(who, setting);
            }
        } else {
            self.drop_partition(who);
        }
    }

    /// Leaves a new mark in a Redis that is not the one the position names.
    pub(super) fn mark(&mut self, who: Who) {
        match self.lanes[who].marked.take() {
            // Only where the mark is left after it was named.
            Some(named) => self.redis.mark = Some(named.mark),
            None => self.lanes[who].marked = Some(self.leave_mark()),
        }
    }

    /// Raises the cache generation for the Redis in which the mark was left before.
    pub(super) fn raise(&mut self, who: Who) {
        self.position.cg = self.unused();
        if let Some(home) = self.lanes[who].marked.take() {
            self.position.home = home;
        } else {
            self.position.home = Home { server: self.redis.server, mark: self.unused() };
            self.lanes[who].marked = Some(self.position.home);
        }
    }

    pub(super) fn take_over(&mut self, who: Who, setting: &Setting) {
        self.position.owner = who;
        if setting.takeover_raises {
            self.position.cg = self.unused();
        }
        if setting.breaks(Mistake::ForgetServer) {
            self.position.home.server = self.redis.server;
        }
        self.lanes[who] = Lane { holds: true, at_floor: true, ..Lane::default() };
        self.remember(who, setting);
    }

    fn remember(&mut self, who: Who, setting: &Setting) {
        let mistakes = [Mistake::RenewUnasked, Mistake::RaiseOnce];
        let is_raise = setting.breaks(Mistake::RaiseOnce) && !self.lanes[who].blind;
        if mistakes.iter().any(|mistake| setting.breaks(*mistake)) && !is_raise {
            self.lanes[who].memory = Some((self.position.cg, self.position.home));
        }
    }

    /// It crashed, or learned that the partition is not its own. Its calls stay under way.
    pub(super) fn drop_partition(&mut self, who: Who) {
        self.lanes[who] = Lane::default();
    }

    /// All rows of the partition change at once, and the cache generation with them.
    pub(super) fn promote(&mut self) {
        self.promoting = None;
        self.outdate(Keys::MAX, false);
        self.position.cg = self.unused();
    }

    /// The cache generation that a call after a commit is about to make a hit of.
    pub(super) fn upgrades(&self, call: &Call) -> Option<Cg> {
        let Call::After { batch, cg, rows, .. } = call else { return None };
        let own = |(entry, row): (&Entry, &Option<Row>)| {
            let hot = Entry::Tombstone { batch: *batch, hot: true };
            row.is_some() && *entry == hot
        };
        self.redis.entries.iter().zip(rows).any(own).then_some(*cg)
    }
}
