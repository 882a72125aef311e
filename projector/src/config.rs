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

use crate::device_history::DeviceHistory;
use crate::resource::Resource;
use crate::runner::{BatchLimits, Projection, RunnerConfig};
use crate::session::Session;
use crate::user::User;

/// What the projector runs with.
#[derive(Clone)]
pub struct Config {
    /// Where it answers for its health and metrics.
    pub http: HttpConfig,
    /// What is run.
    pub projections: Projections,
    /// How long a stop may take.
    pub drain_timeout: Duration,
}

/// The projections of this process, each with how it is run; those that run elsewhere are absent.
#[derive(Clone)]
pub struct Projections {
    /// The latest state of every device.
    pub resource: Option<RunnerConfig>,
    /// Every event of every device.
    pub device_history: Option<RunnerConfig>,
    /// Whole months of history that are kept beside the one that runs; `None` keeps all.
    pub history_months: Option<u16>,
    /// Users.
    pub user: Option<RunnerConfig>,
    /// Sessions.
    pub session: Option<RunnerConfig>,
    /// The deployment's: persons' keys are in a schema of their own.
    pub prefix: Prefix,
}

impl Projections {
    /// Those that this process runs.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let runs = [&self.resource, &self.device_history, &self.user, &self.session];
        let runs = runs.map(Option::is_some);
        NAMES.into_iter().zip(runs).filter_map(|(name, runs)| runs.then_some(name))
    }

    /// How those are run.
    pub fn configs(&self) -> impl Iterator<Item = &RunnerConfig> {
        [&self.resource, &self.device_history, &self.user, &self.session].into_iter().flatten()
    }

    /// The runner of each projection that is named, `named` beginning with a common configuration.
    fn from_settings(settings: &mut Settings, prefix: &Prefix, common: &RunnerConfig) -> Self {
        let text = settings.text(&table::PROJECTOR_PROJECTIONS);
        let named: Vec<&str> = text.split(',').map(str::trim).collect();
        for name in named.iter().filter(|name| !NAMES.contains(name)) {
            settings.fault(format!(
                "{} names {name}, which is none of {}",
                table::PROJECTOR_PROJECTIONS.name,
                NAMES.join(", ")
            ));
        }
        let months = settings.number(&table::HISTORY_MONTHS);
        let run = Run { named: &named, prefix, common };
        Self {
            resource: run.of::<Resource>(ConsumerGroup::EventsProcessor),
            device_history: run.of::<DeviceHistory>(ConsumerGroup::EventsProcessorHistory),
            history_months: u16::try_from(months).ok().filter(|months| *months > 0),
            user: run.of::<User>(ConsumerGroup::ProjectorUser),
            session: run.of::<Session>(ConsumerGroup::ProjectorSession),
            prefix: prefix.clone(),
        }
    }
}

/// How the projections that are named are run.
struct Run<'a> {
    named: &'a [&'a str],
    prefix: &'a Prefix,
    common: &'a RunnerConfig,
}

impl Run<'_> {
    /// One of them, in a group of its own: of two in one group each would get half of the partitions.
    fn of<P: Projection>(&self, group: ConsumerGroup) -> Option<RunnerConfig> {
        self.named.contains(&P::NAME).then(|| {
            let mut config = self.common.clone();
            config.consumer.group = group.name(self.prefix);
            config.consumer.topic = P::TOPIC.name(self.prefix);
            config
        })
    }
}

/// Every projection.
const NAMES: [&str; 4] = [Resource::NAME, DeviceHistory::NAME, User::NAME, Session::NAME];

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
        let common = RunnerConfig {
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
            projections: Projections::from_settings(settings, &prefix, &common),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(named: Option<&str>, months: &str) -> Result<Projections, Vec<String>> {
        let fixed =
            [("DATABASE_URL", "postgres://p:p@127.0.0.1/d"), ("MILLRACE_HISTORY_MONTHS", months)];
        let named = named.map(|named| ("MILLRACE_PROJECTOR_PROJECTIONS", named));
        let pairs = fixed.into_iter().chain(named);
        let mut settings = Settings::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let config = Config::from_settings(&mut settings);
        settings.finish(config.projections).map_err(|error| error.0)
    }

    #[test]
    fn every_projection_runs_in_a_group_of_its_own_unless_some_are_named() {
        let all = read(None, "13").unwrap();
        let reads: Vec<_> = all.configs().map(|config| &config.consumer).collect();
        let reads = reads.iter().map(|reads| (reads.group.as_str(), reads.topic.as_str()));
        assert_eq!(
            reads.collect::<Vec<_>>(),
            [
                ("events-processor", "events-input"),
                ("events-processor.history", "events-input"),
                ("projector.user", "identity.user"),
                ("projector.session", "identity.session"),
            ]
        );
        assert_eq!(all.names().collect::<Vec<_>>(), NAMES);
        let one = read(Some("device_history"), "13").unwrap();
        assert_eq!(one.names().collect::<Vec<_>>(), ["device_history"]);
    }

    #[test]
    fn months_of_history_may_be_kept_for_ever() {
        assert_eq!(read(None, "13").unwrap().history_months, Some(13));
        assert_eq!(read(None, "0").unwrap().history_months, None);
    }

    #[test]
    fn a_projection_that_is_none_is_named() {
        let faults = read(Some("resource, history"), "13").map(drop).unwrap_err();
        assert_eq!(
            faults,
            [
                "MILLRACE_PROJECTOR_PROJECTIONS names history, which is none of resource, device_history, user, session"
            ]
        );
    }
}
