//! The command API: takes what happened and answers once it is in the log.
//!
//! A slice is a file named for its noun, such as [`device`]; the rest of this crate is what every
//! slice needs: the [`log`], what was [deployed](deployment), the caller's [key](idempotency_key),
//! [expectation](expected_version) and [preferences](prefer), [mails](mail), [passwords](password).

mod config;
mod deciding;
pub mod decision;
pub mod deployment;
pub mod device;
mod drain;
pub mod expected_version;
mod fields;
pub mod idempotency_key;
pub mod log;
pub mod mail;
mod occurrence;
pub mod password;
mod percent_encoding;
pub mod prefer;
mod probes;
pub mod tool;
pub mod user;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::{AccessConfig, Verifier};
use api_description::Description;
use kafka_io::producer::{Occurrence, Producer, StartProducerError};
use lifecycle::{Component, Health, HealthPaths, Heartbeat, Process, Server};
use settings::Settings;
use telemetry::Metric;
use tokio::task::JoinSet;

pub use config::Config;

use deciding::Publishing;
use decision::status;
use deployment::{Known, Learning};
use device::Reporting;
use drain::{DrainTimes, answer_and_settle};
use password::PasswordHasher;

/// The longest time between two rounds of [`watch`].
const WATCH_DEADLINE: Duration = Duration::from_secs(15);

/// What the command API serves, under the paths by which the front door reaches it.
pub fn description() -> Description {
    let health = HealthPaths {
        live: ("/command-api/health", "commandApiLives"),
        ready: ("/command-api/health/ready", "commandApiIsReady"),
    };
    device::description()
        .merge(user::description())
        .merge(status::description())
        .merge(health.description())
}

/// A running command API.
pub struct App {
    server: Server,
    health: Health,
    producer: Arc<Producer>,
    publishing: Publishing,
    /// Ended when dropped.
    background: JoinSet<()>,
    drain: DrainTimes,
}

/// Why the command API did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; choose another with MILLRACE_COMMAND_API_BIND")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The producer does not take its settings.
    #[error("the log cannot be written")]
    Producer(#[source] StartProducerError),
}

impl Process for App {
    const NAME: &'static str = "command-api";
    const ABOUT: &'static str = "Takes what happened and answers once it is in the log.";
    const BIND: &'static settings::Setting = &settings::table::COMMAND_API_BIND;

    type Config = Config;
    type StartError = StartError;

    fn config(settings: &mut Settings) -> Config {
        Config::from_settings(settings)
    }

    async fn start(config: Config) -> Result<Self, StartError> {
        let health = Health::new();
        let mut background = JoinSet::new();
        probes::spawn(&config, &health, &mut background);
        let producer = Arc::new(start_producer(&config, &health)?);
        let known = Known::default();
        let learning = Learning {
            database: config.database.clone(),
            kafka: config.producer.kafka.clone(),
            prefix: config.prefix.clone(),
            batch_bytes: config.producer.batch_bytes,
            largest_record_bytes: config.largest_record_bytes(),
        };
        let component = health.component("deployment");
        background.spawn(deployment::learn(learning, known.clone(), component));
        let verifier = Arc::new(Verifier::new(&config.access));
        let keys = health.component("access keys");
        background.spawn(refresh_keys(Arc::clone(&verifier), config.access.clone(), keys));
        let heartbeat = health.heartbeat("gauges", WATCH_DEADLINE);
        background.spawn(watch(Arc::clone(&producer), heartbeat));
        let settle = config.settle_time();
        let (commands, publishing) = deciding::start(&config, &producer, &known, &mut background);
        let statuses = status::routes(commands.clone());
        let users = user::Deciding {
            commands,
            verifier: Arc::clone(&verifier),
            passwords: PasswordHasher::new(config.passwords),
            body: config.http.body_limits(),
        };
        let reporting = Reporting {
            verifier,
            token_key: config.token_key,
            limits: config.report,
            body: config.http.body_limits(),
            known,
            log: Arc::clone(&producer),
        };
        let drain = DrainTimes { budget: config.drain_timeout, settle };
        let address = config.http.bind;
        let routes = device::routes(reporting).merge(user::routes(users)).merge(statuses);
        let server = Server::start(routes, config.http, health.clone())
            .await
            .map_err(|source| StartError::Listen { address, source })?;
        Ok(Self { server, health, producer, publishing, background, drain })
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    async fn stopped(&self) {
        self.health.died().await;
    }

    /// Answers what is in flight and waits for what is still queued, together within the budget.
    async fn stop(self) -> bool {
        let Self { server, health, producer, publishing, mut background, drain } = self;
        health.drain();
        // The relay before the producer: what it has sent is acknowledged, and nothing new is.
        let settle = async |left: Duration| {
            let until = Instant::now() + left;
            publishing.stop(left).await;
            producer.drain(until.saturating_duration_since(Instant::now())).await.unsettled
        };
        let (drained, unsettled) =
            answer_and_settle(drain, server.stop(drain.budget), settle).await;
        if unsettled > 0 {
            tracing::warn!(unsettled, "events whose outcome stays unknown");
        }
        background.shutdown().await;
        drained.is_clean() && unsettled == 0
    }
}

fn start_producer(config: &Config, health: &Health) -> Result<Producer, StartError> {
    let component = health.component("kafka");
    let metrics = occurrence::ProducerMetrics::new();
    let observe = move |occurrence| {
        occurrence::producer(&occurrence, &metrics);
        match occurrence {
            Occurrence::Available => component.ready(),
            Occurrence::Unavailable(reason) => component.not_ready(reason.to_string()),
            Occurrence::Replaced { .. } | Occurrence::Statistics(_) => {}
        }
    };
    Producer::start(&config.producer, observe).map_err(StartError::Producer)
}

async fn refresh_keys(verifier: Arc<Verifier>, config: AccessConfig, keys: Component) {
    access::refresh(&verifier, &config, keys).await;
}

/// Tells every second what nobody else tells.
async fn watch(producer: Arc<Producer>, heartbeat: Heartbeat) {
    let in_flight = Metric::CommandApiInFlight.gauge(&[]);
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        every_second.tick().await;
        in_flight.set(producer.facts().waiting as f64);
        heartbeat.beat();
    }
}
