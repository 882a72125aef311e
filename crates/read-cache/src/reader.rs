//! The reader's side, call by call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::breaker::{Breaker, BreakerCounts, BreakerState};
use crate::config::CacheConfig;
use crate::gather::Gather;
use crate::key::{CacheKey, TrustKey};
use crate::outcome::Forward;
use crate::redis::{CallError, Redis, Sample};
use crate::script::Script;
use crate::times::LEASE;
use crate::value::{Body, CacheGeneration, LeaseId, State};

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A body of the generation that the trust key says: nothing newer has been shown to anybody.
    Hit(Body),
    /// Nothing to be shown.
    Miss(Forward),
}

/// The right to fill one key, until it lapses or a commit takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    id: LeaseId,
    generation: CacheGeneration,
}

impl Lease {
    /// The generation that the body is to carry: what the trust key said before the load.
    pub fn generation(&self) -> CacheGeneration {
        self.generation
    }
}

/// What came of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leased {
    /// It is ours. What is loaded from now on may be filled.
    Granted(Lease),
    /// A trusted body has come meanwhile.
    Hit(Body),
    /// A commit is under way, somebody else loads, or nobody vouches for the partition.
    Refused,
    /// Redis was not asked or did not answer.
    Bypass,
}

/// What the reads of a process have done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderCounts {
    /// Reads that found a trusted body.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Reads that found a body of another generation.
    pub stale: u64,
    /// Reads without Redis, or of a partition that nobody vouches for.
    pub bypassed: u64,
    /// Bodies that were stored.
    pub stored: u64,
    /// Bodies that were refused: a commit came first, or the lease lapsed.
    pub not_stored: u64,
    /// Calls, and when none is made.
    pub calls: BreakerCounts,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
    bypassed: AtomicU64,
    stored: AtomicU64,
    not_stored: AtomicU64,
}

/// The cache as readers use it. No call lasts longer than the read's time-out, none fails: what
/// Redis does not answer is a miss, and after some failures Redis is hardly asked.
pub struct Reader {
    asking: Arc<Asking>,
    gather: Gather,
    counters: Counters,
}

/// The connection, and whether it is used.
pub(crate) struct Asking {
    pub(crate) redis: Redis,
    identity: watch::Receiver<Option<Sample>>,
    breaker: Mutex<Breaker>,
}

impl Reader {
    /// Begins to connect. Needs a runtime.
    pub fn start(config: &CacheConfig) -> Self {
        let redis = Redis::start(config, config.read_timeout);
        let identity = redis.identity();
        let breaker = Mutex::new(Breaker::new(Instant::now()));
        let asking = Arc::new(Asking { redis, identity, breaker });
        Self { gather: Gather::start(asking.clone()), asking, counters: Counters::default() }
    }

    /// Whether the connection leads to a primary: bodies of a replica may be older than what was
    /// shown.
    pub fn is_connected(&self) -> bool {
        self.asking.is_connected()
    }

    /// Asks Redis again whether it is a primary: one can be made a replica under its connections. To
    /// be called every second.
    pub async fn look(&self) {
        if self.asking.redis.is_connected() {
            let _ = self.asking.ask(self.asking.redis.sample()).await;
        }
    }

    /// Whether Redis is asked.
    pub fn breaker(&self) -> BreakerState {
        self.asking.breaker.lock().state()
    }

