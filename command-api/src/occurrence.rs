//! What happens in this process: each occurrence is counted and logged in one place.

use std::time::Duration;

use kafka_io::doctor::Finding;
use kafka_io::producer::{Occurrence, ProducerStatistics, SendError};
use metrics::{Counter, Gauge, Histogram};
use problem_details::{Problem, ProblemType};
use telemetry::{KafkaClient, KafkaClientFigures, Metric};

use crate::decision::now;

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

/// A command was answered.
pub(crate) fn decided(outcome: &'static str) {
    Metric::DecisionsMade.counter(&[outcome]).increment(1);
}

/// A command was not answered with a decision.
pub(crate) fn not_decided(problem: &Problem) {
    let outcome = match problem.kind() {
        ProblemType::StoreNotCompared | ProblemType::LogAheadOfStore => "closed",
        kind if kind.status().is_client_error() => "refused",
        _ => "failed",
    };
    decided(outcome);
}

/// The relay says something of itself.
pub(crate) fn relay(occurrence: &event_store::relay::Occurrence<'_>) {
    use event_store::compare::Compared;
    use event_store::relay::Occurrence as Of;
    let owner = |is_owner: f64| Metric::RelayOwner.gauge(&[]).set(is_owner);
    match occurrence {
        Of::Owner => {
            owner(1.0);
            tracing::info!("this process publishes decisions");
        }
        Of::NotOwner(error) => {
            owner(0.0);
            Metric::StoreOpen.gauge(&[]).set(0.0);
            Metric::OutboxOldest.gauge(&[]).set(0.0);
            match error {
                Some(error) => {
                    let error = *error as &dyn std::error::Error;
                    tracing::warn!(error, "this process publishes decisions no more");
                }
                None => tracing::info!("this process publishes decisions no more"),
            }
        }
        Of::Published { events } => Metric::RelayPublished.counter(&[]).increment(*events as u64),
        Of::LogAway => Metric::RelayLogAway.counter(&[]).increment(1),
        Of::Oldest(at) => {
            let micros = at.map_or(0, |at| now().micros() - at.micros());
            Metric::OutboxOldest.gauge(&[]).set(micros.max(0) as f64 / 1e6);
        }
        Of::Compared(compared) => {
            let is_open = matches!(compared, Compared::Open | Compared::Before);
            Metric::StoreOpen.gauge(&[]).set(f64::from(is_open));
            let ahead = if let Compared::LogAhead(ahead) = compared { *ahead } else { 0 };
            Metric::StoreAhead.gauge(&[]).set(ahead as f64);
            match compared {
                Compared::LogAhead(ahead) => tracing::error!(
                    records = ahead,
                    "the log holds decisions that the event store does not know; see docs/operations/event-store.md"
                ),
                Compared::TooEarly(left) => {
                    tracing::info!(
                        wait_ms = left.as_millis() as u64,
                        "log and event store are compared later"
                    );
                }
                Compared::Open | Compared::Before => tracing::info!("log and event store agree"),
            }
        }
        Of::NotCompared(error) => {
            let error = *error as &dyn std::error::Error;
            tracing::warn!(error, "log and event store could not be compared");
        }
    }
}

/// What became of an attempt to send a mail, and what was at fault.
pub(crate) fn mail_settled(
    mail: &event_store::beside::DueMail,
    outcome: &Result<&'static str, Duration>,
    fault: Option<&'static str>,
) {
    let label = outcome.unwrap_or("later");
    Metric::MailsSettled.counter(&[label, fault.unwrap_or("none")]).increment(1);
    match fault {
        None => {
            tracing::info!(mail.id = %mail.id, mail.kind, mail.attempts, outcome = label, "mail");
        }
        Some(fault) => tracing::warn!(
            mail.id = %mail.id, mail.kind, mail.attempts, outcome = label, fault, "mail not sent"
        ),
    }
}
