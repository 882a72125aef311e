//! One test's place: its own prefix on a Redis, a writer, a reader, and a look from outside.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use read_cache::{
    Body, CacheConfig, CacheGeneration, CacheKey, Cover, Entry, Home, Lease, Leased, Reader,
    Tombstones, Trust, TrustKey, Writer,
};
use settings::Settings;
use test_support::{RedisServer, Resp, eventually};

use crate::server;

pub(crate) const GENERATION: CacheGeneration = CacheGeneration(7);
pub(crate) const TTL: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) config: CacheConfig,
    pub(crate) writer: Writer,
    pub(crate) reader: Arc<Reader>,
    pub(crate) trust: TrustKey,
    home: Option<Home>,
    pub(crate) resp: Resp,
    pub(crate) server: Arc<RedisServer>,
}

impl Bench {
    /// On the Redis that tests share; nobody is in a hurry.
    pub(crate) async fn start() -> Result<Self> {
        Self::on(server::shared().await?, "1000").await
    }

    /// On a Redis of its own; reads wait as long as they do in production.
    pub(crate) async fn alone() -> Result<Self> {
        Self::on(Arc::new(RedisServer::start(&[]).await?), "40").await
    }

    async fn on(server: Arc<RedisServer>, read_timeout_ms: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let config = config(&server, &prefix, read_timeout_ms)?;
        let mut bench = Self {
            home: None,
            writer: Writer::start(&config),
            reader: Arc::new(Reader::start(&config)),
            trust: config.keys.trust("thing", 0),
            resp: server.resp()?,
            config,
            server,
        };
        bench.connected().await?;
        bench.settle().await?;
        Ok(bench)
    }

    /// Three partitions, the first of them [`Self::trust`].
    pub(crate) fn partitions(&self) -> Vec<TrustKey> {
        (0..3).map(|partition| self.config.keys.trust("thing", partition)).collect()
    }

    /// Agrees for all of them with the Redis that there is now.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        self.home = Some(self.writer.settle(&self.partitions()).await?);
        Ok(())
    }

    fn agreed(&self, key: TrustKey) -> Trust {
        Trust { key, generation: GENERATION, home: self.home.clone() }
    }

    /// What a lane covers that commits in the first.
    pub(crate) fn lane(&self) -> Cover {
        Cover::Windows(vec![self.agreed(self.trust.clone())])
    }

    /// What a lane covers that commits in all of them.
    pub(crate) fn wide_lane(&self) -> Cover {
        Cover::Windows(self.partitions().into_iter().map(|key| self.agreed(key)).collect())
    }

    /// What a replay of the first covers.
    pub(crate) fn replay(&self) -> Cover {
        Cover::Replay(self.agreed(self.trust.clone()))
    }

    pub(crate) async fn connected(&self) -> Result<()> {
        eventually("reader and writer are connected", async || {
            ensure!(self.reader.is_connected(), "the reader is not");
            ensure!(self.writer.identity().await.is_ok(), "the writer is not");
            Ok(())
        })
        .await
    }

    pub(crate) fn key(&self, id: impl ToString) -> CacheKey {
        self.config.keys.of("thing", &id.to_string())
    }

    pub(crate) fn entry(&self, id: impl ToString) -> Entry {
        let (key, trust) = (self.key(id), self.trust.clone());
        Entry { key, trust, ttl: TTL, missing_ttl: Duration::from_secs(3) }
    }

    /// What stands at a key.
    pub(crate) fn get(&mut self, key: &CacheKey) -> Option<String> {
        self.resp.ask(&["GET", key.as_str()]).unwrap()
    }

    /// What stands at the partition's window.
    pub(crate) fn window(&mut self) -> Option<String> {
        self.resp.ask(&["GET", self.trust.window()]).unwrap()
    }

    /// Puts a text at a key, for a minute.
    pub(crate) fn put(&mut self, key: &CacheKey, text: &str) {
        self.resp.text(&["SET", key.as_str(), text, "PX", "60000"]).unwrap();
    }

    /// Milliseconds that a key has left.
    pub(crate) fn left(&mut self, key: &str) -> i64 {
        self.resp.text(&["PTTL", key]).unwrap().parse().unwrap()
    }

    /// Lets a key end, as its time does.
    pub(crate) fn lapse(&mut self, key: &str) {
        self.resp.text(&["DEL", key]).unwrap();
    }

    /// Vouches for the partition for a minute.
    pub(crate) fn trusted(&mut self, generation: CacheGeneration) {
        let (key, text) = (self.trust.as_str().to_owned(), generation.to_string());
        self.resp.text(&["SET", &key, &text, "PX", "60000"]).unwrap();
    }

    pub(crate) async fn granted(&self, key: &CacheKey) -> Lease {
        match self.reader.lease(key, &self.trust).await {
            Leased::Granted(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn fill(&self, key: &CacheKey, lease: &Lease, version: u64) -> bool {
        self.reader.fill(key, &self.trust, lease, (version, json(version)), TTL).await
    }

    /// Sets tombstones as a replay does: at every key.
    pub(crate) async fn before(&self, keys: &[&CacheKey]) -> Tombstones {
        let keys = keys.iter().map(|&key| key.clone()).collect();
        self.writer.before_commit(self.replay(), keys).await.unwrap()
    }

    /// Sets the window and tombstones as a lane does: where something stands.
    pub(crate) async fn before_in_window(&self, keys: &[&CacheKey]) -> Tombstones {
        let keys = keys.iter().map(|&key| key.clone()).collect();
        self.writer.before_commit(self.lane(), keys).await.unwrap()
    }

    /// Ends tombstones with bodies of this version for those of the keys that are hot.
    pub(crate) async fn after(&self, tombstones: Tombstones, version: u64) -> usize {
        let bodies: HashMap<_, _> =
            tombstones.hot().map(|key| (key.clone(), body(version))).collect();
        self.writer.after_commit(tombstones, bodies).await.unwrap()
    }
}

pub(crate) fn config(
    server: &RedisServer,
    prefix: &str,
    read_timeout_ms: &str,
) -> Result<CacheConfig> {
    let variables = [
        ("REDIS_URL", server.url()),
        ("MILLRACE_PREFIX", prefix.to_owned()),
        ("MILLRACE_CACHE_READ_TIMEOUT_MS", read_timeout_ms.to_owned()),
    ];
    let mut settings = Settings::new(variables.map(|(name, value)| (name.to_owned(), value)));
    let config = CacheConfig::from_settings(&mut settings);
    Ok(settings.finish(config)?)
}

pub(crate) fn json(version: u64) -> Bytes {
    format!("{{\"n\":{version}}}").into()
}

pub(crate) fn body(version: u64) -> Body {
    Body { generation: GENERATION, version, json: json(version) }
}

/// The text of that body.
pub(crate) fn text(version: u64) -> String {
    format!("7 {version} {{\"n\":{version}}}")
}
