//! A reader that misses. (One that hits, or reads Postgres without filling, changes nothing: what it
//! is given is judged in every state.)

use super::rules::{Mistake, Setting};
use super::state::{Age, Entry, Reader, Row, State, Who};

impl State {
    /// A lease is given where there is nothing, or a body that counts for nothing, and no window.
    pub(super) fn may_lease(&self, key: usize, setting: &Setting) -> bool {
        (self.redis.window.is_none() || setting.breaks(Mistake::LeaseInWindow))
            && matches!(self.redis.entries[key], Entry::Absent | Entry::Body { .. })
    }

    pub(super) fn lease(&mut self, who: Who, key: usize) {
        self.redis.entries[key] = Entry::Lease(lease_of(who));
        self.readers[who] = Reader::Leased { key };
    }

    /// Reads row and position in one statement.
    pub(super) fn load(&mut self, who: Who, key: usize) {
        self.readers[who] = Reader::Loaded { key, cg: self.position.cg, row: Row::CURRENT };
    }

    pub(super) fn fill(&mut self, who: Who, setting: &Setting) {
        if let Reader::Loaded { key, cg, row } = self.readers[who]
            && self.may_fill(who, key, setting)
        {
            let late = setting.breaks(Mistake::StampWhenFilling);
            let stamp = self.redis.trust.filter(|_| late).map_or(cg, |trust| trust.cg);
            self.redis.entries[key] = Entry::Body { cg: stamp, row };
        }
        self.forget(who);
    }

    pub(super) fn may_fill(&self, who: Who, key: usize, setting: &Setting) -> bool {
        let entry = self.redis.entries[key];
        let unasked = [Mistake::FillWithoutLease, Mistake::FillAfterLease]
            .iter()
            .any(|mistake| setting.breaks(*mistake));
        entry == Entry::Lease(lease_of(who)) || unasked && !matches!(entry, Entry::Tombstone { .. })
    }

    pub(super) fn forget(&mut self, who: Who) {
        self.abandon(lease_of(who));
        self.readers[who] = Reader::Idle;
    }

    /// What a reader that misses now may take from a load that another one has done: Redis told it
    /// that this load's lease lives, and trusts the cache generation that was loaded.
    pub(super) fn joined(&self, who: Who, setting: &Setting) -> Option<Row> {
        let Reader::Loaded { key, cg, row } = self.readers[who] else { return None };
        let lives = self.redis.entries[key] == Entry::Lease(lease_of(who))
            && self.redis.trust.is_some_and(|trust| trust.cg == cg);
        (lives || setting.breaks(Mistake::JoinAnyLoad)).then_some(row)
    }

    /// A body is about to be filled that the trust key agrees with.
    pub(super) fn fills(&self, who: Who) -> bool {
        let Reader::Loaded { key, cg, row } = self.readers[who] else { return false };
        self.redis.entries[key] == Entry::Lease(lease_of(who))
            && self.redis.trust.is_some_and(|trust| trust.cg == cg)
            && row.version == Age::Current
    }
}

fn lease_of(who: Who) -> u8 {
    u8::try_from(who).expect("few readers")
}
