//! Every metric by name: what it counts, in which unit, by which labels.
//!
//! Names end in their unit, counters in `_total`. No key, user, device or tenant is ever a label:
//! the values of a label are few and known.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata};

use crate::security::SENTENCE;

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its rate is what matters.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Spread of durations, in seconds.
    Seconds,
    /// Spread of sizes, as counts of things.
    Sizes,
}

/// What a metric is, for its registration and its documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The name in the exposition.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub help: &'static str,
}

/// What a metric tells: a text that is made of others, where there is one, else the one beside its name.
macro_rules! told {
    ($help:literal) => {
        $help
    };
    ($help:literal $made:expr) => {
        $made
    };
}

macro_rules! metrics {
    ($(
        $id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal $(=> $made:expr)?;
    )*) => {
        /// Every metric of every process.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $(#[doc = $help] $id,)*
        }

        impl Metric {
            /// Every metric, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$id),*];

            /// What the metric is.
            pub const fn describe(self) -> Description {
                match self {
                    $(Self::$id => Description {
                        name: $name,
                        kind: Kind::$kind,
                        labels: &[$($label),*],
                        help: told!($help $($made)?),
                    },)*
                }
            }
        }
    };
}

metrics! {
    // Processes
    BuildInfo = Gauge "millrace_build_info" ["service", "version"] "1, with the version that runs";
    ProcessCpu = Counter "process_cpu_seconds_total" [] "CPU time, user and system";
    ProcessMemory = Gauge "process_resident_memory_bytes" [] "Memory that is resident";
    ProcessThreads = Gauge "process_threads" [] "Threads";
    ProcessOpenFiles = Gauge "process_open_fds" [] "File descriptors that are open";
    ProcessMaxFiles = Gauge "process_max_fds" [] "File descriptors that may be open";
    ProcessStartTime = Gauge "process_start_time_seconds" [] "When the process started, in seconds since 1970";
    ComponentReady = Gauge "process_component_ready" ["component"] "1 while the component is ready, else 0";

    TelemetrySpans = Counter "telemetry_spans_total" ["outcome"] "Spans of recorded traces by outcome: exported, failed, dropped since too many waited";

    // HTTP
    HttpRequestDuration = Seconds "http_server_request_duration_seconds" ["method", "route", "status"]
        "Time from a request's head to its answer";
    HttpConnections = Gauge "http_server_connections" [] "Connections that are open";
    HttpConnectionsRefused = Counter "http_server_connections_refused_total" [] "Connections closed because as many as allowed were open";
    HttpConnectionsCut = Counter "http_server_connections_cut_total" ["reason"] "Connections closed because the client was too slow: head, idle";
    HttpHandlersPanicked = Counter "http_server_handlers_panicked_total" ["route"] "Requests answered 500 because their handler panicked";

    // Quotas of callers
    RateLimitRequests = Counter "rate_limit_requests_total" ["class", "outcome"] "Requests that are counted, by their class: general, auth, facts; and by outcome: admitted, refused";
    RateLimitCharges = Counter "rate_limit_charges_total" ["outcome"] "Calls that charge the shared buckets with what was let through: charged, failed";
    RateLimitAlone = Gauge "rate_limit_alone" [] "1 while each process keeps to its part of every quota, since Redis does not answer or is left out; else 0";

    // Callers
    AccessRefused = Counter "access_refused_total" ["reason"] "Requests answered 401 or 403, or 503 for want of keys or of what was revoked, by reason";
    RevocationsHeld = Gauge "access_revocations_held" [] "Sessions and users of whom access tokens are refused that have not expired, as the process knows them";
    RevocationsAge = Gauge "access_revocations_age_seconds" [] "Time since it was known last which access tokens were revoked, 0 while it is known";
    SecurityEvents = Counter "security_events_total" ["event", "reason"] "What happened to sessions, accounts, passwords, second factors and signing keys, and why" => SENTENCE;

    // Facts on their way into the log
    CommandApiEvents = Counter "command_api_events_total" ["outcome"] "Events by outcome: accepted, rejected, unavailable, unknown";
    CommandApiAppend = Seconds "command_api_append_seconds" [] "Time from enqueueing a record to the broker's acknowledgement";
    CommandApiInFlight = Gauge "command_api_in_flight_records" [] "Records enqueued and not yet acknowledged";
    ProducerRebuilt = Counter "kafka_producer_rebuilt_total" [] "Producers replaced after a fatal error";

    // Decisions on their way into the log
    DecisionsMade = Counter "command_api_decisions_total" ["outcome"] "Decisions by outcome: published, pending (answered before the log had it), at_once (answered without waiting for it), unchanged, repeated (answered as before), put_aside (a registration that waits), refused, closed (the store takes nothing), failed";
    RelayOwner = Gauge "command_api_relay_owner" [] "1 in the process whose relay publishes decisions, else 0";
    RelayPublished = Counter "command_api_relay_published_total" [] "Decided events that the log has acknowledged";
    OutboxOldest = Gauge "command_api_outbox_oldest_seconds" [] "Seconds since the oldest event happened that the log does not have yet, told by the relay's owner; else 0";
    RelayLogAway = Counter "command_api_relay_log_away_total" [] "Rounds in which the log did not take what there was to publish";
    StoreAhead = Gauge "command_api_store_lacks_records" [] "Records of the log that the event store did not know when they were compared last";
    StoreOpen = Gauge "command_api_store_open" [] "1 while the relay's owner has found log and event store to agree, else 0";
    MailsSettled = Counter "command_api_mails_total" ["outcome", "fault"] "Attempts at mails by outcome: sent, notified, later, refused, given-up, not-needed, lapsed, too-many, unknown; and by what was at fault: none, recipient, subject, no-answer, connection, no-starttls, not-taken, no-sign-in, refused, not-smtp, outbox, state";

    // Kafka clients, by what they are for: events (command-api's producer), or a projection's name
    KafkaBrokersUp = Gauge "kafka_client_brokers_up" ["client"] "Brokers that the client is connected to";
    KafkaRoundTrip = Gauge "kafka_client_round_trip_seconds" ["client"] "Round trip to the slowest broker, 99th percentile of the last seconds; a consumer's requests wait for records";
    KafkaOutgoing = Gauge "kafka_client_outgoing_requests" ["client"] "Requests that wait to be sent to brokers";
    KafkaInFlight = Gauge "kafka_client_in_flight_requests" ["client"] "Requests that wait for a broker's answer";
    KafkaRequestFaults = Counter "kafka_client_request_faults_total" ["client", "fault"] "Requests to brokers that went wrong: error in transmission, retry, timeout";
    KafkaBytes = Counter "kafka_client_bytes_total" ["client", "direction"] "Bytes to and from brokers: sent, received";
    KafkaProducerRecords = Gauge "kafka_producer_queue_records" ["client"] "Records in the producer's queues";
    KafkaProducerRecordsLimit = Gauge "kafka_producer_queue_limit_records" ["client"] "Records that the producer's queues take";
    KafkaProducerBytes = Gauge "kafka_producer_queue_bytes" ["client"] "Bytes in the producer's queues";
    KafkaProducerBytesLimit = Gauge "kafka_producer_queue_limit_bytes" ["client"] "Bytes that the producer's queues take";
    KafkaFetchedRecords = Gauge "kafka_consumer_fetch_queue_records" ["client"] "Records that the consumer has fetched and nobody has taken";
    KafkaFetchedBytes = Gauge "kafka_consumer_fetch_queue_bytes" ["client"] "Bytes of records that the consumer has fetched and nobody has taken";

    // Projections
    ProjectionPartitions = Gauge "projection_partitions" ["projection"] "Partitions of the projection's topic, whoever reads them";
    ProjectionLag = Gauge "projection_lag_seconds" ["projection", "partition"] "Age of the oldest record that is not yet applied, 0 when there is none";
    ProjectionLagRecords = Gauge "projection_lag_records" ["projection", "partition"] "Records of the log that are not yet applied";
    ProjectionLogStart = Gauge "projection_log_start_offset" ["projection", "partition"] "First offset that the log still holds; it must not move";
    ProjectionHeadroom = Gauge "projection_retention_headroom_records" ["projection", "partition"] "Records between the start of the log and the position: what may be removed before something unread is lost";
    ProjectionFreshness = Counter "projection_freshness_events_total" ["projection", "within"] "Events by how many seconds after their log time they became visible: 0.1, 1, 10, more";
    ProjectionBrokersReachable = Gauge "projection_brokers_reachable" ["projection"] "1 while the projection reaches a broker, else 0";
    ProjectionDatabaseReachable = Gauge "projection_database_reachable" ["projection"] "1 while Postgres answers the projection, else 0";
    ProjectionApplied = Counter "projection_applied_total" ["projection"] "Events folded; one that was delivered again after a position was set back counts again";
    ProjectionDuplicates = Counter "projection_duplicates_total" ["projection"] "Events that had an effect before, by a client's id or by their version, without another";
    ProjectionAbsorbed = Counter "projection_absorbed_total" ["projection"] "Decided events whose version was folded before, absorbed";
    ProjectionRows = Counter "projection_rows_written_total" ["projection"] "Row versions written";
    ProjectionBatch = Seconds "projection_batch_seconds" ["projection"] "Time of one batch's transaction, retries excluded";
    ProjectionBatchRecords = Sizes "projection_batch_records" ["projection"] "Records in one batch";
    ProjectionFenceLost = Counter "projection_fence_lost_total" ["projection"] "Batches rolled back because the position was not where it was left";
    ProjectionAttemptsFailed = Counter "projection_failed_attempts_total" ["projection", "class"] "Attempts at a batch that failed, by class";
    ProjectionUpkeepFailed = Counter "projection_upkeep_failed_total" ["projection"] "Rounds in which a projection could not look after its tables: months made ahead and dropped";
    ProjectionStopped = Gauge "projection_stopped_partitions" ["projection"] "Partitions that do not move until somebody acts";
    ProjectionRetrying = Gauge "projection_retrying_partitions" ["projection"] "Partitions that try again something that failed for a reason that passes";
    ProjectionRebalances = Counter "projection_rebalances_total" ["projection"] "Assignments of partitions taken or given up";
    ProjectionBraked = Gauge "projection_braked" ["projection"] "1 while the projection has stopped itself, else 0";
    LettersWritten = Counter "projection_letters_total" ["projection", "class"] "Records set aside as letters, by class of the failure";
    LettersTried = Counter "projection_letters_tried_total" ["projection", "outcome"] "Letters tried again, by outcome: applied, superseded, duplicate, failed, parked";
    LetterNoticesPublished = Counter "projection_letter_notices_published_total" ["projection"] "Copies of letters published to events-dlq";
    LettersOpen = Gauge "projection_letters_open" ["projection", "state"] "Letters by state: retrying, parked, blocked; of all partitions, whichever process tells";
    LetterOldest = Gauge "projection_letter_oldest_seconds" ["projection", "state"] "Age of the oldest open letter by state, 0 when there is none";
    LettersOutOfSequence = Gauge "projection_letters_out_of_sequence" ["projection", "code"] "Open letters of decided streams by what is wrong with the order: version-gap, stream-fork; of all partitions, whichever process tells";
    LetterOutOfSequenceOldest = Gauge "projection_letter_out_of_sequence_oldest_seconds" ["projection", "code"] "Age of the oldest of them, 0 when there is none";
    LetterNoticeOldest = Gauge "projection_letter_notices_oldest_seconds" ["projection"] "Age of the oldest copy of a letter that is not on events-dlq, 0 when there is none";
    CacheReachable = Gauge "projection_cache_reachable" ["projection"] "1 while commits are announced to Redis, 0 while they go without it";
    CacheBodies = Counter "projection_cache_bodies_total" ["projection"] "Bodies in the cache that a commit replaced by new ones";
    CacheGenerationsRaised = Counter "projection_cache_generations_raised_total" ["projection"] "Partitions whose bodies count no more since Redis is another one or was emptied";
    CacheRenewalsFailed = Counter "projection_cache_renewals_failed_total" ["projection"] "Rounds in which the trust in the cache was not renewed";
    SchemaCacheMisses = Counter "schema_cache_misses_total" ["outcome"] "Schema ids asked of the registry: found, unknown, unavailable";

    // The database, as projectors are told
    DatabaseBytes = Gauge "database_size_bytes" [] "Size of the database";
    DatabaseConnections = Gauge "database_connections" [] "Sessions of the database server, ours and others'";
    DatabaseConnectionsLimit = Gauge "database_connections_limit" [] "Sessions that the database server allows";

    // Reads
    QueryApiDatabase = Seconds "query_api_database_seconds" ["of"] "Time of a read from Postgres, from its place in the queue to its rows, by what is read";
    QueryApiQueued = Gauge "query_api_queued_reads" ["of"] "Reads that wait for a database connection";
    QueryApiQueuedLimit = Gauge "query_api_queued_reads_limit" ["of"] "Reads that may wait for a database connection";
    QueryApiRefused = Counter "query_api_reads_refused_total" ["of"] "Reads refused because as many waited for a database connection as may";
    QueryApiReads = Counter "query_api_reads_total" ["read_model", "outcome"] "Reads by outcome: found, not_modified, not_found";
    QueryApiCache = Counter "query_api_cache_total" ["read_model", "outcome"] "Reads by what the cache did: hit, miss, stale, bypass, collapsed, off";
    QueryApiCacheReachable = Gauge "query_api_cache_reachable" [] "1 while reads ask Redis, 0 while it does not answer in time";
    QueryApiPages = Counter "query_api_pages_total" ["read_model"] "Pages of rows that were answered";
    QueryApiExports = Counter "query_api_exports_total" ["read_model", "outcome"] "Exports by outcome: complete, abandoned, failed, overdue";
    QueryApiExportedRows = Counter "query_api_exported_rows_total" ["read_model"] "Rows sent by exports";
    QueryApiExportsUnderWay = Gauge "query_api_exports_under_way" [] "Exports that run";
    QueryApiTokenWait = Seconds "query_api_token_wait_seconds" ["projection", "outcome"] "Time a read waited for the position of its token: reached, behind, unavailable";
    QueryApiWaiters = Gauge "query_api_waiting_reads" [] "Reads that wait for a position";
    QueryApiPositionsAge = Gauge "query_api_positions_age_seconds" [] "Time since the positions were last heard of";
}

