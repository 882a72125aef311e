//! Exports: whole, or visibly not; few at once, and not for ever.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sqlx::Executor as _;
use test_support::{Caller, Download, Launch, Running, Spine, World, a_report, eventually};

use super::{pages, path};
use crate::journeys::history::memory;

/// Devices with payloads so large that no socket holds all of them.
const LARGE: &str = "
    INSERT INTO resource_rows
    SELECT 1, 'device-' || lpad(n::text, 4, '0'), to_json(repeat('x', 20000)), 1, NULL, now(), now(),
           1, n, n
    FROM generate_series(0, 3999) n";

async fn with_large(
    name: &str,
    set: impl Fn(Launch) -> Launch,
) -> Result<(World, Running, Caller)> {
    let world = World::start(name).await?;
    world.pool().execute(LARGE).await?;
    let query_api = set(world.query_api()?).start().await?;
    query_api.ready().await?;
    let caller = Caller::new(&query_api, &query_api, &world.token().sign()?)?;
    Ok((world, query_api, caller))
}

/// Begins an export and reads nothing of it yet.
async fn begin(caller: &Caller, query: &str) -> Result<Download> {
    let request = caller.ask("GET", &path(query))?;
    caller.download(request.header("accept", "application/x-ndjson")).await
}

/// Reads an export to its end; the lines of rows, if it is whole.
async fn read(mut export: Download) -> Result<Vec<Value>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = export.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes)?;
    let mut lines: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("a line")?;
    let last = lines.pop().context("nothing at all")?;
    let whole = serde_json::json!({"complete": true, "rows": lines.len()});
    ensure!(last == whole, "the last line is {last}");
    Ok(lines)
}

#[tokio::test]
async fn an_export_holds_what_the_pages_hold() -> Result<()> {
    let world = World::start("export").await?;
    let spine = Spine::start_whole(&world).await?;
    let caller = &spine.caller;
    let reports = (0..1_203).map(|n| {
        // Line breaks between the parts of a payload are kept there and are none in an export.
        a_report(&format!("device-{}", n % 700)).saying(format!("{{\"n\":\r\n{n}}}"))
    });
    world.log()?.append(reports).await?;
    let posted = caller.report("device-7", "[\n1\n]").await?;
    caller.get_after(&posted, "/api/v1/resources/device-7/history").await?;
    caller.read_after(&posted, "device-7").await?;
    world.level().await?;
    for query in [
        "",
        "?prefix=device-1",
        "?online=true&fields=id",
        "?online=false",
        "?updated_since=2001-01-01T00:00:00Z&fields=id,updated_at",
    ] {
        let shown = pages(caller, &path(query), async |_| Ok(())).await?;
        let export = begin(caller, query).await?;
        ensure!(export.header("content-type") == Some("application/x-ndjson"), "{query}");
        ensure!(read(export).await? == shown, "{query}: the export differs from the pages");
    }
    let history = "/api/v1/resources/device-7/history";
    for order in ["?order=asc", "?order=desc"] {
        let shown = pages(caller, &format!("{history}{order}&limit=1"), async |_| Ok(())).await?;
        let request = caller.ask("GET", &format!("{history}{order}"))?;
        let export = caller.download(request.header("accept", "application/x-ndjson")).await?;
        let exported = read(export).await?;
        ensure!(exported == shown && shown.len() == 3, "{order}: {exported:?}");
    }
    for (path, status) in [
        ("/api/v1/resources?limit=3", 400),
        ("/api/v1/resources?cursor=x", 400),
        ("/api/v1/resources/nobody/history", 404),
    ] {
        let request = caller.ask("GET", path)?.header("accept", "application/x-ndjson");
        let answer = caller.send(request).await?;
        ensure!(answer.status == status && !answer.problem().is_empty(), "{path}: {answer}");
    }
    let head = caller.ask("HEAD", &path(""))?.header("accept", "application/x-ndjson");
    let head = caller.send(head).await?;
    ensure!(head.status == 200 && head.text.is_empty(), "{head}");
    Ok(())
}

