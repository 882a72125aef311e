//! What happens in a runner, each with its log line and its metric.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_schema::registry::FetchError;
use kafka_io::statistics::{ClientStatistics, ConsumerStatistics};
use metrics::Gauge;
use parking_lot::Mutex;
use read_models::recorded::Recorded;
use telemetry::{KafkaClient, KafkaClientFigures, Metric, TraceParent};

use super::Event;
use super::batch::Folded;
use super::failure::Failure;
use super::positions::Scope;

/// Begins the series of what happens seldom, so that the first time is a rise.
pub(super) fn begin(projection: &str) {
    for counter in [
        Metric::ProjectionFenceLost,
        Metric::ProjectionUpkeepFailed,
        Metric::ProjectionAbsorbed,
        Metric::ProjectionRebalances,
        Metric::LetterNoticesPublished,
        Metric::CacheGenerationsRaised,
        Metric::CacheRenewalsFailed,
    ] {
        counter.counter(&[projection]).increment(0);
    }
    for outcome in ["found", "unknown", "unavailable"] {
        Metric::SchemaCacheMisses.counter(&[outcome]).increment(0);
    }
    Metric::ProjectionBraked.gauge(&[projection]).set(0.0);
}

/// Whether Postgres answers.
pub(super) fn database_reachable(projection: &str, is_reachable: bool) {
    let gauge = Metric::ProjectionDatabaseReachable.gauge(&[projection]);
    gauge.set(f64::from(u8::from(is_reachable)));
}

/// What the consumer tells of itself every second.
pub(super) struct ConsumerMetrics {
    client: KafkaClient,
    fetched_records: Gauge,
    fetched_bytes: Gauge,
}

impl ConsumerMetrics {
    pub(super) fn of(projection: &str) -> Self {
        Self {
            client: KafkaClient::of(projection),
            fetched_records: Metric::KafkaFetchedRecords.gauge(&[projection]),
            fetched_bytes: Metric::KafkaFetchedBytes.gauge(&[projection]),
        }
    }

    pub(super) fn record(&self, statistics: &ConsumerStatistics) {
        self.client.record(&figures(&statistics.client));
        self.fetched_records.set(statistics.fetched_records as f64);
        self.fetched_bytes.set(statistics.fetched_bytes as f64);
    }
}

fn figures(statistics: &ClientStatistics) -> KafkaClientFigures {
    KafkaClientFigures {
        brokers_up: statistics.brokers_up,
        round_trip_p99_micros: statistics.round_trip_p99_micros,
        outgoing_requests: statistics.outgoing_requests,
        in_flight_requests: statistics.in_flight_requests,
        request_errors: statistics.request_errors,
        request_retries: statistics.request_retries,
        request_timeouts: statistics.request_timeouts,
        bytes_sent: statistics.bytes_sent,
        bytes_received: statistics.bytes_received,
    }
}

/// A batch was committed.
pub(super) struct BatchFolded<'a> {
    pub(super) scope: &'a Scope,
    pub(super) folded: Folded,
    pub(super) took: Duration,
}

impl BatchFolded<'_> {
    pub(super) fn emit(self) {
        let Folded { events, duplicates, absorbed, rows, letters, .. } = self.folded;
        let letters = letters.len();
        if absorbed > 0 {
            DuplicatesAbsorbed { scope: self.scope, events: absorbed }.emit();
        }
        let labels = [self.scope.projection];
        Metric::ProjectionApplied.counter(&labels).increment(events as u64);
        Metric::ProjectionDuplicates.counter(&labels).increment(duplicates as u64);
        Metric::ProjectionRows.counter(&labels).increment(rows);
        Metric::ProjectionBatch.histogram(&labels).record(self.took.as_secs_f64());
        Metric::ProjectionBatchRecords
            .histogram(&labels)
            .record((events + duplicates + letters) as f64);
        tracing::debug!(
            projection = self.scope.projection,
            events,
            duplicates,
            rows,
            letters,
            took_ms = self.took.as_secs_f64() * 1000.0,
            "batch folded"
        );
    }
}

/// Decided events came again and changed nothing.
pub(super) struct DuplicatesAbsorbed<'a> {
    pub(super) scope: &'a Scope,
    pub(super) events: usize,
}

impl DuplicatesAbsorbed<'_> {
    pub(super) fn emit(self) {
        Metric::ProjectionAbsorbed.counter(&[self.scope.projection]).increment(self.events as u64);
        tracing::info!(
            projection = self.scope.projection,
            kafka.topic = self.scope.topic,
            events = self.events,
            "events that were folded before came again and were absorbed"
        );
    }
}

/// A position was not where it was left; the batch was rolled back.
pub(super) struct FenceLost<'a> {
    pub(super) scope: &'a Scope,
    pub(super) partition: i32,
    pub(super) position: i64,
}

impl FenceLost<'_> {
    pub(super) fn emit(self) {
        Metric::ProjectionFenceLost.counter(&[self.scope.projection]).increment(1);
        tracing::warn!(
            projection = self.scope.projection,
            kafka.topic = self.scope.topic,
            kafka.partition = self.partition,
            position = self.position,
            "the position was moved by somebody else; the batch was rolled back"
        );
    }
}

