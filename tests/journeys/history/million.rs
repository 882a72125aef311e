//! A million rows: no page costs more than another, and an export needs no memory for them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{Caller, Running, World};

use super::{items, memory, next, path};

/// Rows of one device, and of all.
const OF_ONE: u64 = 500_000;
const ROWS: u64 = 1_000_000;

/// Pages of one kind that are measured.
const PAGES: usize = 400;

/// What an export may add to the memory of the process, in kilobytes.
const MOST_KILOBYTES: u64 = 32 * 1024;

/// Half of the rows are of one device, the others of a thousand; over thirteen months.
async fn a_million_rows(world: &World) -> Result<()> {
    let fill = format!(
        "SELECT make_device_history_month(1, now() - make_interval(months => m))
         FROM generate_series(0, 13) m;
         INSERT INTO device_history_rows
         SELECT 1, CASE WHEN n % 2 = 0 THEN 'device-1' ELSE 'other-' || n % 1000 END,
                gen_random_uuid(),
                json_build_object('n', n, 'status', 'ok', 'note', repeat('x', 100)), NULL,
                now() - make_interval(secs => 33 * ({ROWS} - n)), 1, 0, n
         FROM generate_series(1, {ROWS}) n;"
    );
    world.pool().execute(sqlx::AssertSqlSafe(fill)).await.context("writing a million rows")?;
    world.pool().execute("VACUUM ANALYZE device_history_rows").await.context("vacuuming")?;
    Ok(())
}

/// CPU time of the sessions of query-api in Postgres.
async fn cpu(world: &World) -> Result<Duration> {
    let pids: Vec<i32> = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'query-api'",
    )
    .fetch_all(world.pool())
    .await?;
    let of_one = |pid: i32| -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
        stat.split_whitespace().next().unwrap_or_default().parse().context("schedstat")
    };
    let nanos: u64 = pids.into_iter().map(of_one).sum::<Result<u64>>()?;
    Ok(Duration::from_nanos(nanos))
}

/// CPU of Postgres for one page of this kind, in microseconds.
async fn cost(world: &World, caller: &Caller, page: &str) -> Result<f64> {
    // Statements are prepared and pages of the table are read before anything is measured.
    for _ in 0..20 {
        ensure!(items(&caller.get(page).await?)?.len() == 50, "{page} is not full");
    }
    let before = cpu(world).await?;
    for _ in 0..PAGES {
        caller.get(page).await?;
    }
    Ok((cpu(world).await? - before).as_secs_f64() * 1e6 / PAGES as f64)
}

/// Reads the whole history of the device and returns the page at its middle and its last full one.
async fn walk(caller: &Caller) -> Result<(String, String)> {
    let (mut path, mut read, mut last) = (path("device-1", "?limit=500"), 0, i64::MAX);
    let (mut middle, mut end) = (None, None);
    loop {
        let page = caller.get(&path).await?;
        for item in items(&page)? {
            let n = item["payload"]["n"].as_i64().context("no number")?;
            ensure!(n < last, "{n} after {last}");
            (last, read) = (n, read + 1);
        }
        let Some(next) = next(&page) else { break };
        if read == OF_ONE / 2 {
            middle = Some(next.clone());
        }
        end = Some(next.clone());
        path = next;
    }
    ensure!(read == OF_ONE, "pages together hold {read} rows");
    let small = |path: Option<String>| path.map(|path| path.replace("limit=500", "limit=50"));
    small(middle).zip(small(end)).context("there were no pages")
}

/// Exports the history of the device; returns lines, and the most memory held meanwhile.
async fn export(caller: &Caller, query_api: &Running) -> Result<(u64, u64)> {
    let request = caller.ask("GET", &path("device-1", ""))?;
    let mut answer = caller.download(request.header("accept", "application/x-ndjson")).await?;
    ensure!(answer.status() == 200, "answered {}", answer.status());
    let (mut lines, mut most, mut end) = (0, 0, Vec::new());
    while let Some(chunk) = answer.chunk().await? {
        lines += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
        end = [&end[end.len().saturating_sub(100)..], &chunk[..]].concat();
        most = most.max(memory(query_api)?);
    }
    let whole = format!("{{\"complete\":true,\"rows\":{OF_ONE}}}\n");
    ensure!(end.ends_with(whole.as_bytes()), "the export does not say that it is whole");
    Ok((lines - 1, most))
}

#[tokio::test]
async fn a_page_costs_the_same_wherever_it_is_among_a_million_rows() -> Result<()> {
    let world = World::start("million").await?;
    a_million_rows(&world).await?;
    let query_api = world.query_api()?.start().await?;
    query_api.ready().await?;
    let caller = Caller::new(&query_api, &query_api, &world.token().sign()?)?;

    let (middle, last) = walk(&caller).await?;
    let (from, to): (String, String) = sqlx::query_as(
        "SELECT to_char(d, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
                to_char(d + interval '3 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
         FROM (SELECT now() AT TIME ZONE 'UTC' - interval '200 days') AS t(d)",
    )
    .fetch_one(world.pool())
    .await?;
    let range = path("device-1", &format!("?from={from}&to={to}"));
    let pages =
        [("first", path("device-1", "")), ("middle", middle), ("last", last), ("range", range)];
    // In turns, so that what else the machine does falls on all of them.
    let mut costs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..3 {
        for (name, page) in &pages {
            costs.entry(name).or_default().push(cost(&world, &caller, page).await?);
        }
    }
    let least = |costs: &Vec<f64>| costs.iter().copied().fold(f64::INFINITY, f64::min);
    let costs: BTreeMap<&str, f64> = costs.iter().map(|(name, all)| (*name, least(all))).collect();
    println!("CPU of Postgres for a page of 50 rows, in microseconds: {costs:?}");
    let (low, high) = costs
        .values()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), cost| (low.min(*cost), high.max(*cost)));
    ensure!(high <= 2.0 * low, "a page costs more than twice another: {costs:?}");

    let before = memory(&query_api)?;
    let (lines, most) = export(&caller, &query_api).await?;
    println!("memory of query-api: {before} kB before, {most} kB at most during an export");
    ensure!(lines == OF_ONE, "the export has {lines} rows");
    ensure!(most <= before + MOST_KILOBYTES, "it grew from {before} to {most} kB");
    Ok(())
}
