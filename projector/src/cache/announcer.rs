//! What Redis is told around a commit.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use read_cache::{
    Body, CacheConfig, CacheGeneration, CacheKey, CallError, Cover, Keys, Tombstones, Trust,
    TrustKey, Writer,
};
use read_models::cached::CachedRow;
use tokio::time::timeout;

/// Bodies that one batch puts in the place of old ones, at most; what is more goes cold.
const BODIES_AT_ONCE: usize = 1_000;

/// How often it is looked whether the first connection stands.
const LOOK: Duration = Duration::from_millis(5);

/// Longest announcement: what of a transaction's time it may take.
const ANNOUNCEMENT: Duration = Duration::from_secs(2);

/// A cache generation as it stands in Postgres.
pub(crate) fn generation_of(number: i64) -> CacheGeneration {
    CacheGeneration(number.unsigned_abs())
}

/// Rows that a batch changes, by what they are called in the cache, with their partitions.
pub(crate) type Touched<'a> = HashMap<&'a str, i32, RandomState>;

/// The cache as those who write see it.
pub struct Announcer {
    writer: Writer,
    keys: Keys,
}

/// What was announced of one batch, and is to be ended when its outcome is known.
#[must_use = "the keys stay cold for seconds, unless the announcement is ended"]
pub(crate) struct Announced {
    tombstones: Tombstones,
    bodies: HashMap<CacheKey, Body>,
}

impl Announcer {
    /// Begins to connect. Needs a runtime.
    pub fn start(config: &CacheConfig) -> Self {
        Self { writer: Writer::start(config), keys: config.keys.clone() }
    }

    /// Waits until the first connection stands, or until patience ends.
    pub async fn connected_within(&self, patience: Duration) -> bool {
        let connected = async {
            while !self.writer.is_connected() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(patience, connected).await.is_ok()
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(super) fn trust_key(&self, projection: &str, partition: i32) -> TrustKey {
        self.keys.trust(projection, partition)
    }

    /// What Postgres says beside a position: its cache generation, and with which Redis that was
    /// agreed.
    pub(crate) fn trust(
        &self,
        projection: &str,
        partition: i32,
        cache_generation: i64,
        cache_home: Option<&str>,
    ) -> Trust {
        Trust {
            key: self.trust_key(projection, partition),
            generation: generation_of(cache_generation),
            // A text that is none is no home.
            home: cache_home.and_then(|home| home.parse().ok()),
        }
    }

    /// Takes old bodies of these rows away before the commit. The transaction holds the locks of
    /// their rows.
    ///
    /// # Errors
    /// Nothing may be committed on the strength of it.
    pub(crate) async fn announce(
        &self,
        noun: &str,
        cover: Cover,
        touched: &Touched<'_>,
    ) -> Result<Announced, CallError> {
        let keys = touched.keys().map(|id| self.keys.of(noun, id)).collect();
        // Boxed: the client's futures are deeper than compilers like.
        let told = Box::pin(self.writer.before_commit(cover, keys));
        // Each call ends in time; many slow ones together could outlast the transaction.
        let tombstones = timeout(ANNOUNCEMENT, told).await.map_err(|_| CallError::Unknown)??;
        Ok(Announced { tombstones, bodies: HashMap::new() })
    }

    /// Those among them that somebody reads: a new body is wanted of them.
    pub(crate) fn wanted<'a>(
        &self,
        noun: &str,
        announced: &Announced,
        touched: &Touched<'a>,
    ) -> Vec<(&'a str, i32)> {
        let prefix = self.keys.of(noun, "");
        let id = |key: &CacheKey| key.as_str().strip_prefix(prefix.as_str()).map(str::to_owned);
        let hot = announced.tombstones.hot().take(BODIES_AT_ONCE).filter_map(id);
        hot.filter_map(|id| touched.get_key_value(id.as_str()).map(|(id, at)| (*id, *at))).collect()
    }

    /// Gives a row the body that it is to have after the commit.
    pub(crate) fn give(
        &self,
        noun: &str,
        announced: &mut Announced,
        id: &str,
        generation: CacheGeneration,
        row: &CachedRow,
    ) {
        let body = Body { generation, version: row.version, json: row.to_json() };
        announced.bodies.insert(self.keys.of(noun, id), body);
    }

    /// The batch is committed. Returns how many bodies stand.
    ///
    /// # Errors
    /// Its keys stay cold until the tombstones lapse.
    pub(crate) async fn committed(&self, announced: Announced) -> Result<usize, CallError> {
        Box::pin(self.writer.after_commit(announced.tombstones, announced.bodies)).await
    }
}
