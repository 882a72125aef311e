//! The word that a process is to end, passed to all that must hear it.

use std::time::Duration;

use settings::{Settings, table};
use tokio_util::sync::CancellationToken;

/// Says, once and for all, that the work it was given to is to end. Clones say the same.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a process may take to finish what it has begun.
    pub fn budget(settings: &mut Settings) -> Duration {
        settings.millis(&table::DRAIN_TIMEOUT)
    }

    /// Begins it.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Returns when it has begun; safe to drop and call again.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }
}
