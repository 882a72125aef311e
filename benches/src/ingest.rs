//! `ingest`: POST to acknowledged log, against a bare axum and rdkafka handler; and the time from a
//! POST until a GET with its token shows it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use xtask::dev_token::mint_of_session;

use crate::child::Process;
use crate::cpu;
use crate::http_load::{self, Connection, Posts};
use crate::report::{Measured, compare, median, round};
use crate::services::{
    free_address, start_command_api, start_projector, start_query_api, until_level, until_listening,
};
use crate::world::World;

/// What is posted, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Ingest {
    /// Requests of one run.
    #[arg(long, default_value_t = 200_000)]
    requests: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Runs of each side, in turns; the median is reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Requests whose time to visibility is measured.
    #[arg(long, default_value_t = 5000)]
    visible: u64,
}

/// Runs the benchmark and prints its lines.
pub(crate) async fn run(directory: &Path, ingest: &Ingest) -> Result<()> {
    let world = World::start(directory, "ingest").await?;
    // The bare handler's records are no events: they go into a log of their own.
    let bare = World::start(directory, "bare").await?;
    let outcome = all(&world, &bare, ingest).await;
    bare.end().await?;
    world.end().await?;
    outcome
}

async fn all(world: &World, bare_world: &World, ingest: &Ingest) -> Result<()> {
    let (mut subject, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ingest.runs {
        bare.push(flood_bare(bare_world, ingest).await?);
        subject.push(flood(world, ingest).await?);
    }
    let (Some(bare), Some(subject)) = (median(bare), median(subject)) else {
        bail!("no run was asked for");
    };
    compare("ingest", &subject, &bare);
    visible(world, ingest, subject.rate() / 10.0).await
}

async fn flood(world: &World, ingest: &Ingest) -> Result<Measured> {
    let (process, server) = start_command_api(world).await?;
    measure(world, ingest, &process, server, "command-api: JWT, Avro, acknowledged").await
}

async fn flood_bare(world: &World, ingest: &Ingest) -> Result<Measured> {
    let server = free_address()?;
    let arguments =
        ["bare-handler", "--brokers", &world.brokers, "--topic", &world.topic, "--bind"]
            .map(str::to_owned)
            .into_iter()
            .chain([server.to_string()])
            .collect::<Vec<_>>();
    let process = Process::start("benches", &[], &arguments)?;
    until_listening(server).await?;
    measure(world, ingest, &process, server, "bare axum and rdkafka handler, acknowledged").await
}

async fn measure(
    world: &World,
    ingest: &Ingest,
    process: &Process,
    server: SocketAddr,
    name: &str,
) -> Result<Measured> {
    // Any other would not be looked for among what was revoked.
    let posts = Arc::new(Posts { token: mint_of_session()? });
    // Connections, threads and broker metadata are not what is compared.
    http_load::flood(server, &posts, ingest.connections, ingest.requests / 10).await?;
    let broker = world.pid("kafka")?;
    let before = (process.cpu(), cpu::of_tree(broker));
    let wall = http_load::flood(server, &posts, ingest.connections, ingest.requests).await?;
    Ok(Measured {
        name: format!("{name}, {} connections", ingest.connections),
        units: ingest.requests,
        wall,
        cpu: vec![
            ("server", process.cpu() - before.0),
            ("broker", cpu::of_tree(broker) - before.1),
        ],
        rows: None,
    })
}

/// The time from the start of a POST to the end of the GET that shows it, at a steady rate.
async fn visible(world: &World, ingest: &Ingest, rate: f64) -> Result<()> {
    let (_command_api, command) = start_command_api(world).await?;
    let (_query_api, query) = start_query_api(world, &[]).await?;
    let _projector = start_projector(world)?;
    // The time to visibility is that of a log without a backlog.
    until_level(world).await?;
    let token = mint_of_session()?;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    // Every hundredth POST is followed to its GET; the others are the load that it meets.
    let load = (ingest.visible / 20).max(1);
    let mut measured = Vec::new();
    let (mut posts, mut reads) = (Connection::open(command).await?, Connection::open(query).await?);
    let background = tokio::spawn(steady(command, token.clone(), rate));
    for index in 0..load {
        ticks.tick().await;
        let began = Instant::now();
        let answer = posts.send(&http_load::post(&token, 20_000 + index, index)).await?;
        ensure!(answer.status == 202, "POST answered {}", answer.status);
        let consistency = answer.header("consistency-token").context("no token came back")?;
        let get = format!(
            "GET /api/v1/resources/device-{:06} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nConsistency-Token: {consistency}\r\nPrefer: wait=5\r\n\r\n",
            20_000 + index
        );
        let answer = reads.send(get.as_bytes()).await?;
        ensure!(answer.status == 200, "GET answered {}", answer.status);
        measured.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    background.abort();
    print_visible(rate, measured);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "a tool for terminals")]
fn print_visible(rate: f64, mut millis: Vec<f64>) {
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| round(millis[((millis.len() - 1) as f64 * share) as usize]);
    println!(
        "{}",
        json!({
            "bench": "ingest: POST to visible by GET with its token",
            "rate_per_s": rate.round(), "measured": millis.len(),
            "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0),
        })
    );
}

/// Posts at a steady rate over several connections until it is aborted.
async fn steady(server: SocketAddr, token: String, rate: f64) -> Result<()> {
    const CONNECTIONS: u64 = 16;
    let clients = (0..CONNECTIONS).map(|client| {
        let token = token.clone();
        async move {
            let mut connection = Connection::open(server).await?;
            let mut ticks = interval(Duration::from_secs_f64(CONNECTIONS as f64 / rate));
            for index in 0.. {
                ticks.tick().await;
                connection
                    .send(&http_load::post(&token, (index * 17 + client) % 10_000, index))
                    .await?;
            }
            Ok::<(), anyhow::Error>(())
        }
    });
    futures_util::future::try_join_all(clients).await.map(drop)
}
