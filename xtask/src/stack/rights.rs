//! What each name may do at the secured listeners, in one deployment: what `docs/operations/secured.md`
//! names, and no more. What Postgres' roles may is told by the deploy step `migrate`.

mod kafka;
mod redis;

use anyhow::{Context, Result};
use settings::Prefix;

/// Where rights are given: at the plain ports, whose users may do everything.
#[derive(Debug, Clone, Copy)]
pub struct Givers {
    /// The broker's port.
    pub kafka: u16,
    /// The port of Redis.
    pub redis: u16,
}

/// Gives the names of a stack their rights in a deployment; those that were given before stay. On return
/// they hold.
///
/// # Errors
/// Broker or Redis cannot be reached or refuse.
pub fn give(givers: Givers, prefix: &Prefix) -> Result<()> {
    kafka::give(givers.kafka, prefix).context("giving rights at the broker")?;
    redis::give(givers.redis, prefix).context("giving rights at Redis")
}
