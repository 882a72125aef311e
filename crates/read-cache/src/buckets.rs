//! The buckets of callers, which the processes of a deployment share.
//!
//! A key holds a caller's buckets of one class: `limit:<class>:<hash>`. It lapses when they are full, so what
//! lies in Redis are callers who have asked for something lately. What is lost with it is that they have.

use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use rate_limit::{Charge, Debts, NotCharged, SharedBuckets};

use crate::breaker::Breaker;
use crate::config::CacheConfig;
use crate::key::Keys;
use crate::redis::{CallError, Redis};
use crate::script::Script;

/// What its keys are called.
const NOUN: &str = "limit";

/// Nanoseconds in a microsecond, in which Redis counts.
const NANOS: u64 = 1_000;

/// The buckets in Redis, over a connection of their own. A call takes no longer than a read of the cache may,
/// and after some that fail Redis is hardly asked.
pub struct Buckets {
    redis: Redis,
    keys: Keys,
    breaker: Mutex<Breaker>,
}

impl Buckets {
    /// Begins to connect. Needs a runtime.
    pub fn start(config: &CacheConfig) -> Self {
        Self {
            redis: Redis::start(config, config.read_timeout),
            keys: config.keys.clone(),
            breaker: Mutex::new(Breaker::new(Instant::now())),
        }
    }

    async fn run(&self, charges: &[Charge]) -> Result<Vec<u64>, CallError> {
        let name = |charge: &Charge| {
            let id = format!("{}:{}", charge.class.name(), charge.key);
            self.keys.of(NOUN, &id).as_str().to_owned()
        };
        let arguments = charges.iter().flat_map(|charge| {
            let micros = charge.nanos().iter().map(|nanos| nanos.div_ceil(NANOS));
            std::iter::once(charge.nanos().len() as u64).chain(micros)
        });
        let arguments = arguments.map(|number| Bytes::from(number.to_string())).collect();
        self.redis.run(Script::CHARGE, charges.iter().map(name).collect(), arguments).await
    }
}

impl SharedBuckets for Buckets {
    async fn charge(&self, charges: &[Charge]) -> Result<Vec<Debts>, NotCharged> {
        if !self.breaker.lock().allows(Instant::now()) {
            return Err(NotCharged);
        }
        let answer = self.run(charges).await;
        let debts = answer.ok().and_then(|micros| debts(charges, &micros));
        let mut breaker = self.breaker.lock();
        match debts {
            Some(_) => breaker.succeeded(),
            None => breaker.failed(Instant::now()),
        }
        debts.ok_or(NotCharged)
    }
}

/// What an answer says of each caller, if it says something of all.
fn debts(charges: &[Charge], micros: &[u64]) -> Option<Vec<Debts>> {
    let mut rest = micros;
    let debts = charges.iter().map(|charge| {
        let (own, after) = rest.split_at_checked(charge.nanos().len())?;
        rest = after;
        let debts: Debts = own.iter().map(|micros| micros.saturating_mul(NANOS)).collect();
        Some(debts)
    });
    let debts: Option<Vec<Debts>> = debts.collect();
    debts.filter(|_| rest.is_empty())
}
