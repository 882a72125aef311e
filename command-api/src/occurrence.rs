//! What happens in this process: each occurrence is counted and logged in one place.

use std::time::Duration;

use kafka_io::doctor::Finding;
use kafka_io::producer::{Occurrence, ProducerStatistics, SendError};
use metrics::{Counter, Gauge, Histogram};
use problem_details::{Problem, ProblemType};
use telemetry::{KafkaClient, KafkaClientFigures, Metric};

/// What becomes of facts on their way into the log; looked up once, used by every request.
pub(crate) struct Outcomes {
    accepted: Counter,
    rejected: Counter,
    unavailable: Counter,
    unknown: Counter,
    append: Histogram,
}

impl Outcomes {
    pub(crate) fn new() -> Self {
        let outcome = |outcome| Metric::CommandApiEvents.counter(&[outcome]);
        Self {
            accepted: outcome("accepted"),
            rejected: outcome("rejected"),
            unavailable: outcome("unavailable"),
            unknown: outcome("unknown"),
            append: Metric::CommandApiAppend.histogram(&[]),
        }
    }

    /// An event is in the log.
    pub(crate) fn accepted(&self, event_id: uuid::Uuid, append: Duration) {
        self.accepted.increment(1);
        self.append.record(append.as_secs_f64());
        tracing::debug!(event.id = %event_id, "event accepted");
    }

    /// A request was answered before anything was sent: it asked for what it must not, or wrongly,
    /// or nobody could tell who asks.
    pub(crate) fn not_taken(&self, problem: &Problem) {
        match problem.kind() {
            ProblemType::NotReady => self.unavailable.increment(1),
            _ => self.rejected.increment(1),
        }
    }

    /// The process has not learnt yet what it needs to write events.
    pub(crate) fn not_ready(&self) {
        self.unavailable.increment(1);
    }

    /// An event is not in the log, or nobody knows.
    pub(crate) fn not_appended(&self, event_id: uuid::Uuid, error: &SendError) {
        let reason = error.kind();
        match error {
            SendError::Refused(_) => {
                self.unavailable.increment(1);
                tracing::debug!(event.id = %event_id, reason, "event refused");
            }
            SendError::Unknown(_) => {
                self.unknown.increment(1);
                tracing::warn!(event.id = %event_id, reason, "whether the event is in the log is unknown");
            }
        }
    }
}

/// What the producer's client tells of itself every five seconds.
pub(crate) struct ProducerMetrics {
    client: KafkaClient,
    records: Gauge,
    records_limit: Gauge,
    bytes: Gauge,
    bytes_limit: Gauge,
}

/// What the client of the log is called in metrics.
const CLIENT: &str = "events";

impl ProducerMetrics {
    pub(crate) fn new() -> Self {
        let gauge = |metric: Metric| metric.gauge(&[CLIENT]);
        Metric::ProducerRebuilt.counter(&[]).increment(0);
        Self {
            client: KafkaClient::of(CLIENT),
            records: gauge(Metric::KafkaProducerRecords),
            records_limit: gauge(Metric::KafkaProducerRecordsLimit),
            bytes: gauge(Metric::KafkaProducerBytes),
            bytes_limit: gauge(Metric::KafkaProducerBytesLimit),
        }
    }

    fn record(&self, statistics: &ProducerStatistics) {
        let client = &statistics.client;
        self.client.record(&KafkaClientFigures {
            brokers_up: client.brokers_up,
            round_trip_p99_micros: client.round_trip_p99_micros,
            outgoing_requests: client.outgoing_requests,
            in_flight_requests: client.in_flight_requests,
            request_errors: client.request_errors,
            request_retries: client.request_retries,
            request_timeouts: client.request_timeouts,
            bytes_sent: client.bytes_sent,
            bytes_received: client.bytes_received,
        });
        self.records.set(statistics.queued_records as f64);
        self.records_limit.set(statistics.limit_records as f64);
        self.bytes.set(statistics.queued_bytes as f64);
        self.bytes_limit.set(statistics.limit_bytes as f64);
    }
}

/// The producer says something of itself.
pub(crate) fn producer(occurrence: &Occurrence, metrics: &ProducerMetrics) {
    match occurrence {
        Occurrence::Available => tracing::info!("the brokers take records"),
        Occurrence::Unavailable(reason) => {
            tracing::warn!(%reason, "records are refused until the brokers answer");
        }
        Occurrence::Replaced { code, reason } => {
            Metric::ProducerRebuilt.counter(&[]).increment(1);
            tracing::error!(kafka.error = %code, reason, "the producer was replaced");
        }
        Occurrence::Statistics(statistics) => metrics.record(statistics),
    }
}

/// The doctor found something.
pub(crate) fn finding(finding: &Finding, is_definite: bool) {
    let kind = finding.kind.as_str();
    if is_definite {
        tracing::error!(finding = kind, detail = %finding, "the cluster is not as it must be");
    } else {
        tracing::warn!(finding = kind, detail = %finding, "the cluster is not as it should be");
    }
}
