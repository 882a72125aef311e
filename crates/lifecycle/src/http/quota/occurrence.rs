//! What happens to quotas: the log line and the metrics of each occurrence.

use rate_limit::Class;
use telemetry::Metric;

/// Somebody asks for more than they may. It is counted where it is decided.
#[derive(Debug)]
pub(super) struct QuotaExceeded {
    /// Of which class.
    pub(super) class: Class,
    /// The quota that kept them back.
    pub(super) quota: &'static str,
}

impl QuotaExceeded {
    /// Writes the line: for whoever looks closely, since an overload that is refused must not fill the log.
    pub(super) fn emit(&self) {
        tracing::debug!(quota.class = self.class.name(), quota.name = self.quota, "quota exceeded");
    }
}

/// The shared buckets do not answer, or do again.
#[derive(Debug)]
pub(super) struct Alone {
    /// Whether each process keeps to its part of every quota.
    pub(super) is_alone: bool,
    /// Whether that was otherwise before.
    pub(super) is_news: bool,
}

impl Alone {
    /// Tells it, and writes the line where it is news.
    pub(super) fn emit(&self) {
        Metric::RateLimitAlone.gauge(&[]).set(f64::from(u8::from(self.is_alone)));
        match (self.is_news, self.is_alone) {
            (true, true) => tracing::warn!(
                "Redis does not answer in time: each process keeps to its part of every quota until it does"
            ),
            (true, false) => tracing::info!("processes share quotas again"),
            (false, _) => {}
        }
    }
}
