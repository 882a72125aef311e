//! The Redis that tests share while any of them runs.

use std::sync::{Arc, Weak};

use anyhow::Result;
use test_support::RedisServer;

/// One that nobody may kill, freeze or flush.
pub(crate) async fn shared() -> Result<Arc<RedisServer>> {
    static SHARED: tokio::sync::Mutex<Weak<RedisServer>> =
        tokio::sync::Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(server) = shared.upgrade() {
        return Ok(server);
    }
    let server = Arc::new(RedisServer::start(&[]).await?);
    *shared = Arc::downgrade(&server);
    Ok(server)
}
