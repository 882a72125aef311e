//! `pages`: a page in the middle, at the end and of a range of time of a long history, against its
//! first page.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, Executor as _};
use xtask::dev_token::mint;

use crate::child::Process;
use crate::cpu;
use crate::http_load::{Answer, Connection, Load, flood};
use crate::report::{Measured, compare_turns};
use crate::services::start_query_api;
use crate::world::World;

/// Connections, each with one request under way.
const CONNECTIONS: u64 = 8;

/// What is read, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Pages {
    /// Rows of the history: half of one device, the others of five hundred.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Requests of one run.
    #[arg(long, default_value_t = 4_000)]
    requests: u64,
    /// Runs of each page, in turns; the median is reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Runs the benchmark and prints its lines.
pub(crate) async fn run(directory: &Path, pages: &Pages) -> Result<()> {
    let world = World::start(directory, "pages").await?;
    let outcome = compare_all(&world, pages).await;
    world.end().await?;
    outcome
}

async fn compare_all(world: &World, pages: &Pages) -> Result<()> {
    fill(world, pages.rows).await?;
    let (process, server) = start_query_api(world, &[]).await?;
    let (middle, last) = walk(server, pages.rows / 2).await?;
    let range = range(world).await?;
    let others = [
        ("pages: middle against first", middle),
        ("pages: last against first", last),
        ("pages: range against first", range),
    ];
    for (name, path) in others {
        let (mut subject, mut baseline) = (Vec::new(), Vec::new());
        for _ in 0..pages.runs {
            subject.push(measure(world, pages, &process, server, &path).await?);
            baseline.push(measure(world, pages, &process, server, FIRST).await?);
        }
        compare_turns(name, subject, baseline)?;
    }
    Ok(())
}

/// The history that is read.
const FIRST: &str = "/api/v1/resources/device-1/history";

/// Rows over thirteen months up to now.
async fn fill(world: &World, rows: u64) -> Result<()> {
    let seconds = 390 * 24 * 60 * 60 / rows.max(1);
    let fill = format!(
        "SELECT make_device_history_month(1, now() - make_interval(days => 30 * m))
         FROM generate_series(0, 13) m;
         INSERT INTO device_history_rows
         SELECT 1, CASE WHEN n % 2 = 0 THEN 'device-1' ELSE 'other-' || n % 1000 END,
                gen_random_uuid(),
                json_build_object('n', n, 'status', 'ok', 'note', repeat('x', 100)), NULL,
                now() - make_interval(secs => {seconds} * ({rows} - n)), 1, 0, n
         FROM generate_series(1, {rows}) n"
    );
    let mut database = world.connect().await?;
    database.execute(AssertSqlSafe(fill)).await.context("writing history")?;
    database.execute("VACUUM ANALYZE device_history_rows").await.context("vacuuming")?;
    Ok(())
}

/// Paths of the page at the middle of the device's rows and of its last full one.
async fn walk(server: SocketAddr, rows: u64) -> Result<(String, String)> {
    const STEP: u64 = 500;
    let token = mint()?;
    let mut connection = Connection::open(server).await?;
    let (mut path, mut read) = (format!("{FIRST}?limit={STEP}"), 0);
    let (mut middle, mut last) = (None, None);
    loop {
        let answer = connection.send(&get(&token, &path)).await?;
        ensure!(answer.status == 200, "answered {} instead of 200", answer.status);
        read += STEP;
        let link = answer.header("link").and_then(|link| link.strip_prefix('<')?.split('>').next());
        let Some(next) = link else { break };
        if read <= rows / 2 {
            middle = Some(next.to_owned());
        }
        last = Some(next.to_owned());
        path = next.to_owned();
    }
    let usual = |path: Option<String>| path.map(|path| path.replace("limit=500", "limit=50"));
    usual(middle).zip(usual(last)).context("the history has one page only")
}

/// Three days in the middle.
async fn range(world: &World) -> Result<String> {
    let (from, to): (String, String) = sqlx::query_as(
        "SELECT to_char(d, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
                to_char(d + interval '3 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
         FROM (SELECT now() AT TIME ZONE 'UTC' - interval '195 days') AS t(d)",
    )
    .fetch_one(&mut world.connect().await?)
    .await?;
    Ok(format!("{FIRST}?from={from}&to={to}"))
}

async fn measure(
    world: &World,
    pages: &Pages,
    process: &Process,
    server: SocketAddr,
    path: &str,
) -> Result<Measured> {
    let reads = Arc::new(Reads { request: get(&mint()?, path) });
    flood(server, &reads, CONNECTIONS, pages.requests / 10).await?;
    let postgres = world.pid("postgres")?;
    let before = (process.cpu(), cpu::of_tree(postgres));
    let wall = flood(server, &reads, CONNECTIONS, pages.requests).await?;
    let cpu =
        vec![("server", process.cpu() - before.0), ("postgres", cpu::of_tree(postgres) - before.1)];
    let name =
        path.split('?').nth(1).map_or("first", |query| query.split('=').next().unwrap_or(""));
    let name = format!("50 of {} rows, {name}", pages.rows / 2);
    Ok(Measured { name, units: pages.requests, wall, cpu, rows: None })
}

/// One page, again and again.
struct Reads {
    request: Vec<u8>,
}

impl Load for Reads {
    fn request(&self, _: u64) -> Vec<u8> {
        self.request.clone()
    }

    fn check(&self, answer: &Answer) -> Result<()> {
        ensure!(answer.status == 200, "answered {} instead of 200", answer.status);
        Ok(())
    }
}

fn get(token: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}
