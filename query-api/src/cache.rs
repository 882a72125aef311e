//! The cache in front of the look-ups: rows from Redis where it knows them, else from Postgres.
//!
//! A body in Redis is never older than what any reader was shown (the protocol: `read_cache`), so a
//! read that has waited for its position takes any hit. Where Redis does not answer, reads go to
//! Postgres through the same bounded queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use metrics::Counter;
use parking_lot::Mutex;
use read_cache::{
    BreakerState, Buckets, CacheConfig, Entry, Forward, Keys, Outcome, ReadThrough, Reader, Row,
    TrustKey,
};
use read_models::cached::CachedRow;
use settings::{Settings, table};
use telemetry::Metric;
use telemetry::trace::{self, Step};
use tracing::Instrument as _;

use crate::lookups::LookupError;

/// What the cache did for an answer (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How often it is looked whether Redis is asked.
const LOOK: Duration = Duration::from_secs(1);

/// How the cache is reached and how long rows stand in it.
#[derive(Debug, Clone)]
pub(crate) struct CacheSettings {
    redis: CacheConfig,
    missing_ttl: Duration,
}

/// How long rows stand in the cache that nobody reads or changes, by what they are of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ttls {
    pub(crate) resource: Duration,
    pub(crate) user: Duration,
}

impl Ttls {
    /// Reads the settings.
    pub(crate) fn from_settings(settings: &mut Settings) -> Self {
        Self {
            resource: settings.millis(&table::CACHE_TTL),
            user: settings.millis(&table::CACHE_USER_TTL),
        }
    }
}

impl CacheSettings {
    /// The buckets of callers, in the same Redis. Begins to connect; needs a runtime.
    pub(crate) fn buckets(&self) -> Buckets {
        Buckets::start(&self.redis)
    }

    /// Whether Redis refuses these settings: see [`CacheConfig::probe`].
    pub(crate) async fn probe(&self, within: Duration) -> Result<(), read_cache::Refused> {
        self.redis.probe(within).await
    }

    /// Reads the settings; `None` where the cache is switched off.
    pub(crate) fn from_settings(settings: &mut Settings) -> Option<Self> {
        let redis = CacheConfig::if_on(settings);
        let missing_ttl = settings.millis(&table::CACHE_MISSING_TTL);
        redis.map(|redis| Self { redis, missing_ttl })
    }
}

/// Where a row stands in the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// What rows of the read model are called in the cache.
    pub(crate) noun: &'static str,
    pub(crate) projection: &'static str,
    pub(crate) id: &'a str,
    /// The partition whose records the row is folded from.
    pub(crate) partition: u32,
    /// How long it stands there that nobody reads or changes it.
    pub(crate) ttl: Duration,
}

/// The cache, if it is switched on.
pub(crate) struct Cache(Option<Inner>);

struct Inner {
    reader: Arc<Reader>,
    through: ReadThrough<LookupError>,
    keys: Keys,
    /// Trust keys by projection and partition, as they were needed first.
    trusts: Mutex<HashMap<(&'static str, u32), TrustKey>>,
    missing_ttl: Duration,
}

/// What the cache did for a read; nothing where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheStatus(Option<Outcome>);

impl Cache {
    /// Begins to connect. Needs a runtime.
    pub(crate) fn start(settings: Option<CacheSettings>) -> Self {
        Self(settings.map(|CacheSettings { redis, missing_ttl }| {
            let reader = Arc::new(Reader::start(&redis));
            let through = ReadThrough::new(reader.clone());
            let trusts = Mutex::default();
            Inner { reader, through, keys: redis.keys, trusts, missing_ttl }
        }))
    }

    /// The row, and what the cache did. A place that is not known is not looked for in Redis.
    ///
    /// # Errors
    /// What `load` failed with, perhaps for another reader of the same row.
    pub(crate) async fn get<L, F>(
        &self,
        place: Option<Place<'_>>,
        load: L,
    ) -> Result<(Option<CachedRow>, CacheStatus), LookupError>
    where
        L: Fn() -> F,
        F: Future<Output = Result<Option<CachedRow>, LookupError>>,
    {
        let (Some(inner), Some(place)) = (&self.0, place) else {
            return Ok((load().await?, self.bypassed()));
        };
        let loaded = async || {
            Ok(load().await?.map_or(Row::Missing, |row| Row::Found {
                version: row.version,
                json: row.to_json(),
            }))
        };
        let entry = inner.entry(place);
        let asked = inner.through.get(&entry, loaded);
        let answer = asked.instrument(trace::step(Step::ReadCache)).await?;
        let status = CacheStatus(Some(answer.outcome));
        match answer.row {
            Row::Missing => Ok((None, status)),
            Row::Found { version, json } => match CachedRow::from_json(version, &json) {
                Some(row) => Ok((Some(row), status)),
                // Another release writes rows that this one does not read.
                None => Ok((load().await?, self.bypassed())),
            },
        }
    }

