//! What the projector says of itself: readiness and lag.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lifecycle::Component;
use telemetry::Metric;
use tokio::time::interval;

use crate::runner::{PartitionState, Progress, Standing};

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

/// What is told of each partition; of one that is not read here any more nothing is known.
const OF_PARTITIONS: [Metric; 4] = [
    Metric::ProjectionLag,
    Metric::ProjectionLagRecords,
    Metric::ProjectionLogStart,
    Metric::ProjectionHeadroom,
];

fn measure(progress: &Progress, now: Instant, known: &mut Vec<i32>) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    let (lags, partitions) = (progress.lag_seconds(now, wall_ms), progress.partitions());
    let gauge = |metric: Metric, partition: &i32| {
        metric.gauge(&[progress.projection(), &partition.to_string()])
    };
    for partition in known.iter().filter(|partition| !partitions.contains_key(*partition)) {
        for metric in OF_PARTITIONS {
            gauge(metric, partition).set(f64::NAN);
        }
    }
    for (partition, standing) in &partitions {
        let number = |number: Option<i64>| number.map_or(f64::NAN, |number| number as f64);
        let headroom = standing.log_start().map(|start| standing.next_offset - start);
        let lag = lags.get(partition).copied().unwrap_or(f64::NAN);
        gauge(Metric::ProjectionLag, partition).set(lag);
        gauge(Metric::ProjectionLagRecords, partition).set(number(standing.records_behind()));
        gauge(Metric::ProjectionLogStart, partition).set(number(standing.log_start()));
        gauge(Metric::ProjectionHeadroom, partition).set(number(headroom));
    }
    measure_all(progress, partitions.values());
    *known = partitions.into_keys().collect();
}

fn measure_all<'a>(progress: &Progress, partitions: impl Iterator<Item = &'a Standing>) {
    let (mut stopped, mut retrying) = (0_u32, 0_u32);
    for standing in partitions {
        match standing.state {
            PartitionState::Halted { .. } => stopped += 1,
            PartitionState::Retrying { .. } => retrying += 1,
            PartitionState::Folding => {}
        }
    }
    let labels = [progress.projection()];
    Metric::ProjectionStopped.gauge(&labels).set(stopped);
    Metric::ProjectionRetrying.gauge(&labels).set(retrying);
    let reached = f64::from(u8::from(progress.reaches_brokers()));
    Metric::ProjectionBrokersReachable.gauge(&labels).set(reached);
}
