//! What the parts of the protocol hold, as small plain data.
//!
//! Nothing in the protocol compares versions, so a copy of a row is either all that was committed or
//! older than that; and nothing orders cache generations, marks, batches or servers, so only their
//! being equal counts. [`super::canonical`] renames them, which makes runs of any length finite.

/// Keys of the partition, at most.
pub(super) const KEYS: usize = 2;

/// Ticks that a trust key lives after the time its owner read from Redis.
pub(super) const TRUST: u8 = 2;

/// Who holds a lease that nobody will fill any more.
pub(super) const NOBODY: u8 = u8::MAX;

/// A cache generation.
pub(super) type Cg = u8;
pub(super) type BatchId = u8;
/// Index of a lane or of a reader.
pub(super) type Who = usize;
/// Some of the keys, as bits.
pub(super) type Keys = u8;

pub(super) fn has(keys: Keys, key: usize) -> bool {
    keys & (1 << key) != 0
}

/// A copy of a value, seen from what is committed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Age {
    Old,
    Current,
}

/// A copy of a row: whether it holds the newest version, and every record below the position.
/// (A replay changes a row without moving the position.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) version: Age,
    pub(super) position: Age,
}

impl Row {
    pub(super) const CURRENT: Self = Self { version: Age::Current, position: Age::Current };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Entry {
    Absent,
    Lease(u8),
    /// `hot`: a body stood there before.
    Tombstone {
        batch: BatchId,
        hot: bool,
    },
    Body {
        cg: Cg,
        row: Row,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Trust {
    pub(super) cg: Cg,
    /// Ticks until it lapses.
    pub(super) left: u8,
}

/// A Redis in one of its lives, and the mark that an owner left in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Home {
    pub(super) server: u8,
    pub(super) mark: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Redis {
    pub(super) server: u8,
    pub(super) mark: Option<u8>,
    pub(super) trust: Option<Trust>,
    pub(super) entries: [Entry; KEYS],
    /// The batch that holds the partition's window: no lease is given while it stands.
    pub(super) window: Option<BatchId>,
}

impl Redis {
    fn empty(server: u8) -> Self {
        Self { server, mark: None, trust: None, entries: [Entry::Absent; KEYS], window: None }
    }

    pub(super) fn is(&self, home: Home) -> bool {
        self.server == home.server && self.mark == Some(home.mark)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::empty(self.server);
    }
}

/// The partition's row in Postgres. That a batch moved it is told by [`Lane::at_floor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Position {
    pub(super) owner: Who,
    pub(super) cg: Cg,
    /// The Redis that `cg` was raised for.
    pub(super) home: Home,
}

/// Whose batch it is. A lane has locked the position and covers its keys with the window; a replay
/// has not, and covers each key with a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum By {
    Lane,
    Replay,
}

/// An open transaction that holds the locks on the rows of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tx {
    pub(super) by: By,
    pub(super) batch: BatchId,
    pub(super) keys: Keys,
    /// The cache generation when it began.
    pub(super) cg: Cg,
    /// Keys that its call before the commit has come to.
    pub(super) visited: Keys,
    /// Those of them that were given a tombstone.
    pub(super) tombstoned: Keys,
}

impl Tx {
    /// The call before the commit was answered.
    pub(super) fn is_covered(&self) -> bool {
        self.visited == self.keys
    }
}

/// One process's hold of the partition, as it believes it to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) holds: bool,
    /// It knows the position as it is.
    pub(super) at_floor: bool,
    /// It goes without Redis.
    pub(super) blind: bool,
    /// Ticks since it became owner or last asked Redis for the time; no more than [`TRUST`] count.
    pub(super) since: u8,
    /// Ticks since it asked Redis for the time in order to renew.
    pub(super) asked: Option<u8>,
    /// It left a mark and has not raised the cache generation yet.
    pub(super) marked: Option<Home>,
    /// What it remembers of the position; only a mistake uses it.
    pub(super) memory: Option<(Cg, Home)>,
    pub(super) tx: Option<Tx>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reader {
    Idle,
    Leased { key: usize },
    Loaded { key: usize, cg: Cg, row: Row },
}

/// A call on its way to Redis: it arrives at any time or never, whatever became of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Call {
    Before { by: By, batch: BatchId, keys: Keys, chunk: Chunk },
    After { by: By, batch: BatchId, cg: Cg, rows: [Option<Row>; KEYS], chunk: Chunk },
    Renew { cg: Cg, age: u8, home: Home },
}

/// Which of a batch's calls it is, where they are cut by keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Chunk {
    First,
    Later,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) position: Position,
    pub(super) redis: Redis,
    /// An older copy of Redis that may take its place.
    pub(super) copy: Option<Redis>,
    pub(super) lanes: [Lane; 2],
    pub(super) replay: Option<Tx>,
    pub(super) readers: [Reader; 2],
    pub(super) calls: Vec<Call>,
    /// Ticks since a promotion locked the generation.
    pub(super) promoting: Option<u8>,
}

impl State {
    pub(super) fn first() -> Self {
        let home = Home { server: 0, mark: 0 };
        Self {
            position: Position { owner: 0, cg: 0, home },
            redis: Redis { mark: Some(0), ..Redis::empty(0) },
            copy: None,
            lanes: [
                Lane { holds: true, at_floor: true, memory: None, ..Lane::default() },
                Lane::default(),
            ],
            replay: None,
            readers: [Reader::Idle; 2],
            calls: Vec::new(),
            promoting: None,
        }
    }

    /// What a reader that asks now is answered from the cache.
    pub(super) fn served(&self, key: usize) -> Option<Row> {
        match (self.redis.entries[key], self.redis.trust) {
            (Entry::Body { cg, row }, Some(trust)) if trust.cg == cg => Some(row),
            _ => None,
        }
    }

    pub(super) fn transactions(&self) -> impl Iterator<Item = &Tx> {
        self.lanes.iter().filter_map(|lane| lane.tx.as_ref()).chain(&self.replay)
    }

    /// The position's row is locked by a batch.
    pub(super) fn position_is_locked(&self) -> bool {
        self.lanes.iter().any(|lane| lane.tx.is_some())
    }

    /// A commit: every copy of these keys' rows is older than it.
    pub(super) fn outdate(&mut self, keys: Keys, moves_position: bool) {
        let age = |row: &mut Row| {
            row.version = Age::Old;
            if moves_position {
                row.position = Age::Old;
            }
        };
        let stored = [Some(&mut self.redis), self.copy.as_mut()];
        for (key, entry) in
            stored.into_iter().flatten().flat_map(|redis| redis.entries.iter_mut().enumerate())
        {
            if let Entry::Body { row, .. } = entry
                && has(keys, key)
            {
                age(row);
            }
        }
        for reader in &mut self.readers {
            if let Reader::Loaded { key, row, .. } = reader
                && has(keys, *key)
            {
                age(row);
            }
        }
        for call in &mut self.calls {
            if let Call::After { rows, .. } = call {
                let told = rows.iter_mut().enumerate().filter(|(key, _)| has(keys, *key));
                told.filter_map(|(_, row)| row.as_mut()).for_each(age);
            }
        }
    }
}
