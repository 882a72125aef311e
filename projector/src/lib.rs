//! The projector: folds the log into the read models.
//!
//! A slice is a file named for its read model, which implements [`runner::Projection`]; the
//! [`runner`] does everything else.

pub mod cache;
mod config;
mod device;
mod health;
pub mod letters;
mod probes;
pub mod resource;
pub mod runner;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use lifecycle::{Health, HttpConfig, Process, Server};
use settings::Settings;
use tokio::task::JoinHandle;

pub use config::Config;

use resource::Resource;
use runner::Runner;

/// A running projector.
pub struct App {
    server: Server,
    health: Health,
    resource: Runner,
    watch: JoinHandle<()>,
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
        let Config { http, resource, drain_timeout } = config;
        event_schema::limit_allocations();
        let health = Health::new();
        let component = health.component("projection resource");
        let server = listen(http, &health).await?;
        probes::spawn(&resource, &health);
        let resource = Runner::start(resource, Resource);
        let watch = tokio::spawn(health::watch(resource.progress().clone(), component));
        Ok(Self { server, health, resource, watch, drain_timeout })
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    async fn stopped(&self) {
        self.health.died().await;
    }

    async fn stop(self) -> bool {
        self.health.drain();
        self.resource.stop().await;
        self.watch.abort();
        self.server.stop(self.drain_timeout).await.is_clean()
    }
}

async fn listen(http: HttpConfig, health: &Health) -> Result<Server, StartError> {
    let address = http.bind;
    Server::start(Router::new(), http, health.clone())
        .await
        .map_err(|source| StartError { address, source })
}
