//! How soon after their log time events become visible.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use metrics::Counter;
use telemetry::Metric;

/// Bounds in microseconds, with what the metric calls them; the objective is among them.
const BOUNDS: [(i64, &str); 3] = [(100_000, "0.1"), (1_000_000, "1"), (10_000_000, "10")];

/// Counts events of a projection by how late they became visible. Four sums for a batch: a histogram
/// would be asked for each event.
pub(super) struct Freshness {
    counters: [Counter; 4],
}

impl Freshness {
    pub(super) fn of(projection: &str) -> Self {
        let within = [BOUNDS[0].1, BOUNDS[1].1, BOUNDS[2].1, "more"];
        let counter = |within| Metric::ProjectionFreshness.counter(&[projection, within]);
        Self { counters: within.map(counter) }
    }

    /// Events with these log times are visible now.
    pub(super) fn visible(&self, log_times: impl Iterator<Item = Timestamp>) {
        let counts = count(log_times, now());
        for (counter, count) in self.counters.iter().zip(counts) {
            counter.increment(count);
        }
    }
}

/// How long ago a record was appended.
pub(super) fn age_of(log_time: Timestamp) -> Duration {
    let micros = now().micros().saturating_sub(log_time.micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn count(log_times: impl Iterator<Item = Timestamp>, now: Timestamp) -> [u64; 4] {
    let mut counts = [0; 4];
    for log_time in log_times {
        let age = now.micros().saturating_sub(log_time.micros());
        let slot = BOUNDS.iter().take_while(|(bound, _)| age > *bound).count();
        counts[slot] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_once_under_the_first_bound_that_it_keeps() {
        let ages = [0, 100_000, 100_001, 1_000_000, 1_000_001, 10_000_001, -5];
        let times = ages.into_iter().map(|age| Timestamp(20_000_000 - age));
        assert_eq!(count(times, Timestamp(20_000_000)), [3, 2, 1, 1]);
    }
}