    /// What is said of a read that does not ask the cache.
    pub(crate) fn bypassed(&self) -> CacheStatus {
        let (stored, collapsed) = (false, false);
        let outcome = Outcome::Forwarded { why: Forward::Bypass, stored, collapsed };
        CacheStatus(self.0.is_some().then_some(outcome))
    }

    /// Tells whether Redis is asked, for as long as it is polled.
    pub(crate) fn watch(&self) -> impl Future<Output = ()> + use<> {
        let reader = self.0.as_ref().map(|inner| inner.reader.clone());
        async move {
            let Some(reader) = reader else { return std::future::pending().await };
            let mut tick = tokio::time::interval(LOOK);
            let mut was_asked = true;
            loop {
                tick.tick().await;
                reader.look().await;
                let is_asked = reader.is_connected() && reader.breaker() == BreakerState::Closed;
                Metric::QueryApiCacheReachable.gauge(&[]).set(f64::from(u8::from(is_asked)));
                match (was_asked, is_asked) {
                    (true, false) => tracing::warn!(
                        "Redis does not answer in time: reads go to the database until it does"
                    ),
                    (false, true) => tracing::info!("reads are answered from the cache again"),
                    _ => {}
                }
                was_asked = is_asked;
            }
        }
    }
}

impl Inner {
    fn entry(&self, place: Place<'_>) -> Entry {
        let Place { noun, projection, id, partition, ttl } = place;
        let trust = || self.keys.trust(projection, i32::try_from(partition).unwrap_or(i32::MAX));
        Entry {
            key: self.keys.of(noun, id),
            trust: self.trusts.lock().entry((projection, partition)).or_insert_with(trust).clone(),
            ttl,
            missing_ttl: self.missing_ttl,
        }
    }
}

impl CacheStatus {
    /// Sets [`CACHE_STATUS`], if there is anything to say.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        if let Some(value) = self.header_value() {
            headers.insert(CACHE_STATUS, value);
        }
    }

    /// The value of [`CACHE_STATUS`].
    fn header_value(self) -> Option<HeaderValue> {
        match self.0? {
            Outcome::Hit => Some(HeaderValue::from_static("millrace; hit")),
            // Made of words of ours: the value is always valid.
            forwarded => HeaderValue::from_str(&format!("millrace; {forwarded}")).ok(),
        }
    }
}

/// Reads of one read model by what the cache did.
pub(crate) struct CacheCounters {
    off: Counter,
    hit: Counter,
    collapsed: Counter,
    miss: Counter,
    stale: Counter,
    bypass: Counter,
}

impl CacheCounters {
    pub(crate) fn of(read_model: &str) -> Self {
        let of = |outcome| Metric::QueryApiCache.counter(&[read_model, outcome]);
        Self {
            off: of("off"),
            hit: of("hit"),
            collapsed: of("collapsed"),
            miss: of("miss"),
            stale: of("stale"),
            bypass: of("bypass"),
        }
    }

    pub(crate) fn count(&self, status: CacheStatus) {
        let counter = match status.0 {
            None => &self.off,
            Some(Outcome::Hit) => &self.hit,
            Some(Outcome::Forwarded { collapsed: true, .. }) => &self.collapsed,
            Some(Outcome::Forwarded { why: Forward::Miss, .. }) => &self.miss,
            Some(Outcome::Forwarded { why: Forward::Stale, .. }) => &self.stale,
            Some(Outcome::Forwarded { why: Forward::Bypass, .. }) => &self.bypass,
        };
        counter.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_cache_and_what_it_did() {
        let value = |outcome| CacheStatus(Some(outcome)).header_value().unwrap();
        assert_eq!(value(Outcome::Hit), "millrace; hit");
        let stored = Outcome::Forwarded { why: Forward::Miss, stored: true, collapsed: false };
        assert_eq!(value(stored), "millrace; fwd=miss; stored");
    }

    #[tokio::test]
    async fn a_cache_that_is_off_says_nothing_of_itself() {
        let cache = Cache::start(None);
        let (row, status) = cache.get(None, async || Ok(None)).await.unwrap();
        assert_eq!((row, status.header_value()), (None, None));
    }
}
