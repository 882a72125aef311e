//! What the projector says of itself: readiness and lag.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lifecycle::Component;
use telemetry::Metric;
use tokio::time::interval;

use crate::runner::{PartitionState, Progress};

/// Tells health and metrics where a projection stands, every second, until it is aborted.
pub(crate) async fn watch(progress: Arc<Progress>, component: Component) {
    let mut every_second = interval(Duration::from_secs(1));
    let mut known = Vec::new();
    loop {
        every_second.tick().await;
        let now = Instant::now();
        match progress.troubles(now).as_slice() {
            [] => component.ready(),
            troubles => component.not_ready(troubles.join("; ")),
        }
        measure(&progress, now, &mut known);
    }
}

/// Lag per partition; of a partition that is not read here any more nothing is known.
fn measure(progress: &Progress, now: Instant, known: &mut Vec<i32>) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    let lags = progress.lag_seconds(now, wall_ms);
    let gauge = |partition: &i32| {
        Metric::ProjectionLag.gauge(&[progress.projection(), &partition.to_string()])
    };
    for partition in known.iter().filter(|partition| !lags.contains_key(*partition)) {
        gauge(partition).set(f64::NAN);
    }
    for (partition, lag) in &lags {
        gauge(partition).set(*lag);
    }
    *known = lags.into_keys().collect();
    let halted = |standing: &crate::runner::Standing| {
        matches!(standing.state, PartitionState::Halted { .. })
    };
    let stopped = progress.partitions().values().filter(|standing| halted(standing)).count();
    Metric::ProjectionStopped.gauge(&[progress.projection()]).set(stopped as f64);
}
