//! `project`: draining a backlog, against a bare consume and upsert loop at the same batch size. The
//! cache is off, which the bare loop has none of; what it costs is a comparison of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use read_cache::times::TRUST;
use sqlx::Executor as _;
use tokio::time::sleep;

use crate::backlog::{self, Backlog};
use crate::child::Process;
use crate::cpu;
use crate::drain::{Cache, Drain, rows};
use crate::project_baseline::TABLE;
use crate::project_cache;
use crate::report::{Measured, compare, median};
use crate::world::World;

/// What is drained, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Project {
    /// Events in the backlog.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Devices they are spread over.
    #[arg(long, default_value_t = 10_000)]
    devices: u64,
    /// Records of a batch, on both sides.
    #[arg(long, default_value_t = 5000)]
    batch: usize,
    /// Records of a batch where lanes are compared once more: small ones, so that a lane waits for
    /// its commits and not for a core.
    #[arg(long, default_value_t = 500)]
    small_batch: usize,
    /// Runs of each side, in turns; the median is reported.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Runs with the cache and without, in turns; the median is reported.
    #[arg(long, default_value_t = 7)]
    cache_runs: usize,
    /// Only what the cache costs.
    #[arg(long)]
    only_cache: bool,
}

/// Runs the benchmark and prints its lines.
pub(crate) async fn run(directory: &Path, project: &Project) -> Result<()> {
    let world = World::start(directory, "project").await?;
    let outcome = compare_all(&world, project).await;
    world.end().await?;
    outcome
}

async fn compare_all(world: &World, project: &Project) -> Result<()> {
    let plain =
        Backlog { events: project.events, devices: project.devices, client_named_percent: 0 };
    backlog::write(world, plain).await?;
    if !project.only_cache {
        compare_plain(world, project).await?;
    }
    let (events, batch) = (project.events, project.batch);
    project_cache::compare(world, project.cache_runs, (events, batch)).await
}

/// Against the bare loop, and one lane against two.
async fn compare_plain(world: &World, project: &Project) -> Result<()> {
    let (mut bare, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..project.runs {
        bare.push(drain_bare(world, project).await?);
        two.push(drain(world, project, 2).await?);
        one.push(drain(world, project, 1).await?);
    }
    let (Some(bare), Some(one), Some(two)) = (median(bare), median(one), median(two)) else {
        bail!("no run was asked for");
    };
    compare("project", &two, &bare);
    compare("project: two lanes against one", &two, &one);
    small_batches(world, project).await?;
    client_named(project, &two, world).await
}

/// What a second lane brings where commits are what a lane waits for.
async fn small_batches(world: &World, project: &Project) -> Result<()> {
    let small = Project { batch: project.small_batch, ..project.clone() };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..project.runs {
        two.push(drain(world, &small, 2).await?);
        one.push(drain(world, &small, 1).await?);
    }
    if let (Some(one), Some(two)) = (median(one), median(two)) {
        compare("project: two lanes against one", &two, &one);
    }
    Ok(())
}

/// The cost of client ids, in a log of their own.
async fn client_named(project: &Project, plain: &Measured, beside: &World) -> Result<()> {
    let world = World::start(&beside.directory, "named").await?;
    let backlog =
        Backlog { events: project.events, devices: project.devices, client_named_percent: 10 };
    backlog::write(&world, backlog).await?;
    let mut runs = Vec::new();
    for _ in 0..project.runs {
        runs.push(drain(&world, project, 2).await?);
    }
    if let Some(mut named) = median(runs) {
        named.name.push_str(", 10 % client ids");
        compare("project: client ids against none", &named, plain);
    }
    world.end().await
}

async fn drain_bare(world: &World, project: &Project) -> Result<Measured> {
    let mut database = world.connect().await?;
    database.execute("DROP TABLE IF EXISTS public.bare_resources").await?;
    database.execute("SET search_path = public").await?;
    database.execute(TABLE).await?;
    let rows_before = rows(&mut database, "bare_resources").await?;
    let arguments = [
        ("--brokers", world.brokers.clone()),
        ("--topic", world.topic.clone()),
        ("--schema-id", world.schema_id.to_string()),
        ("--database-url", world.database_url.clone()),
        ("--events", project.events.to_string()),
        ("--batch", project.batch.to_string()),
    ];
    let arguments: Vec<String> = std::iter::once("bare-loop".to_owned())
        .chain(arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]))
        .collect();
    let postgres = world.pid("postgres")?;
    let (started, postgres_before) = (Instant::now(), cpu::of_tree(postgres));
    let mut process = Process::start("benches", &[], &arguments)?;
    let mut own = Duration::ZERO;
    let status = loop {
        if let Some(status) = process.ended()? {
            break status;
        }
        own = process.cpu().max(own);
        sleep(Duration::from_millis(5)).await;
    };
    if !status.success() {
        bail!("the bare loop failed: {status}");
    }
    Ok(Measured {
        name: format!("bare consume, decode and UNNEST loop, batches of {}", project.batch),
        units: project.events,
        wall: started.elapsed(),
        cpu: vec![("consumer", own), ("postgres", cpu::of_tree(postgres) - postgres_before)],
        rows: Some(rows(&mut database, "bare_resources").await? - rows_before),
    })
}

async fn drain(world: &World, project: &Project, lanes: usize) -> Result<Measured> {
    let (events, batch) = (project.events, project.batch);
    let drain = Drain { events, batch, lanes, cache: Cache::Off };
    let mut database = world.connect().await?;
    Drain::set_back(&mut database).await?;
    let rows_before = rows(&mut database, "resource_rows_1").await?;
    let postgres = world.pid("postgres")?;
    let postgres_before = cpu::of_tree(postgres);
    let mut process = drain.start(world, &mut database).await?;
    // Nothing is folded before the trust of a predecessor has lapsed; asking meanwhile would only
    // count as the work of Postgres.
    sleep(TRUST).await;
    let wall = drain.until_folded(&mut process, &mut database).await?;
    let (own, postgres) = (process.cpu(), cpu::of_tree(postgres) - postgres_before);
    drop(process);
    Ok(Measured {
        name: format!("projector, {lanes} lanes, batches of {batch}, cache off"),
        units: events,
        wall,
        cpu: vec![("projector", own), ("postgres", postgres)],
        rows: Some(rows(&mut database, "resource_rows_1").await? - rows_before),
    })
}
