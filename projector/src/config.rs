//! What the projector runs with.

use std::time::Duration;

use event_schema::registry::RegistryConfig;
use kafka_io::config::{KafkaConfig, ProducerConfig};
use kafka_io::consumer::{Capacity, ConsumerConfig};
use kafka_io::topic::{ConsumerGroup, Topic};
use lifecycle::{HttpConfig, Shutdown};
use read_cache::CacheConfig;
use read_models::database::DatabaseConfig;
use settings::{Prefix, Settings, table};

use crate::runner::{BatchLimits, RunnerConfig};

/// What the projector runs with.
#[derive(Clone)]
pub struct Config {
    /// Where it answers for its health and metrics.
    pub http: HttpConfig,
    /// How the projection of device events is run.
    pub resource: RunnerConfig,
    /// How long a stop may take.
    pub drain_timeout: Duration,
}

impl Config {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let prefix = Prefix::from_settings(settings);
        let batch = BatchLimits {
            records: settings.size(&table::PROJECTOR_BATCH_RECORDS),
            bytes: settings.size(&table::PROJECTOR_BATCH_BYTES),
            age: settings.millis(&table::PROJECTOR_BATCH_AGE),
        };
        let transaction_timeout = settings.millis(&table::PROJECTOR_TRANSACTION_TIMEOUT);
        let lock_timeout = settings.millis(&table::PROJECTOR_LOCK_TIMEOUT);
        if lock_timeout >= transaction_timeout {
            settings.fault(format!(
                "{} must be shorter than {}, which includes it",
                table::PROJECTOR_LOCK_TIMEOUT.name,
                table::PROJECTOR_TRANSACTION_TIMEOUT.name
            ));
        }
        let resource = RunnerConfig {
            consumer: consumer(settings, &prefix, batch),
            notices: ProducerConfig::from_settings(settings),
            notices_topic: Topic::EventsDlq.name(&prefix),
            database: DatabaseConfig::from_settings(settings, &prefix),
            registry: RegistryConfig::from_settings(settings),
            cache: CacheConfig::if_on(settings),
            lanes: settings.size(&table::PROJECTOR_LANES),
            batch,
            transaction_timeout,
            lock_timeout,
            processed_lines_per_second: u32::try_from(
                settings.number(&table::PROJECTOR_PROCESSED_LINES),
            )
            .unwrap_or(u32::MAX),
        };
        Self {
            http: HttpConfig::from_settings(settings, &table::PROJECTOR_BIND),
            resource,
            drain_timeout: Shutdown::budget(settings),
        }
    }
}

fn consumer(settings: &mut Settings, prefix: &Prefix, batch: BatchLimits) -> ConsumerConfig {
    let instance = settings.optional_text(&table::INSTANCE);
    ConsumerConfig {
        kafka: KafkaConfig::from_settings(settings),
        group: ConsumerGroup::EventsProcessor.name(prefix),
        is_static_member: instance.is_some(),
        client: instance.unwrap_or_else(|| format!("projector-{}", std::process::id())),
        topic: Topic::EventsInput.name(prefix),
        session_timeout: settings.millis(&table::PROJECTOR_SESSION_TIMEOUT),
        fetch_min_bytes: u32::try_from(settings.number(&table::PROJECTOR_FETCH_MIN_BYTES))
            .unwrap_or(u32::MAX),
        fetch_wait: settings.millis(&table::PROJECTOR_FETCH_WAIT),
        // A batch under way and the next one behind it.
        capacity: Capacity { records: batch.records * 2, bytes: batch.bytes * 2 },
    }
}
