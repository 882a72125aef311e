//! The judge: what each key has shown to anybody, and what no read may show any more. Plain data.
//!
//! Each key has one writer, which numbers its events from 1 and sends each until it is accepted,
//! under an id of its own. So a row's version is the number in its payload, and a number that was
//! never sent is a state that never was.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Faults that are kept with their story; the rest is counted.
const KEPT: usize = 50;

/// What the whole test knows of every key.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) keys: Vec<Key>,
    faults: Mutex<Vec<String>>,
    stale: AtomicU64,
    lies: AtomicU64,
    impossible: AtomicU64,
}

/// What the whole test knows of a key. A version of 0 says that there is no row.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    /// The newest number that may be in the log.
    pub(super) sent: AtomicU64,
    /// The newest number that is in the log.
    pub(super) accepted: AtomicU64,
    /// The highest version that an answer or a look into Postgres has shown, since it was complete.
    shown: AtomicU64,
    /// What Postgres has shown last.
    pub(super) row: AtomicU64,
    /// The newest token and the version that it names.
    token: Mutex<Option<Promise>>,
    /// What the body of each version was when it was first shown, by version.
    bodies: Mutex<Vec<u64>>,
}

/// A consistency token and what it promises: at least this version is shown.
#[derive(Debug, Clone)]
pub(super) struct Promise {
    pub(super) version: u64,
    pub(super) token: Arc<str>,
}

/// What an answer showed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) version: u64,
    /// Absent where the answer was that there is no row, or that nothing has changed.
    pub(super) body: Option<&'a [u8]>,
}

/// A read that is under way.
#[derive(Debug)]
pub(super) struct Begun {
    /// What had been shown when it began.
    pub(super) floor: u64,
    /// What was sent along.
    pub(super) promise: Option<Promise>,
}

/// How many reads broke which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    /// Showed less than was shown before they began.
    pub(super) stale: u64,
    /// Showed less than their token names.
    pub(super) lies: u64,
    /// Showed what the key never was.
    pub(super) impossible: u64,
}

impl Checker {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            keys: names.into_iter().map(Key::new).collect(),
            faults: Mutex::new(Vec::new()),
            stale: AtomicU64::new(0),
            lies: AtomicU64::new(0),
            impossible: AtomicU64::new(0),
        }
    }

    /// Judges what a read showed, and remembers it. `story` is told with a fault.
    pub(super) fn judge(
        &self,
        key: &Key,
        begun: &Begun,
        shown: Shown<'_>,
        story: impl Fn() -> String,
    ) {
        let Shown { version, body } = shown;
        let Begun { floor, promise } = begun;
        if version < *floor {
            self.broken(&self.stale, || {
                format!("stale: {} showed {version} after {floor}; {}", key.name, story())
            });
        }
        if let Some(promise) = promise.as_ref().filter(|promise| version < promise.version) {
            let asked = promise.version;
            self.broken(&self.lies, || {
                format!("lie: {} showed {version} to a token of {asked}; {}", key.name, story())
            });
        }
        if let Err(why) = key.was(version, body) {
            self.broken(&self.impossible, || {
                format!("impossible: {} {version}: {why}; {}", key.name, story())
            });
        }
        key.shown.fetch_max(version, Ordering::AcqRel);
    }

    pub(super) fn broken_rules(&self) -> Broken {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Broken {
            stale: count(&self.stale),
            lies: count(&self.lies),
            impossible: count(&self.impossible),
        }
    }

    /// The stories of the first faults.
    pub(super) fn faults(&self) -> Vec<String> {
        lock(&self.faults).clone()
    }

    fn broken(&self, counter: &AtomicU64, fault: impl Fn() -> String) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut faults = lock(&self.faults);
        if faults.len() < KEPT {
            faults.push(fault());
        }
    }
}

impl Key {
    fn new(name: String) -> Self {
        Self {
            name,
            sent: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            row: AtomicU64::new(0),
            token: Mutex::new(None),
            bodies: Mutex::new(Vec::new()),
        }
    }

    /// A read begins now, with the newest token if it is to have one. Before a byte of it is sent.
    pub(super) fn begin(&self, with_token: bool) -> Begun {
        let promise = if with_token { lock(&self.token).clone() } else { None };
        Begun { floor: self.shown.load(Ordering::Acquire), promise }
    }

    /// A token that names this version was given out.
    pub(super) fn promised(&self, version: u64, token: &str) {
        let mut newest = lock(&self.token);
        if newest.as_ref().is_none_or(|newest| newest.version < version) {
            *newest = Some(Promise { version, token: token.into() });
        }
    }

    /// What the payload of an event is.
    pub(super) fn payload(&self, number: u64) -> String {
        format!(r#"{{"n":{number},"of":"{}"}}"#, self.name)
    }

    /// Refuses what the key never was.
    fn was(&self, version: u64, body: Option<&[u8]>) -> Result<(), String> {
        let sent = self.sent.load(Ordering::Acquire);
        if version > sent {
            return Err(format!("no more than {sent} were sent"));
        }
        let Some(body) = body else { return Ok(()) };
        let text = || String::from_utf8_lossy(body).into_owned();
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(body).max(1);
        let place = version as usize;
        let mut bodies = lock(&self.bodies);
        if bodies.len() <= place {
            bodies.resize(place + 1, 0);
        }
        match bodies[place] {
            known if known == hash => return Ok(()),
            0 => {}
            _ => return Err(format!("it was another body before: {}", text())),
        }
        let json: Value = serde_json::from_slice(body).map_err(|_| text())?;
        let is_right = json["id"] == *self.name
            && json["version"] == version
            && json["payload"]["n"] == version
            && json["payload"]["of"] == *self.name;
        if !is_right {
            return Err(text());
        }
        bodies[place] = hash;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_judge_of_reads_refuses_what_is_older_what_lacks_a_write_and_what_never_was() {
    let checker = Checker::new(["a".to_owned()]);
    let key = &checker.keys[0];
    key.sent.store(3, Ordering::Relaxed);
    let body = |n: u64| format!(r#"{{"id":"a","version":{n},"payload":{}}}"#, key.payload(n));
    let judge = |begun: &Begun, version: u64, body: &str| {
        let body = (!body.is_empty()).then_some(body.as_bytes());
        checker.judge(key, begun, Shown { version, body }, || "told".to_owned());
        let Broken { stale, lies, impossible } = checker.broken_rules();
        (stale, lies, impossible)
    };
    let early = key.begin(true);
    assert_eq!(judge(&early, 2, &body(2)), (0, 0, 0));
    // It began before 2 was shown.
    assert_eq!(judge(&early, 1, &body(1)), (0, 0, 0));
    assert_eq!(judge(&key.begin(false), 1, &body(1)), (1, 0, 0));
    assert_eq!(judge(&key.begin(false), 0, ""), (2, 0, 0));
    key.promised(3, "token");
    assert_eq!(judge(&key.begin(true), 2, ""), (2, 1, 0));
    assert_eq!(judge(&key.begin(true), 3, &body(3)), (2, 1, 0));
    // A number of another version, another body of a version, a version that was never sent.
    assert_eq!(judge(&early, 1, &body(2)), (2, 1, 1));
    assert_eq!(judge(&early, 3, &body(3).replace('}', " }")), (2, 1, 2));
    assert_eq!(judge(&key.begin(false), 4, &body(4)), (2, 1, 3));
    assert!(checker.faults()[0].starts_with("stale: a showed 1 after 2; told"));
}
