//! Faults of the real stack, and the alerts that tell of them: each fires while its fault lasts and is
//! over when the fault is. The rules are the real ones with their waits shortened.

mod letters;
mod log;
mod outside;
mod processes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use test_support::{Launch, Prometheus, Proxy, Running, Spine, World, eventually};

use crate::contract::telemetry::dashboards::files;

/// Waits of the rules that would take a test minutes, and what stands for them here. What a rule looks
/// at stays as it is.
const SHORTER: [(&str, &str); 12] = [
    ("for: 1m", "for: 1s"),
    ("for: 2m", "for: 1s"),
    ("for: 5m", "for: 1s"),
    ("for: 15m", "for: 1s"),
    ("for: 30m", "for: 1s"),
    ("[5m]", "[10s]"),
    ("[15m]", "[10s]"),
    ("[30m]", "[10s]"),
    ("interval: 1m", "interval: 1s"),
    ("projection_lag_seconds) > 30", "projection_lag_seconds) > 3"),
    ("oldest_seconds) > 300", "oldest_seconds) > 3"),
    ("[1h]", "[20s]"),
];

/// A Prometheus with the rules of this project, impatient.
async fn prometheus() -> Result<Prometheus> {
    let rules = files("deploy/prometheus/rules", ".yml")?;
    for (wait, _) in SHORTER {
        ensure!(rules.values().any(|text| text.contains(wait)), "no rule waits {wait}");
    }
    let shorter = |text: String| {
        SHORTER.iter().fold(text, |text, (wait, shorter)| text.replace(wait, shorter))
    };
    let rules: BTreeMap<_, _> =
        rules.into_iter().map(|(name, text)| (name, shorter(text))).collect();
    Prometheus::start(&rules).await
}

/// Who of the deployment is scraped, by the names that the rules know.
struct Scraped<'a> {
    command_api: &'a Running,
    query_api: &'a Running,
    projector: &'a Running,
}

impl Scraped<'_> {
    fn targets(&self) -> [(&'static str, SocketAddr); 3] {
        [
            ("command-api", self.command_api.address()),
            ("query-api", self.query_api.address()),
            ("projector", self.projector.address()),
        ]
    }
}

/// Scrapes the three.
async fn scraped(spine: &Spine) -> Result<Prometheus> {
    let prometheus = prometheus().await?;
    let Spine { command_api, query_api, projector, .. } = spine;
    prometheus.scrape(&Scraped { command_api, query_api, projector }.targets()).await?;
    Ok(prometheus)
}

/// That none of these alerts fires, once everything was scraped and each rule was looked at as often as
/// it takes to fire.
async fn must_be_quiet(prometheus: &Prometheus, alerts: &[&str]) -> Result<()> {
    const LOOKS: Duration = Duration::from_secs(4);
    eventually("everything was scraped", async || {
        let answers = prometheus.query("count(up == 1) == count(up)").await?;
        ensure!(answers.first().is_some_and(|all| all.value >= 3.0), "{answers:?}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(LOOKS).await;
    for alert in alerts {
        prometheus.clears(alert).await?;
    }
    Ok(())
}

/// A process that reaches the database through a link.
async fn through(world: &World, launch: Launch, role: &str) -> Result<(Launch, Proxy)> {
    let address = world.stack().database_address()?;
    let proxy = Proxy::start(address).await?;
    let url = world.database_url(role)?.replace(address, &proxy.address().to_string());
    Ok((launch.setting("DATABASE_URL", url), proxy))
}
