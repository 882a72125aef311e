//! Tests that need the machine for themselves.

use std::fs::File;

use anyhow::{Context as _, Result};

/// Held while a test runs alone; the next one begins when it is dropped.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "the lock is held while it lives")] File);

/// Waits until no other test that asked for the same runs, in this process or another. For tests
/// that keep both cores busy or need hundreds of megabytes.
///
/// # Errors
/// The lock's file cannot be opened.
pub async fn alone() -> Result<Alone> {
    let path = std::env::temp_dir().join("millrace-tests.lock");
    let lock = tokio::task::spawn_blocking(move || {
        let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        file.lock().with_context(|| format!("locking {}", path.display()))?;
        anyhow::Ok(file)
    });
    lock.await.context("waiting for the lock")?.map(Alone)
}
