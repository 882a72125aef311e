//! Serving HTTP/1.1 under limits of time and number.
//!
//! The accept loop is our own, because a connection needs three clocks (head, body, idle), a cap on
//! how many there are, and an end within a budget.

mod accept;
mod activity;
mod config;
mod connection;
mod refusal;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use telemetry::Metric;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::option_layer;

use crate::health::{self, Health};
use crate::http::answer::AnswerLayer;
use crate::http::quota::QuotaLayer;
use crate::http::{RateLimits, cross_origin};

pub use config::HttpConfig;

/// A server that accepts connections until it is stopped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    health: Health,
    /// Asks connections to end after the request they are in.
    drain: CancellationToken,
    /// Ends connections at once.
    abort: CancellationToken,
    tasks: TaskTracker,
    accept: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they outlasted the budget.
    pub cut: usize,
}

impl Drained {
    /// Whether every request was answered.
    pub fn is_clean(self) -> bool {
        self.cut == 0
    }
}

impl Server {
    /// Binds and begins to serve `routes`, and with them `/health`, `/health/live`,
    /// `/health/ready`, `/metrics` and problem documents for what is not found.
    ///
    /// Every request gets an id, a trace and a time limit; a handler that panics is answered 500.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn start(routes: Router, config: HttpConfig, health: Health) -> io::Result<Self> {
        Self::start_limited(routes, config, health, None).await
    }

    /// The same, with quotas for whoever asks for anything but health and metrics.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_limited(
        routes: Router,
        config: HttpConfig,
        health: Health,
        quotas: Option<RateLimits>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(config.bind).await?;
        let address = listener.local_addr()?;
        let router = with_limits(with_operations(routes, &health), &config, quotas);
        let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
        Metric::HttpConnectionsRefused.counter(&[]).increment(0);
        let tasks = TaskTracker::new();
        let shared = accept::Shared {
            router,
            config: Arc::new(config),
            drain: drain.clone(),
            abort: abort.clone(),
            tasks: tasks.clone(),
        };
        let accept = tokio::spawn(accept::accept_until_drained(listener, shared));
        let upkeep = tokio::spawn(upkeep());
        Ok(Self { address, health, drain, abort, tasks, accept, upkeep })
    }

    /// Where it listens: the port that was taken where the configuration says 0.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests under way be answered within the budget, then cuts the rest.
    pub async fn stop(self, budget: Duration) -> Drained {
        self.health.drain();
        self.drain.cancel();
        // It ends by the token; a panic in it would only mean that it ended sooner.
        let _ = self.accept.await;
        self.tasks.close();
        let cut = match tokio::time::timeout(budget, self.tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => self.tasks.len(),
        };
        self.abort.cancel();
        self.tasks.wait().await;
        self.upkeep.abort();
        Drained { cut }
    }
}

fn with_operations(routes: Router, health: &Health) -> Router {
    let metrics = telemetry::metrics();
    let scrape = get(move || async move {
        let text_format = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
        (text_format, metrics.render())
    });
    routes.merge(health::routes(health)).route("/metrics", scrape)
}

fn with_limits(router: Router, config: &HttpConfig, quotas: Option<RateLimits>) -> Router {
    let router = router
        .fallback(problem_details::not_found)
        .method_not_allowed_fallback(problem_details::method_not_allowed);
    // Quotas are within what pages of other origins may read, so that they are told why they are refused.
    let cors = option_layer(cross_origin::layer(&config.cors_origins));
    router.layer((AnswerLayer::of(config), cors, QuotaLayer(quotas)))
}

/// Histograms are folded regularly, so that a process that nobody scrapes does not grow.
async fn upkeep() {
    let metrics = telemetry::metrics();
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        metrics.upkeep();
    }
}

#[cfg(test)]
mod tests;
