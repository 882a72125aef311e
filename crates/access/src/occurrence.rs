//! What happens to a process's knowledge of identities: the log line and the metrics of each occurrence.

use std::error::Error;
use std::time::Duration;

use telemetry::Metric;

use crate::identity::LookError;

/// It is known what was revoked.
#[derive(Debug)]
pub(crate) struct RevocationsRead {
    /// How many sessions and users are held.
    pub(crate) held: usize,
    /// Since when it was not known, if it was not.
    pub(crate) after: Option<Duration>,
}

impl RevocationsRead {
    /// Tells it, and writes the line where it is news.
    pub(crate) fn emit(&self) {
        Metric::RevocationsHeld.gauge(&[]).set(self.held as f64);
        Metric::RevocationsAge.gauge(&[]).set(0.0);
        if let Some(after) = self.after {
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(
                revocations = self.held,
                after_ms,
                "it is known which access tokens were revoked"
            );
        }
    }
}

/// It could not be read what was revoked.
#[derive(Debug)]
pub(crate) struct RevocationsNotRead<'a> {
    /// Why.
    pub(crate) error: &'a LookError,
    /// How old what is known is by now.
    pub(crate) age: Duration,
    /// Whether that was not said before.
    pub(crate) is_news: bool,
}

impl RevocationsNotRead<'_> {
    /// Tells it, and writes the line where it is news.
    pub(crate) fn emit(&self) {
        Metric::RevocationsAge.gauge(&[]).set(self.age.as_secs_f64());
        if self.is_news {
            tracing::warn!(
                error = self.error as &(dyn Error + 'static),
                "it cannot be read which access tokens were revoked; what was read before holds"
            );
        }
    }
}

/// The deployment has other keys than before.
#[derive(Debug)]
pub(crate) struct OwnKeysChanged {
    /// How many.
    pub(crate) keys: usize,
}

impl OwnKeysChanged {
    /// Writes the line.
    pub(crate) fn emit(&self) {
        tracing::info!(keys = self.keys, "the deployment's keys of access tokens changed");
    }
}
