//! The projector: folds the log into the read models.
//!
//! A slice is a file named for its read model, which implements [`runner::Projection`]; the
//! [`runner`] does everything else.

pub mod cache;
mod config;
pub mod decided;
mod device;
pub mod device_history;
mod health;
pub mod letters;
mod probes;
pub mod resource;
pub mod runner;
pub mod session;
pub mod user;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use futures_util::future::join_all;
use lifecycle::{Component, Health, HttpConfig, Process, Server};
use settings::Settings;
use tokio::task::JoinHandle;

pub use config::{Config, Projections};

use device_history::DeviceHistory;
use resource::Resource;
use runner::Runner;
use session::Session;
use user::User;

/// A running projector.
pub struct App {
    server: Server,
    health: Health,
    runners: Vec<Runner>,
    watches: Vec<JoinHandle<()>>,
    drain_timeout: Duration,
}

/// Why the projector did not start.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}")]
pub struct StartError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl Process for App {
    const NAME: &'static str = "projector";
    const ABOUT: &'static str = "Folds the log into the read models.";
    const BIND: &'static settings::Setting = &settings::table::PROJECTOR_BIND;

    type Config = Config;
    type StartError = StartError;

    fn config(settings: &mut Settings) -> Config {
        Config::from_settings(settings)
    }

    async fn start(config: Config) -> Result<Self, StartError> {
        let Config { http, projections, drain_timeout } = config;
        event_schema::limit_allocations();
        let health = Health::new();
        // Before anybody can ask whether they are ready.
        let component = |name| health.component(format!("projection {name}"));
        let components: Vec<_> = projections.names().map(component).collect();
        let server = listen(http, &health).await?;
        if let Some(config) = projections.configs().next() {
            probes::spawn(config, &health);
        }
        let runners = start_all(projections);
        let watch = |(runner, component): (&Runner, Component)| {
            tokio::spawn(health::watch(runner.progress().clone(), component))
        };
        let watches = runners.iter().zip(components).map(watch).collect();
        Ok(Self { server, health, runners, watches, drain_timeout })
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    async fn stopped(&self) {
        self.health.died().await;
    }

    async fn stop(self) -> bool {
        self.health.drain();
        join_all(self.runners.into_iter().map(Runner::stop)).await;
        for watch in self.watches {
            watch.abort();
        }
        self.server.stop(self.drain_timeout).await.is_clean()
    }
}

/// In the order of their names. They share nothing but the process: each has its consumer, its
/// connections, its health.
fn start_all(projections: Projections) -> Vec<Runner> {
    let Projections { resource, device_history, history_months, user, session, prefix } =
        projections;
    let resource = resource.map(|config| Runner::start(config, Resource));
    let history = DeviceHistory::keeping(history_months);
    let device_history = device_history.map(|config| Runner::start(config, history));
    let user = user.map(|config| Runner::start(config, User::of(&prefix)));
    let session = session.map(|config| Runner::start(config, Session));
    resource.into_iter().chain(device_history).chain(user).chain(session).collect()
}

async fn listen(http: HttpConfig, health: &Health) -> Result<Server, StartError> {
    let address = http.bind;
    Server::start(Router::new(), http, health.clone())
        .await
        .map_err(|source| StartError { address, source })
}
