//! `read`: GET of a resource that stands in the cache, against a bare axum and fred handler.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use xtask::dev_token::mint_of_session;

use crate::backlog::{self, Backlog, device_id};
use crate::child::Process;
use crate::cpu;
use crate::http_load::{Answer, Connection, Load, flood};
use crate::read_baseline::Bodies;
use crate::report::{Measured, compare_turns};
use crate::services::{
    Setting, free_address, start_projector, start_query_api, until_level, until_listening,
};
use crate::world::World;

/// What is measured is hits: bodies outlast the bench, and a machine that stands still for a moment
/// turns no second of reads away from Redis.
const STEADY: &[Setting] =
    &[("MILLRACE_CACHE_TTL_MS", "3600000"), ("MILLRACE_CACHE_READ_TIMEOUT_MS", "1000")];

/// Of so many measured answers at most one may be no hit.
const ANSWERS_FOR_A_MISS: u64 = 1_000;

/// What is read, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Read {
    /// Requests of one run.
    #[arg(long, default_value_t = 300_000)]
    requests: u64,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Devices that are read in turns, all of them in the cache.
    #[arg(long, default_value_t = 1_000)]
    devices: u64,
    /// Runs of each side, in turns; the median is reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Runs the benchmark and prints its line.
pub(crate) async fn run(directory: &Path, read: &Read) -> Result<()> {
    let world = World::start(directory, "read").await?;
    let outcome = compare_sides(&world, read).await;
    world.end().await?;
    outcome
}

async fn compare_sides(world: &World, read: &Read) -> Result<()> {
    // Several events for each device, so that none is left out.
    let events = 20 * read.devices;
    backlog::write(world, Backlog { events, devices: read.devices, client_named_percent: 0 })
        .await?;
    // It also keeps the trust in the cache alive, beside both sides.
    let _projector = start_projector(world)?;
    until_level(world).await?;
    let bodies = Bodies::open(&world.redis_url, bare_keys(world)).await?;
    let (mut subject, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..read.runs {
        let (process, server) = start_query_api(world, STEADY).await?;
        until_warm(server, read, &bodies).await?;
        subject.push(measure(world, read, &process, server, Side::QueryApi).await?);
        drop(process);
        let (process, server) = start_bare(world).await?;
        bare.push(measure(world, read, &process, server, Side::Bare).await?);
    }
    compare_turns("read", subject, bare)
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    QueryApi,
    Bare,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::QueryApi => "query-api: JWT, hits of the cache",
            Self::Bare => "bare axum and fred handler, one GET of Redis",
        }
    }
}

async fn measure(
    world: &World,
    read: &Read,
    process: &Process,
    server: SocketAddr,
    side: Side,
) -> Result<Measured> {
    let reads = Arc::new(Reads::of(read.devices, side)?);
    // Connections and threads are not what is compared.
    flood(server, &reads, read.connections, read.requests / 10).await?;
    reads.take_misses();
    let redis = world.pid("redis")?;
    let before = (process.cpu(), cpu::of_tree(redis));
    let wall = flood(server, &reads, read.connections, read.requests).await?;
    let cpu = vec![("server", process.cpu() - before.0), ("redis", cpu::of_tree(redis) - before.1)];
    let misses = reads.take_misses();
    ensure!(
        misses.values().sum::<u64>() * ANSWERS_FOR_A_MISS <= read.requests,
        "of {} measured answers too many were no hits: {misses:?}",
        read.requests
    );
    let name = format!("{}, {} connections", side.name(), read.connections);
    Ok(Measured { name, units: read.requests, wall, cpu, rows: None })
}

/// Reads every device until all are hits, and gives their bodies to the baseline.
async fn until_warm(server: SocketAddr, read: &Read, bodies: &Bodies) -> Result<()> {
    let reads = Reads::of(read.devices, Side::QueryApi)?;
    let mut connection = Connection::open(server).await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        for device in 0..read.devices {
            let answer = connection.send(&reads.request(device)).await?;
            reads.check(&answer)?;
            bodies.put(&device_id(device), connection.body()).await?;
        }
        let misses = reads.take_misses();
        if misses.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "devices do not come into the cache: {misses:?}");
    }
}

async fn start_bare(world: &World) -> Result<(Process, SocketAddr)> {
    let server = free_address()?;
    let arguments = [
        "bare-reader",
        "--redis-url",
        &world.redis_url,
        "--keys",
        &bare_keys(world),
        "--bind",
        &server.to_string(),
    ]
    .map(str::to_owned);
    let process = Process::start("benches", &[], &arguments)?;
    until_listening(server).await?;
    Ok((process, server))
}

fn bare_keys(world: &World) -> String {
    format!("{}:bare:", world.prefix_text)
}

/// GETs of the devices in turns, each to be answered 200.
struct Reads {
    requests: Vec<Vec<u8>>,
    side: Side,
    misses: Mutex<Misses>,
}

/// Answers of the query API that did not come from the cache, by what it says of them.
type Misses = BTreeMap<String, u64>;

impl Reads {
    fn of(devices: u64, side: Side) -> Result<Self> {
        // Any other would not be looked for among what was revoked.
        let token = mint_of_session()?;
        let requests = (0..devices).map(|device| get(&token, device)).collect();
        Ok(Self { requests, side, misses: Mutex::default() })
    }

    fn misses(&self) -> MutexGuard<'_, Misses> {
        self.misses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted since the last time.
    fn take_misses(&self) -> Misses {
        std::mem::take(&mut *self.misses())
    }
}

impl Load for Reads {
    fn request(&self, index: u64) -> Vec<u8> {
        self.requests[index as usize % self.requests.len()].clone()
    }

    fn check(&self, answer: &Answer) -> Result<()> {
        ensure!(answer.status == 200, "answered {} instead of 200", answer.status);
        let status = answer.header("cache-status").unwrap_or("none");
        if self.side == Side::QueryApi && status != "millrace; hit" {
            *self.misses().entry(status.to_owned()).or_default() += 1;
        }
        Ok(())
    }
}

fn get(token: &str, device: u64) -> Vec<u8> {
    let id = device_id(device);
    format!("GET /api/v1/resources/{id} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}
