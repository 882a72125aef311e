//! Random interleavings of batches and readers: every key is in the state that a reference in memory
//! says, and whatever a reader is shown is what is committed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use read_cache::{Body, CacheGeneration, CacheKey, Lease, Leased, Read, Tombstones};

use crate::bench::{Bench, TTL, json};

const KEYS: usize = 3;
const BATCHES: usize = 3;
const READERS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Locks the rows of some keys and covers them: as a lane, which has locked the position, with
    /// the window, or as a replay.
    Before {
        batch: usize,
        keys: u8,
        lane: bool,
    },
    Commit {
        batch: usize,
    },
    /// Ends a batch that is committed, or rolls it back.
    After {
        batch: usize,
    },
    /// The batch's process dies; what it has not committed is rolled back.
    Crash {
        batch: usize,
    },
    /// Asks for a lease and loads.
    Load {
        reader: usize,
        key: usize,
    },
    Fill {
        reader: usize,
    },
    GiveBack {
        reader: usize,
    },
    Read {
        key: usize,
    },
    /// What stands at a key ends with its time, unless it is the tombstone of a batch that may
    /// still commit, which stands longer than a transaction lasts.
    Lapse {
        key: usize,
    },
    /// The window ends with its time, unless a lane's batch is open.
    LapseWindow,
    Distrust,
    Trust,
    /// A commit without Redis: trust has lapsed, the generation rises.
    Alone {
        key: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (batch, key, reader) = (0..BATCHES, 0..KEYS, 0..READERS);
    let step = prop_oneof![
        4 => (batch.clone(), 1u8..1 << KEYS, any::<bool>())
            .prop_map(|(batch, keys, lane)| Step::Before { batch, keys, lane }),
        3 => batch.clone().prop_map(|batch| Step::Commit { batch }),
        3 => batch.clone().prop_map(|batch| Step::After { batch }),
        1 => batch.prop_map(|batch| Step::Crash { batch }),
        4 => (reader.clone(), key.clone()).prop_map(|(reader, key)| Step::Load { reader, key }),
        4 => reader.clone().prop_map(|reader| Step::Fill { reader }),
        1 => reader.prop_map(|reader| Step::GiveBack { reader }),
        4 => key.clone().prop_map(|key| Step::Read { key }),
        1 => key.clone().prop_map(|key| Step::Lapse { key }),
        1 => Just(Step::LapseWindow),
        1 => Just(Step::Distrust),
        2 => Just(Step::Trust),
        1 => key.prop_map(|key| Step::Alone { key }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the reference says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Absent,
    /// Of which load.
    Lease(u64),
    /// Of which batch.
    Tombstone(u64),
    Body {
        generation: u64,
        version: u64,
    },
}

struct Batch {
    id: u64,
    lane: bool,
    keys: Vec<usize>,
    tombstoned: Vec<usize>,
    hot: Vec<usize>,
    committed: bool,
    tombstones: Tombstones,
}

struct Load {
    id: u64,
    key: usize,
    version: u64,
    lease: Lease,
}

struct World<'a> {
    bench: &'a mut Bench,
    keys: Vec<CacheKey>,
    held: Vec<Held>,
    /// The batch that holds the window.
    window: Option<u64>,
    rows: Vec<u64>,
    batches: HashMap<usize, Batch>,
    loads: HashMap<usize, Load>,
    generation: u64,
    trusted: bool,
    ids: u64,
}

impl<'a> World<'a> {
    fn new(bench: &'a mut Bench, number: u64) -> Self {
        let keys: Vec<_> = (0..KEYS).map(|key| bench.key(format!("{number}-{key}"))).collect();
        let mut world = Self {
            bench,
            keys,
            held: vec![Held::Absent; KEYS],
            window: None,
            rows: vec![1; KEYS],
            batches: HashMap::new(),
            loads: HashMap::new(),
            generation: 7,
            trusted: false,
            ids: 0,
        };
        let window = world.bench.trust.window().to_owned();
        world.bench.lapse(&window);
        world.trust(true);
        world
    }

    async fn run(mut self, steps: &[Step]) {
        for step in steps {
            self.step(*step).await;
            self.check();
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Before { batch, keys, lane } => self.before(batch, keys, lane).await,
            Step::Commit { batch } => self.commit(batch),
            Step::After { batch } => self.after(batch).await,
            Step::Crash { batch } => drop(self.batches.remove(&batch)),
            Step::Load { reader, key } => self.load(reader, key).await,
            Step::Fill { reader } => self.fill(reader).await,
            Step::GiveBack { reader } => self.give_back(reader).await,
            Step::Read { key } => self.read(key).await,
            Step::Lapse { key } => self.lapse(key),
            Step::LapseWindow => self.lapse_window(),
            Step::Distrust => self.trust(false),
            Step::Trust => self.trust(true),
            Step::Alone { key } => self.alone(key),
        }
    }

    fn is_locked(&self, key: usize) -> bool {
        self.batches.values().any(|batch| !batch.committed && batch.keys.contains(&key))
    }

    /// Whether a lane has locked the position.
    fn is_position_locked(&self) -> bool {
        self.batches.values().any(|batch| batch.lane && !batch.committed)
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    async fn before(&mut self, batch: usize, keys: u8, lane: bool) {
        let keys: Vec<_> = (0..KEYS).filter(|key| keys & (1 << key) != 0).collect();
        let locked = keys.iter().any(|key| self.is_locked(*key));
        if self.batches.contains_key(&batch) || locked || lane && self.is_position_locked() {
            return;
        }
        let names: Vec<_> = keys.iter().map(|key| &self.keys[*key]).collect();
        let tombstones = if lane {
            self.bench.before_in_window(&names).await
        } else {
            self.bench.before(&names).await
        };
        let is_body = |key: &usize| matches!(self.held[*key], Held::Body { .. });
        let hot: Vec<_> = keys.iter().copied().filter(is_body).collect();
        let told: Vec<_> = tombstones.hot().collect();
        assert_eq!(told, hot.iter().map(|key| &self.keys[*key]).collect::<Vec<_>>());
        let id = self.next_id();
        if lane {
            self.window = Some(id);
        }
        let stands = |key: &usize| !lane || self.held[*key] != Held::Absent;
        let tombstoned: Vec<_> = keys.iter().copied().filter(stands).collect();
        assert_eq!(tombstones.len(), tombstoned.len());
        for key in &tombstoned {
            self.held[*key] = Held::Tombstone(id);
        }
        let begun = Batch { id, lane, keys, tombstoned, hot, committed: false, tombstones };
        self.batches.insert(batch, begun);
    }

    fn commit(&mut self, batch: usize) {
        let Some(batch) = self.batches.get_mut(&batch) else { return };
        if !std::mem::replace(&mut batch.committed, true) {
            for key in &batch.keys {
                self.rows[*key] += 1;
            }
        }
    }

    async fn after(&mut self, batch: usize) {
        let Some(batch) = self.batches.remove(&batch) else { return };
        let generation = CacheGeneration(self.generation);
        let body =
            |key: usize| Body { generation, version: self.rows[key], json: json(self.rows[key]) };
        let hot = batch.hot.iter().filter(|_| batch.committed);
        let bodies = hot.clone().map(|key| (self.keys[*key].clone(), body(*key))).collect();
        let stand = self.bench.writer.after_commit(batch.tombstones, bodies).await.unwrap();
        let own = |key: &usize| self.held[*key] == Held::Tombstone(batch.id);
        let warm: Vec<_> = hot.copied().filter(own).collect();
        assert_eq!(stand, warm.len());
        self.window = self.window.filter(|holder| *holder != batch.id);
        for key in batch.tombstoned {
            let (generation, version) = (self.generation, self.rows[key]);
            self.held[key] = match self.held[key] {
                _ if warm.contains(&key) => Held::Body { generation, version },
                Held::Tombstone(id) if id != batch.id => Held::Tombstone(id),
                _ => Held::Absent,
            };
        }
    }

    async fn load(&mut self, reader: usize, key: usize) {
        let leased = self.bench.reader.lease(&self.keys[key], &self.bench.trust).await;
        match (self.held[key], leased) {
            (_, Leased::Refused) if !self.trusted => {}
            (Held::Body { generation, .. }, Leased::Refused) if self.window.is_some() => {
                assert_ne!(generation, self.generation);
            }
            (Held::Absent, Leased::Refused) if self.window.is_some() => {}
            (Held::Lease(_) | Held::Tombstone(_), Leased::Refused) => {}
            (Held::Body { generation, version }, Leased::Hit(body)) if self.trusted => {
                assert_eq!((generation, version), (self.generation, body.version));
                assert_eq!(version, self.rows[key]);
            }
            (held, Leased::Granted(lease)) if self.trusted && self.window.is_none() => {
                assert!(!matches!(held, Held::Lease(_) | Held::Tombstone(_)), "{held:?}");
                let current =
                    matches!(held, Held::Body { generation, .. } if generation == self.generation);
                assert!(!current, "{held:?}");
                assert_eq!(lease.generation().0, self.generation);
                let id = self.next_id();
                self.held[key] = Held::Lease(id);
                self.loads.insert(reader, Load { id, key, version: self.rows[key], lease });
            }
            (held, leased) => panic!("{held:?} and {leased:?}"),
        }
    }

    async fn fill(&mut self, reader: usize) {
        let Some(load) = self.loads.get(&reader) else { return };
        let (key, body) = (load.key, (load.version, json(load.version)));
        let trust = &self.bench.trust;
        let filled = self.bench.reader.fill(&self.keys[key], trust, &load.lease, body, TTL).await;
        let lives = self.held[key] == Held::Lease(load.id);
        let agrees = self.trusted && load.lease.generation().0 == self.generation;
        assert_eq!(filled, lives && agrees);
        if filled {
            self.held[key] = Held::Body { generation: self.generation, version: load.version };
        } else if lives {
            self.held[key] = Held::Absent;
        }
    }

    async fn give_back(&mut self, reader: usize) {
        let Some(load) = self.loads.remove(&reader) else { return };
        self.bench.reader.give_back(&self.keys[load.key], &load.lease).await;
        if self.held[load.key] == Held::Lease(load.id) {
            self.held[load.key] = Held::Absent;
        }
    }

    async fn read(&mut self, key: usize) {
        let read = self.bench.reader.read(&self.keys[key], &self.bench.trust).await;
        let expected = match self.held[key] {
            Held::Body { generation, version } if self.trusted && generation == self.generation => {
                Some(version)
            }
            _ => None,
        };
        let shown = match read {
            Read::Hit(body) => Some(body.version),
            Read::Miss(_) => None,
        };
        assert_eq!(shown, expected);
        assert!(shown.is_none_or(|shown| shown == self.rows[key]), "stale: {shown:?}");
    }

    fn lapse(&mut self, key: usize) {
        if !(self.is_locked(key) && matches!(self.held[key], Held::Tombstone(_))) {
            self.bench.lapse(self.keys[key].as_str());
            self.held[key] = Held::Absent;
        }
    }

    fn lapse_window(&mut self) {
        if !self.is_position_locked() {
            let window = self.bench.trust.window().to_owned();
            self.bench.lapse(&window);
            self.window = None;
        }
    }

    fn trust(&mut self, trusted: bool) {
        let key = self.bench.trust.as_str().to_owned();
        if trusted {
            self.bench.trusted(CacheGeneration(self.generation));
        } else {
            self.bench.lapse(&key);
        }
        self.trusted = trusted;
    }

    fn alone(&mut self, key: usize) {
        if !self.is_locked(key) && !self.trusted {
            self.rows[key] += 1;
            self.generation += 1;
        }
    }

    fn check(&mut self) {
        assert_eq!(self.bench.window().is_some(), self.window.is_some());
        for key in 0..KEYS {
            let stands = self.bench.get(&self.keys[key].clone());
            let agrees = match (&stands, self.held[key]) {
                (None, Held::Absent) => true,
                (Some(text), Held::Lease(_)) => text.starts_with("lease "),
                (Some(text), Held::Tombstone(_)) => text.starts_with("tombstone "),
                (Some(text), Held::Body { generation, version }) => {
                    *text == format!("{generation} {version} {{\"n\":{version}}}")
                }
                _ => false,
            };
            assert!(agrees, "{stands:?} where the reference says {:?}", self.held[key]);
        }
    }
}

#[test]
fn keys_are_as_the_reference_says_and_no_reader_is_shown_what_was_replaced() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bench = RefCell::new(runtime.block_on(Bench::start()).unwrap());
    let cases = Cell::new(0);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        cases.set(cases.get() + 1);
        let mut bench = bench.borrow_mut();
        runtime.block_on(World::new(&mut bench, cases.get()).run(&steps));
        Ok(())
    });
    outcome.unwrap();
}