static METADATA: Metadata<'static> = Metadata::new("telemetry", Level::INFO, None);

impl Metric {
    /// A counter for these values of the labels, in their order; keep it where it is used often.
    pub fn counter(self, values: &[&str]) -> Counter {
        let key = self.key(values);
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    /// A gauge for these values of the labels, in their order; keep it where it is used often.
    pub fn gauge(self, values: &[&str]) -> Gauge {
        let key = self.key(values);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    /// A histogram for these values of the labels, in their order; keep it where it is used often.
    pub fn histogram(self, values: &[&str]) -> Histogram {
        let key = self.key(values);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    fn key(self, values: &[&str]) -> Key {
        let Description { name, labels, .. } = self.describe();
        debug_assert_eq!(labels.len(), values.len(), "values for the labels of {name}");
        let labels: Vec<Label> = labels
            .iter()
            .zip(values)
            .map(|(label, value)| Label::new(*label, (*value).to_owned()))
            .collect();
        Key::from_parts(name, labels)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_metrics_share_a_name() {
        let names: BTreeSet<_> = Metric::ALL.iter().map(|m| m.describe().name).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }

    #[test]
    fn a_name_tells_how_the_metric_moves() {
        for metric in Metric::ALL {
            let Description { name, kind, .. } = metric.describe();
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            assert!(kind != Kind::Seconds || name.ends_with("_seconds"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        }
    }
}
