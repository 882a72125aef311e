//! Charging the buckets that processes share, beside the requests.

use std::time::Duration;

use rate_limit::{NotCharged, SharedBuckets};
use telemetry::Metric;

use super::Inner;
use super::occurrence::Alone;

/// Callers that are charged in one call.
const AT_ONCE: usize = 256;

/// Least time from one call to the next, unless more callers wait than one call charges.
const PAUSE: Duration = Duration::from_millis(10);

/// The same while the buckets do not answer.
const RETRY: Duration = Duration::from_millis(250);

/// Charges what comes, for as long as it is polled. One call is under way at a time.
pub(super) async fn share(quotas: &Inner, buckets: &impl SharedBuckets) {
    loop {
        quotas.waiting.notified().await;
        while let Some(pause) = charge(quotas, buckets).await {
            tokio::time::sleep(pause).await;
        }
    }
}

/// One call, and how long to rest after it; nothing where nobody is to be charged.
async fn charge(quotas: &Inner, buckets: &impl SharedBuckets) -> Option<Duration> {
    let limiter = &quotas.limiter;
    let charges = limiter.take(AT_ONCE, quotas.now());
    if charges.is_empty() {
        return None;
    }
    let was_alone = limiter.is_alone();
    let outcome = match buckets.charge(&charges).await {
        Ok(debts) => {
            limiter.charged(&charges, &debts, quotas.now());
            "charged"
        }
        Err(NotCharged) => {
            limiter.not_charged(&charges);
            "failed"
        }
    };
    Metric::RateLimitCharges.counter(&[outcome]).increment(1);
    let is_alone = limiter.is_alone();
    if is_alone != was_alone {
        Alone { is_alone, is_news: true }.emit();
    }
    Some(match is_alone {
        true => RETRY,
        false if charges.len() < AT_ONCE => PAUSE,
        false => Duration::ZERO,
    })
}
