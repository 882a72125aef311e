//! Everything that a deployment keeps in Redis, looked at once: for tools that must know what stands
//! there. Nothing is changed.

use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::Key;
use fred::types::config::{ConnectionConfig, PerformanceConfig};
use tokio::time::timeout;

use crate::config::CacheConfig;
use crate::key::CacheKey;
use crate::value::State;

/// How long connecting may take, and each answer after it.
const ANSWER: Duration = Duration::from_secs(10);
/// Keys that Redis is asked for at a time, about.
const PAGE: u32 = 500;

/// A connection for looking.
pub struct Sweep {
    client: Client,
    /// Matches the keys of one deployment; without a prefix, every key of the database.
    pattern: String,
}

/// Why it was not looked at, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Nobody answers in time.
    #[error("Redis does not answer")]
    Away,
    /// It cannot be reached, or does not do what it is asked.
    #[error("Redis does not show what it holds")]
    Redis(#[source] Error),
    /// It answers what was not asked.
    #[error("Redis answers what was not asked")]
    Unexpected,
}

impl CacheConfig {
    /// Connects, to look at everything that the deployment keeps.
    ///
    /// # Errors
    /// Redis is away, or refuses us.
    pub async fn sweep(&self) -> Result<Sweep, SweepError> {
        let mut redis = self.redis.clone();
        // Whoever looks is told that nobody is there, and does not wait.
        redis.fail_fast = true;
        let answer = PerformanceConfig { default_command_timeout: ANSWER, ..Default::default() };
        let connection = ConnectionConfig {
            connection_timeout: ANSWER,
            disable_cluster_health_check: true,
            ..Default::default()
        };
        let client = Client::new(redis, Some(answer), Some(connection), None);
        match timeout(ANSWER, client.init()).await {
            Ok(Ok(_)) => Ok(Sweep { client, pattern: self.keys.pattern() }),
            Ok(Err(error)) => Err(SweepError::Redis(error)),
            Err(_) => Err(SweepError::Away),
        }
    }
}

impl Sweep {
    /// What stands at a key.
    ///
    /// # Errors
    /// Redis does not say it.
    pub async fn state(&self, key: &CacheKey) -> Result<State, SweepError> {
        let text: Option<Bytes> = self.client.get(key.as_str()).await.map_err(SweepError::Redis)?;
        Ok(State::parse(text.as_ref()))
    }

    /// Shows every key with its text, or with none where it holds something that is no text. Keys that
    /// come or go meanwhile may be left out, and a key may be shown twice.
    ///
    /// # Errors
    /// Redis does not show everything.
    pub async fn entries(
        &self,
        mut each: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<(), SweepError> {
        let mut cursor = "0".to_owned();
        loop {
            let page = self.client.scan_page(cursor, self.pattern.as_str(), Some(PAGE), None).await;
            let (next, keys): (String, Vec<Key>) = page.map_err(SweepError::Redis)?;
            self.show(keys, &mut each).await?;
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn show(
        &self,
        keys: Vec<Key>,
        each: &mut impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<(), SweepError> {
        if keys.is_empty() {
            return Ok(());
        }
        let texts: Vec<Option<Bytes>> =
            self.client.mget(keys.clone()).await.map_err(SweepError::Redis)?;
        if texts.len() != keys.len() {
            return Err(SweepError::Unexpected);
        }
        for (key, text) in keys.into_iter().zip(texts) {
            if text.is_some() || self.is_there(&key).await? {
                each(key.as_bytes(), text.as_deref());
            }
        }
        Ok(())
    }

    /// Whether a key that has no text holds something else, and has not just gone.
    async fn is_there(&self, key: &Key) -> Result<bool, SweepError> {
        let kind: String = self.client.r#type(key.clone()).await.map_err(SweepError::Redis)?;
        // One that came meanwhile came after we looked.
        Ok(kind != "none" && kind != "string")
    }

    /// Ends the connection.
    pub async fn close(self) {
        // A goodbye that is lost costs nothing.
        let _ = timeout(ANSWER, self.client.quit()).await;
    }
}