#[tokio::test]
async fn an_export_that_breaks_off_is_not_taken_for_a_short_one() -> Result<()> {
    let (world, query_api, caller) = with_large("export_broken", |launch| launch).await?;
    let mut export = begin(&caller, "").await?;
    ensure!(export.chunk().await?.is_some(), "nothing came");
    let ended = world.terminate_sessions("query_api").await?;
    ensure!(ended > 0, "there was no session");
    let mut text = Vec::new();
    let broken = loop {
        match export.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk),
            Ok(None) => anyhow::bail!("it ended well after {} bytes", text.len()),
            Err(error) => break error,
        }
    };
    let text = String::from_utf8_lossy(&text);
    ensure!(!text.contains("\"complete\""), "it says that it is whole, and {broken}");
    eventually("it is counted", async || {
        let metrics = query_api.get("/metrics").await?;
        let failed = "query_api_exports_total{read_model=\"resource\",outcome=\"failed\"} 1";
        ensure!(metrics.text.contains(failed), "there is no {failed}");
        Ok(())
    })
    .await?;
    // The next one is whole.
    let rows =
        eventually("an export is whole", async || read(begin(&caller, "?fields=id").await?).await);
    ensure!(rows.await?.len() == 4_000, "rows are missing");
    Ok(())
}

#[tokio::test]
async fn an_export_is_of_one_moment() -> Result<()> {
    let (world, _query_api, caller) = with_large("export_moment", |launch| launch).await?;
    let mut export = begin(&caller, "").await?;
    ensure!(export.chunk().await?.is_some(), "nothing came");
    let change = "UPDATE resource_rows SET version = 2;
                  DELETE FROM resource_rows WHERE id > 'device-3990'";
    world.pool().execute(change).await?;
    let mut text = Vec::new();
    while let Some(chunk) = export.chunk().await? {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text)?;
    ensure!(text.ends_with("{\"complete\":true,\"rows\":4000}\n"), "{}", text.len());
    ensure!(!text.contains("\"version\":2"), "it shows what came after it began");
    Ok(())
}

#[tokio::test]
async fn as_many_exports_run_as_may_and_a_slow_one_holds_little() -> Result<()> {
    let one = |launch: Launch| launch.setting("MILLRACE_QUERY_API_MAX_EXPORTS", 1);
    let (world, query_api, caller) = with_large("export_gate", one).await?;
    let before = memory(&query_api)?;
    let mut slow = begin(&caller, "").await?;
    ensure!(slow.chunk().await?.is_some(), "nothing came");
    let refused =
        caller.send(caller.ask("GET", &path(""))?.header("accept", "application/x-ndjson"));
    let refused = refused.await?;
    ensure!(refused.status == 503 && refused.problem() == "not-ready", "{refused}");
    ensure!(refused.header("retry-after").is_some(), "there is no Retry-After");
    ensure!(refused.text.contains("MILLRACE_QUERY_API_MAX_EXPORTS"), "{refused}");
    ensure!(caller.get(&path("?limit=1")).await?.status == 200, "pages wait for exports");
    let grown = memory(&query_api)?.saturating_sub(before);
    ensure!(grown < 16 * 1024, "80 MB that nobody takes hold {grown} kB");

    // Whoever goes away gives the place back, in the database too.
    drop(slow);
    eventually("the session is given up", async || {
        let sessions: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'query-api-export'",
        )
        .fetch_one(world.pool())
        .await?;
        ensure!(sessions == 0, "{sessions} sessions are left");
        Ok(())
    })
    .await?;
    let rows =
        eventually("there is a place", async || read(begin(&caller, "?fields=id").await?).await);
    ensure!(rows.await?.len() == 4_000, "rows are missing");
    Ok(())
}

#[tokio::test]
async fn an_export_that_takes_too_long_breaks_off() -> Result<()> {
    let short = |launch: Launch| {
        let launch = launch.setting("MILLRACE_QUERY_API_EXPORT_TIMEOUT_MS", 1_000);
        launch.setting("MILLRACE_QUERY_API_MAX_EXPORTS", 1)
    };
    let (_world, query_api, caller) = with_large("export_overdue", short).await?;
    let mut export = begin(&caller, "").await?;
    ensure!(export.chunk().await?.is_some(), "nothing came");
    eventually("its time is over", async || {
        let metrics = query_api.get("/metrics").await?;
        let overdue = "query_api_exports_total{read_model=\"resource\",outcome=\"overdue\"} 1";
        ensure!(metrics.text.contains(overdue), "there is no {overdue}");
        Ok(())
    })
    .await?;
    let broken = loop {
        match export.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    ensure!(broken, "it ended well");
    ensure!(read(begin(&caller, "?fields=id").await?).await?.len() == 4_000, "no place is left");
    Ok(())
}
