//! The command API: takes what happened and answers once it is in the log.
//!
//! A slice is a file named for its noun, such as [`device`]; the rest of this crate is what every
//! slice needs: the [`log`], what was [deployed](deployment), the caller's [key](idempotency_key),
//! [expectation](expected_version) and [preferences](prefer), [mails](mail), [passwords](password),
//! [second factors](second_factor), what [holds back](throttle) whoever guesses either, [access tokens](access_token)
//! with their [keys](signing_keys), and [refresh tokens](refresh_token).

pub mod access_token;
mod config;
mod database;
mod deciding;
pub mod decision;
pub mod deployment;
mod derived_key;
pub mod device;
mod drain;
pub mod expected_version;
mod fields;
mod form;
pub mod idempotency_key;
pub mod jwks;
pub mod log;
pub mod mail;
mod occurrence;
pub mod password;
mod percent_encoding;
pub mod prefer;
mod probes;
pub mod refresh_token;
mod sealing;
pub mod second_factor;
pub mod session;
pub mod signing_keys;
pub mod throttle;
pub mod tool;
pub mod user;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::identity::{self, IdentityDatabase};
use access::{AccessConfig, Verifier};
use api_description::Description;
use axum::Router;
use event_store::postgres::Postgres;
use kafka_io::producer::{Occurrence, Producer, StartProducerError};
use lifecycle::http::RateLimits;
use lifecycle::{Component, Health, HealthPaths, Heartbeat, Process, Server};
use read_cache::Buckets;
use read_models::database::identity_schema;
use settings::Settings;
use telemetry::Metric;
use tokio::task::JoinSet;

pub use config::Config;

use access_token::Minter;
use deciding::Publishing;
use decision::{Commands, status};
use deployment::{Known, Learning};
use device::Reporting;
use drain::{DrainTimes, answer_and_settle};
use password::PasswordHasher;
use signing_keys::{KeyTable, SigningKeys};
use throttle::{PostgresFailures, Remembered, Throttle};

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
        .merge(session::description())
        .merge(status::description())
        .merge(jwks::description())
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
        let known = learn(&config, &health, &mut background);
        let (verifier, signing_keys) = identities(&config, &health, &mut background);
        let heartbeat = health.heartbeat("gauges", WATCH_DEADLINE);
        background.spawn(watch(Arc::clone(&producer), heartbeat));
        let limits = rate_limits(&config, &verifier, &mut background);
        let failures = deciding::login_failures(&config);
        let (commands, publishing) =
            deciding::start(&config, &producer, &known, &failures, &mut background);
        let log = Arc::clone(&producer);
        let slices = Slices { commands, verifier, signing_keys, failures, known, log };
        let routes = slices.routes(&config);
        let drain = DrainTimes { budget: config.drain_timeout, settle: config.settle_time() };
        let address = config.http.bind;
        let server = Server::start_limited(routes, config.http, health.clone(), limits)
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

/// What the slices decide, answer and publish with.
struct Slices {
    commands: Commands<Postgres>,
    verifier: Arc<Verifier>,
    signing_keys: SigningKeys,
    failures: PostgresFailures,
    known: Known,
    log: Arc<Producer>,
}

impl Slices {
    /// Their routes.
    fn routes(self, config: &Config) -> Router {
        let Self { commands, verifier, signing_keys, failures, known, log } = self;
        let passwords = PasswordHasher::new(config.passwords);
        let throttle = Throttle::new(Remembered::new(failures));
        let body = config.http.body_limits();
        let sessions = session::Deciding {
            commands: commands.clone(),
            verifier: Arc::clone(&verifier),
            minter: Minter::new(config.access_tokens.clone(), signing_keys.clone()),
            refresh_tokens: config.refresh_tokens.clone(),
            passwords: passwords.clone(),
            second_factors: config.second_factors.clone(),
            throttle: throttle.clone(),
            sessions: config.sessions,
            clock: Arc::new(decision::now),
            body,
            origins: config.http.cors_origins.clone(),
        };
        let users = user::Deciding {
            commands: commands.clone(),
            verifier: Arc::clone(&verifier),
            passwords,
            second_factors: config.second_factors.clone(),
            registrations: config.registrations.clone(),
            throttle,
            mail_link_key: config.mail_link_key.clone(),
            body,
        };
        let (token_key, limits) = (config.token_key.clone(), config.report);
        let reporting = Reporting { verifier, token_key, limits, body, known, log };
        device::routes(reporting)
            .merge(user::routes(users))
            .merge(session::routes(sessions))
            .merge(status::routes(commands))
            .merge(jwks::routes(signing_keys, &config.access_tokens))
    }
}

/// What was deployed, once the database says it.
fn learn(config: &Config, health: &Health, background: &mut JoinSet<()>) -> Known {
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
    known
}

/// What verifies access tokens and the keys that sign them, both kept up to date.
fn identities(
    config: &Config,
    health: &Health,
    background: &mut JoinSet<()>,
) -> (Arc<Verifier>, SigningKeys) {
    let verifier = Arc::new(Verifier::new(&config.access));
    // Before anything is served: `identity::watch` brings them.
    verifier.expect_own_keys();
    let keys = health.component("access keys");
    background.spawn(refresh_keys(Arc::clone(&verifier), config.access.clone(), keys));
    let revocations = health.component("revocations");
    let beats = health.heartbeat("identities", identity::WATCH_DEADLINE);
    let database = identity_database(config);
    background.spawn(watch_identities(database, Arc::clone(&verifier), revocations, beats));
    let signing_keys = SigningKeys::default();
    let keys = health.component("signing keys");
    let (table, hold) = (KeyTable::new(config), config.access_tokens.revocations_hold());
    background.spawn(signing_keys::watch(table, signing_keys.clone(), hold, keys));
    (verifier, signing_keys)
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

/// How much callers may ask for; what they have asked for is shared with the other processes.
fn rate_limits(
    config: &Config,
    verifier: &Arc<Verifier>,
    background: &mut JoinSet<()>,
) -> Option<RateLimits> {
    let limits = config.rate_limits.as_ref()?;
    let identify = access::counted(Arc::clone(verifier));
    let limits = RateLimits::new(limits, &description(), identify, config.redis.is_some());
    if let Some(redis) = &config.redis {
        background.spawn(limits.clone().share(Buckets::start(redis)));
    }
    Some(limits)
}

async fn refresh_keys(verifier: Arc<Verifier>, config: AccessConfig, keys: Component) {
    access::refresh(&verifier, &config, keys).await;
}

fn identity_database(config: &Config) -> IdentityDatabase {
    IdentityDatabase {
        connect: config.database.connect.clone(),
        schema: identity_schema(&config.prefix),
        application_name: "command-api identities",
    }
}

async fn watch_identities(
    database: IdentityDatabase,
    verifier: Arc<Verifier>,
    revocations: Component,
    heartbeat: Heartbeat,
) {
    identity::watch(database, &verifier, revocations, heartbeat).await;
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