/// An attempt at a batch failed.
pub(super) struct AttemptFailed<'a> {
    pub(super) scope: &'a Scope,
    pub(super) failure: &'a Failure,
}

impl AttemptFailed<'_> {
    pub(super) fn emit(self) {
        let labels = [self.scope.projection, self.failure.class.label()];
        Metric::ProjectionAttemptsFailed.counter(&labels).increment(1);
        tracing::warn!(
            projection = self.scope.projection,
            error.class = self.failure.class.label(),
            error.code = self.failure.code,
            "{}",
            self.failure.message
        );
    }
}

/// The projection could not look after its tables.
pub(super) struct UpkeepFailed<'a> {
    pub(super) projection: &'static str,
    pub(super) failure: &'a Failure,
}

impl UpkeepFailed<'_> {
    pub(super) fn emit(self) {
        Metric::ProjectionUpkeepFailed.counter(&[self.projection]).increment(1);
        tracing::warn!(
            projection = self.projection,
            error.class = self.failure.class.label(),
            error.code = self.failure.code,
            "tables are looked after later: {}",
            self.failure.message
        );
    }
}

/// A partition stands still until somebody acts.
pub(super) struct PartitionHalted<'a> {
    pub(super) scope: &'a Scope,
    pub(super) partition: i32,
    pub(super) kind: &'a str,
    pub(super) reason: &'a str,
    pub(super) offset: Option<i64>,
}

impl PartitionHalted<'_> {
    pub(super) fn emit(self) {
        tracing::error!(
            projection = self.scope.projection,
            kafka.topic = self.scope.topic,
            kafka.partition = self.partition,
            kafka.offset = self.offset,
            error.code = self.kind,
            "the partition is halted: {}",
            self.reason
        );
    }
}

/// The registry was asked what a schema id means.
pub(super) struct SchemaAsked<'a> {
    pub(super) schema_id: u32,
    pub(super) learnt: &'a Result<(), FetchError>,
}

impl SchemaAsked<'_> {
    pub(super) fn emit(self) {
        let outcome = match self.learnt {
            Ok(()) => "found",
            Err(FetchError::UnknownId(_)) => "unknown",
            Err(error @ FetchError::Unavailable { .. }) => {
                tracing::warn!(schema.id = self.schema_id, %error, "the schema registry is asked again");
                "unavailable"
            }
        };
        Metric::SchemaCacheMisses.counter(&[outcome]).increment(1);
    }
}

/// Partitions were taken or given up.
pub(super) struct MembershipChanged<'a> {
    pub(super) projection: &'static str,
    pub(super) change: &'static str,
    pub(super) partitions: &'a [i32],
}

impl MembershipChanged<'_> {
    pub(super) fn emit(self) {
        Metric::ProjectionRebalances.counter(&[self.projection]).increment(1);
        tracing::info!(
            projection = self.projection,
            partitions = ?self.partitions,
            "partitions {}",
            self.change
        );
    }
}

/// What records of a batch are part of, by partition and offset; empty where nothing is traced.
pub(super) type Origins = BTreeMap<(i32, i64), TraceParent>;

/// The line `processed message`, one for each event up to a rate, then none until the next second.
#[derive(Debug)]
pub(super) struct ProcessedLog {
    per_second: u32,
    window: Mutex<(Instant, u32)>,
    unsaid: AtomicU64,
}

impl ProcessedLog {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, window: Mutex::new((Instant::now(), 0)), unsaid: AtomicU64::new(0) }
    }

    /// Writes lines for the events, of which there are `count`.
    pub(super) fn log<'a, E: Event>(
        &self,
        scope: &Scope,
        events: impl Iterator<Item = &'a Recorded<E>>,
        count: usize,
        origins: &Origins,
    ) {
        for record in events.take(self.grant(Instant::now(), count)) {
            let origin = origins.get(&(record.partition, record.position.offset));
            tracing::info!(
                trace_id = origin.map(|origin| display(format!("{:032x}", origin.trace_id))),
                projection = scope.projection,
                device.id = record.event.stream_id(),
                event.id = %record.event.event_id(),
                kafka.topic = scope.topic,
                kafka.partition = record.partition,
                kafka.offset = record.position.offset,
                "Processed message"
            );
        }
    }

    /// How many of `wanted` lines may be written now. What a full second left unsaid is said at the
    /// beginning of a later one.
    fn grant(&self, now: Instant, wanted: usize) -> usize {
        let mut window = self.window.lock();
        if now.duration_since(window.0) >= Duration::from_secs(1) {
            *window = (now, 0);
            let unsaid = self.unsaid.swap(0, Ordering::Relaxed);
            if unsaid > 0 {
                tracing::info!(
                    events = unsaid,
                    "processed more messages than are logged one by one"
                );
            }
        }
        let granted = wanted.min(self.per_second.saturating_sub(window.1) as usize);
        window.1 += granted as u32;
        self.unsaid.fetch_add((wanted - granted) as u64, Ordering::Relaxed);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_granted_up_to_the_rate_and_again_in_the_next_second() {
        let log = ProcessedLog::new(3);
        let now = Instant::now();
        assert_eq!(log.grant(now, 2), 2);
        assert_eq!(log.grant(now, 5), 1);
        assert_eq!(log.grant(now, 5), 0);
        assert_eq!(log.grant(now + Duration::from_secs(1), 5), 3);
    }
}
