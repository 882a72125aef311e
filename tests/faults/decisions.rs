//! Decisions while processes, the log and the store end, stop and go back.

mod relays;
mod restore;
mod steps;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use test_support::{Named, World, eventually};

/// Everything that was decided is in the log, each stream in its order, and nothing else. Returns how many
/// records were absorbed by readers.
async fn log_equals_the_store(world: &World) -> Result<usize> {
    eventually("the log has what was decided", async || {
        let stored: BTreeMap<String, Vec<Named>> = world.stored_streams().await?;
        let (logged, again) = world.logged_streams().await?;
        ensure!(
            logged == stored,
            "{} streams are logged and {} stored",
            logged.len(),
            stored.len()
        );
        Ok(again)
    })
    .await
}