    /// What was done so far.
    pub fn counts(&self) -> ReaderCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReaderCounts {
            hits: count(&self.counters.hits),
            misses: count(&self.counters.misses),
            stale: count(&self.counters.stale),
            bypassed: count(&self.counters.bypassed),
            stored: count(&self.counters.stored),
            not_stored: count(&self.counters.not_stored),
            calls: self.asking.breaker.lock().counts(),
        }
    }

    /// Reads a key: together with others that are read at the same time, in a call that is sent
    /// after this was called. Waits for the call under way and its own, and for one more for each 128
    /// reads that are before it.
    pub async fn read(&self, key: &CacheKey, trust: &TrustKey) -> Read {
        let texts = self.gather.read(key, trust).await;
        let read = texts.map_or(Read::Miss(Forward::Bypass), |[body, trust]| judge(body, trust));
        let counter = match &read {
            Read::Hit(_) => &self.counters.hits,
            Read::Miss(Forward::Miss) => &self.counters.misses,
            Read::Miss(Forward::Stale) => &self.counters.stale,
            Read::Miss(Forward::Bypass) => &self.counters.bypassed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        read
    }

    /// Asks for the right to fill a key, for [`LEASE`]. An untrusted body gives way to it; a
    /// tombstone, another's lease or the window of the key's partition does not.
    pub async fn lease(&self, key: &CacheKey, trust: &TrustKey) -> Leased {
        let id = LeaseId::unique();
        let arguments = vec![id.text().into(), millis(LEASE)];
        let names = [key.as_str(), trust.as_str(), trust.window()].map(str::to_owned).to_vec();
        let Some(answer) = self
            .asking
            .ask(self.asking.redis.run::<Vec<Bytes>>(Script::LEASE, names, arguments))
            .await
        else {
            return Leased::Bypass;
        };
        let leased = match answer.as_slice() {
            [word, generation] if word == "granted" => CacheGeneration::parse(generation)
                .map(|generation| Leased::Granted(Lease { id, generation })),
            [word, body] if word == "body" => Body::parse(body).map(Leased::Hit),
            _ => None,
        };
        leased.unwrap_or(Leased::Refused)
    }

    /// Fills a key: iff the lease lives and the trust key still says the lease's generation. When
    /// it returns true, nothing newer than the body was visible to anybody when it was stored.
    /// `version` and `json` were loaded from the primary after the lease was granted.
    pub async fn fill(
        &self,
        key: &CacheKey,
        trust: &TrustKey,
        lease: &Lease,
        (version, json): (u64, Bytes),
        ttl: Duration,
    ) -> bool {
        let body = Body { generation: lease.generation, version, json };
        let generation = lease.generation.to_string().into();
        let arguments = vec![lease.id.text().into(), generation, body.text(), millis(ttl)];
        let names = vec![key.as_str().to_owned(), trust.as_str().to_owned()];
        let stored =
            self.asking.ask(self.asking.redis.run::<u64>(Script::FILL, names, arguments)).await
                == Some(1);
        let counter = if stored { &self.counters.stored } else { &self.counters.not_stored };
        counter.fetch_add(1, Ordering::Relaxed);
        stored
    }

    /// Ends a lease whose load failed, so that the next reader need not wait until it lapses.
    pub async fn give_back(&self, key: &CacheKey, lease: &Lease) {
        let arguments = vec![lease.id.text().into()];
        let names = vec![key.as_str().to_owned()];
        let _ = self
            .asking
            .ask(self.asking.redis.run::<u64>(Script::GIVE_BACK, names, arguments))
            .await;
    }
}

impl Asking {
    fn is_connected(&self) -> bool {
        self.redis.is_connected()
            && self.identity.borrow().as_ref().is_some_and(|sample| sample.is_primary)
    }

    /// The answer of a call, unless Redis is left alone for now or does not give one.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Option<T> {
        if !self.breaker.lock().allows(Instant::now()) {
            return None;
        }
        let answer = if self.is_connected() { call.await } else { Err(CallError::NotSent) };
        let mut breaker = self.breaker.lock();
        match answer {
            Ok(answer) => {
                breaker.succeeded();
                Some(answer)
            }
            // It answers in time, if only that it does not: that it is full, say.
            Err(CallError::Refused { .. }) => {
                breaker.succeeded();
                None
            }
            Err(_) => {
                breaker.failed(Instant::now());
                None
            }
        }
    }
}

fn judge(body: Option<Bytes>, trust: Option<Bytes>) -> Read {
    let trusted = trust.and_then(|text| CacheGeneration::parse(&text));
    match (State::parse(body.as_ref()), trusted) {
        (_, None) => Read::Miss(Forward::Bypass),
        (State::Body(body), Some(trusted)) if body.generation == trusted => Read::Hit(body),
        (State::Body(_) | State::Foreign, Some(_)) => Read::Miss(Forward::Stale),
        (State::Absent | State::Lease | State::Tombstone, Some(_)) => Read::Miss(Forward::Miss),
    }
}

fn millis(time: Duration) -> Bytes {
    // Redis refuses a time of 0.
    time.as_millis().max(1).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, trust: Option<&str>) -> Read {
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        judge((!body.is_empty()).then(|| text(body)), trust.map(text))
    }

    #[test]
    fn a_body_counts_only_if_the_generations_agree() {
        let body = Body { generation: CacheGeneration(7), version: 3, json: "{}".into() };
        assert_eq!(read("7 3 {}", Some("7")), Read::Hit(body));
        assert_eq!(read("7 3 {}", Some("8")), Read::Miss(Forward::Stale));
        assert_eq!(read("8 3 {}", Some("7")), Read::Miss(Forward::Stale));
        assert_eq!(read("7 3 {}", None), Read::Miss(Forward::Bypass));
        assert_eq!(read("7 3 {}", Some("seven")), Read::Miss(Forward::Bypass));
    }

    #[test]
    fn leases_and_tombstones_are_misses() {
        for text in ["", &LeaseId::unique().text(), "tombstone 1"] {
            assert_eq!(read(text, Some("7")), Read::Miss(Forward::Miss));
        }
        assert_eq!(read("garbage", Some("7")), Read::Miss(Forward::Stale));
    }
}
