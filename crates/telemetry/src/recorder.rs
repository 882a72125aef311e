//! The process's one recorder of metrics.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{Kind, Metric, vitals};

/// Bounds of durations, in seconds: from a hit in memory to the longest wait that is allowed, with
/// the objectives (50 ms, 100 ms, 200 ms, 1 s) among them.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

/// Bounds of sizes, in things.
const SIZES: &[f64] = &[1.0, 5.0, 20.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 50_000.0];

/// What the process has recorded.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

/// The metrics of this process. The first call begins to record; every call gives the same ones,
/// so that several services in one test process can each ask for them.
pub fn metrics() -> Metrics {
    static INSTALLED: OnceLock<Metrics> = OnceLock::new();
    INSTALLED.get_or_init(install).clone()
}

impl Metrics {
    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        vitals::append(&mut text);
        text
    }

    /// Folds what histograms have collected; called every few seconds, so that a process that
    /// nobody scrapes does not grow.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn install() -> Metrics {
    let builder = Metric::ALL
        .iter()
        .try_fold(PrometheusBuilder::new(), with_buckets)
        .unwrap_or_else(|error| {
            tracing::error!(%error, "histograms have no buckets");
            PrometheusBuilder::new()
        });
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!(
            "metrics are recorded by somebody else in this process; /metrics stays empty"
        );
    }
    Metric::ALL.iter().for_each(describe);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Metric::ProcessStartTime.gauge(&[]).set(started.as_secs_f64());
    Metrics(handle)
}

fn with_buckets(
    builder: PrometheusBuilder,
    metric: &Metric,
) -> Result<PrometheusBuilder, BuildError> {
    let description = metric.describe();
    let bounds = match description.kind {
        Kind::Seconds => SECONDS,
        Kind::Sizes => SIZES,
        Kind::Counter | Kind::Gauge => return Ok(builder),
    };
    builder.set_buckets_for_metric(Matcher::Full(description.name.to_owned()), bounds)
}

fn describe(metric: &Metric) {
    let description = metric.describe();
    match description.kind {
        Kind::Counter => metrics::describe_counter!(description.name, description.help),
        Kind::Gauge => metrics::describe_gauge!(description.name, description.help),
        Kind::Seconds | Kind::Sizes => {
            metrics::describe_histogram!(description.name, description.help);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_twice_gives_the_same_metrics() {
        let first = metrics();
        Metric::SchemaCacheMisses.counter(&["found"]).increment(3);
        assert!(first.render().contains("schema_cache_misses_total{outcome=\"found\"} 3"));
        assert!(metrics().render().contains("schema_cache_misses_total{outcome=\"found\"} 3"));
    }

    #[test]
    fn durations_come_with_a_bucket_at_the_objective() {
        let metrics = metrics();
        Metric::CommandApiAppend.histogram(&[]).record(0.07);
        let text = metrics.render();
        assert!(text.contains("command_api_append_seconds_bucket{le=\"0.05\"} 0"), "{text}");
        assert!(text.contains("command_api_append_seconds_bucket{le=\"0.1\"} 1"), "{text}");
    }

    #[test]
    fn what_is_recorded_is_described() {
        let metrics = metrics();
        Metric::ProducerRebuilt.counter(&[]).increment(1);
        let help = Metric::ProducerRebuilt.describe().help;
        assert!(metrics.render().contains(&format!("# HELP kafka_producer_rebuilt_total {help}")));
    }
}
