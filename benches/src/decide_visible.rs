//! The time from the moment in which a `PATCH` was due to the end of the `GET` that shows it by its token,
//! at a steady rate that waits for nobody.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::decide_served::{Served, Updates};
use crate::http_load::{Answer, Connection, Load as _};
use crate::report::round;
use crate::services::{start_projector_of, start_query_api, until_level};

/// Measures and prints.
pub(crate) async fn measure(served: &Served<'_>, rate: f64, count: usize) -> Result<()> {
    let world = served.world;
    let (_query_api, query) = start_query_api(world, &[]).await?;
    let _projector = start_projector_of(world, "user")?;
    // The time to visibility is that of a log without a backlog.
    until_level(world).await?;
    let clients = Arc::new(Clients {
        updates: served.updates()?,
        command: served.server,
        query,
        idle: Mutex::default(),
    });
    // The first ones open connections.
    let warming = count / 10;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    for index in 0..warming + count {
        let (due, clients) = (ticks.tick().await, Arc::clone(&clients));
        running.spawn(async move { anyhow::Ok((index, clients.follow(due).await?)) });
    }
    let mut millis = Vec::with_capacity(count);
    while let Some(followed) = running.join_next().await {
        let (index, took) = followed??;
        if index >= warming {
            millis.push(took.as_secs_f64() * 1000.0);
        }
    }
    print(rate, millis);
    Ok(())
}

/// Connections to both APIs, as many as are needed at once.
struct Clients {
    updates: Updates,
    command: SocketAddr,
    query: SocketAddr,
    idle: Mutex<Vec<(Connection, Connection)>>,
}

impl Clients {
    /// An update, until it is seen.
    async fn follow(&self, due: Instant) -> Result<Duration> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut commands, mut reads) = match idle {
            Some(both) => both,
            None => (Connection::open(self.command).await?, Connection::open(self.query).await?),
        };
        let (id, request) = self.updates.next();
        let written = commands.send(&request).await?;
        self.updates.check(&written)?;
        let token = written.header("consistency-token").context("no token came back")?;
        let read = reads.send(&self.updates.read(id, token)).await?;
        ensure!(read.status == 200, "GET answered {}", read.status);
        let took = due.elapsed();
        let (written, read) = (version(&written)?, version(&read)?);
        ensure!(read >= written, "version {read} was read after {written} was written");
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((commands, reads));
        Ok(took)
    }
}

/// The version that an entity tag names: its last number.
fn version(answer: &Answer) -> Result<u64> {
    let tag = answer.header("etag").context("an answer without an ETag")?;
    let digits = tag.trim_matches('"').rsplit('.').next().unwrap_or_default();
    digits.parse().with_context(|| format!("the ETag {tag} names no version"))
}

#[allow(clippy::print_stdout, reason = "a tool for terminals")]
fn print(rate: f64, mut millis: Vec<f64>) {
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| round(millis[((millis.len() - 1) as f64 * share) as usize]);
    println!(
        "{}",
        json!({
            "bench": "decide: PATCH to visible by GET with its token",
            "rate_per_s": rate.round(), "measured": millis.len(),
            "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0),
        })
    );
}
