//! What happens to the cache, each with its log line and its metric.

use read_cache::CallError;
use telemetry::Metric;

/// Commits are announced to Redis, until one is not.
pub(super) fn begin(projection: &str) {
    Metric::CacheReachable.gauge(&[projection]).set(1.0);
    Metric::CacheBodies.counter(&[projection]).increment(0);
}

/// Redis cannot be reached: batches go without it.
pub(super) struct RedisLost<'a> {
    pub(super) projection: &'a str,
    pub(super) error: &'a CallError,
}

impl RedisLost<'_> {
    pub(super) fn emit(self) {
        Metric::CacheReachable.gauge(&[self.projection]).set(0.0);
        tracing::warn!(
            projection = self.projection,
            error = %self.error,
            "the cache cannot be told of commits: reads go to the database until it can"
        );
    }
}

/// Redis is reached again.
pub(super) struct RedisFound<'a> {
    pub(super) projection: &'a str,
}

impl RedisFound<'_> {
    pub(super) fn emit(self) {
        Metric::CacheReachable.gauge(&[self.projection]).set(1.0);
        tracing::info!(projection = self.projection, "the cache is told of commits again");
    }
}

/// The announcement of a committed batch was ended, or not.
pub(super) struct BatchEnded<'a> {
    pub(super) projection: &'a str,
    pub(super) ended: &'a Result<usize, CallError>,
}

impl BatchEnded<'_> {
    pub(super) fn emit(self) {
        match self.ended {
            Ok(0) => {}
            Ok(bodies) => {
                Metric::CacheBodies.counter(&[self.projection]).increment(*bodies as u64);
            }
            Err(error) => tracing::debug!(
                projection = self.projection,
                %error,
                "keys of a committed batch stay cold until its tombstones lapse"
            ),
        }
    }
}

/// Cache generations were raised, since Redis is another one or was emptied.
pub(super) struct Resettled<'a> {
    pub(super) projection: &'a str,
    pub(super) partitions: &'a [i32],
}

impl Resettled<'_> {
    pub(super) fn emit(self) {
        let raised = self.partitions.len() as u64;
        Metric::CacheGenerationsRaised.counter(&[self.projection]).increment(raised);
        tracing::info!(
            projection = self.projection,
            partitions = ?self.partitions,
            "the cache is another one or was emptied: what it holds is not trusted"
        );
    }
}

/// Trust was not renewed this time.
pub(super) struct NotRenewed<'a> {
    pub(super) projection: &'a str,
    pub(super) error: &'a (dyn std::error::Error + 'static),
}

impl NotRenewed<'_> {
    pub(super) fn emit(self) {
        Metric::CacheRenewalsFailed.counter(&[self.projection]).increment(1);
        tracing::debug!(
            projection = self.projection,
            error = self.error,
            "the trust in the cache is renewed later"
        );
    }
}
