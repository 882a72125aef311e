//! Online and offline: by how long a device has been silent, exact whoever asks and whenever.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{Caller, Spine, World, a_report, eventually};

use super::{ids, listed, path};

const SILENCE: Duration = Duration::from_secs(4);

async fn is_online(caller: &Caller, device: &str) -> Result<bool> {
    let read = caller.read(device).await?;
    read.json()?["online"].as_bool().with_context(|| format!("not said: {read}"))
}

#[tokio::test]
async fn a_device_that_falls_silent_is_offline_until_it_reports() -> Result<()> {
    let world = World::start("presence").await?;
    let launch = world.query_api()?.setting("MILLRACE_OFFLINE_AFTER_MS", SILENCE.as_millis());
    let mut spine =
        Spine::start_with(world.command_api()?, world.projector()?, launch.clone()).await?;
    let posted = spine.caller.report("device-1", "1").await?;
    let first = spine.caller.read_after(&posted, "device-1").await?;
    ensure!(first.json()?["online"] == true, "{first}");
    let tag = first.header("etag").context("no ETag")?.to_owned();
    let unchanged = async |tag: &str| {
        let request = spine.caller.resource("GET", "device-1")?.header("if-none-match", tag);
        anyhow::Ok(spine.caller.send(request).await?)
    };
    ensure!(unchanged(&tag).await?.status == 304, "nothing has changed");

    // Most of these reads are hits of the cache, whose bodies say nothing of it.
    let changed = eventually("the silence shows", async || {
        let read = unchanged(&tag).await?;
        ensure!(read.status == 200, "it is said that nothing has changed");
        Ok(read)
    })
    .await?;
    ensure!(changed.json()?["online"] == false, "{changed}");
    let silent = changed.header("etag").context("no ETag")?.to_owned();
    ensure!(silent != tag && unchanged(&silent).await?.status == 304, "the tag is {silent}");
    let offline = spine.caller.get(&path("?online=false")).await?;
    ensure!(ids(&listed(&offline)?) == ["device-1"], "{offline}");

    // A process that has just started knows it as well.
    let caller = spine.caller.clone();
    spine.query_api.terminate().await?;
    let again = launch.start().await?;
    again.ready().await?;
    let there = Caller::new(&spine.command_api, &again, &world.token().sign()?)?;
    ensure!(!is_online(&there, "device-1").await?, "forgotten by a restart");
    let posted = caller.report("device-1", "2").await?;
    let read = there.read_after(&posted, "device-1").await?;
    ensure!(read.json()?["online"] == true && read.header("etag") == Some("\"1.2\""), "{read}");
    Ok(())
}

#[tokio::test]
async fn the_list_tells_who_is_online_as_the_resource_does() -> Result<()> {
    let world = World::start("presence_list").await?;
    let spine = Spine::start(&world).await?;
    let devices: Vec<String> = (0..60).map(|n| format!("device-{n:02}")).collect();
    world.log()?.append(devices.iter().map(|device| a_report(device))).await?;
    world.level().await?;
    // Every third is silent for long, every fourth is right before and behind the limit.
    for (remainder, silence) in
        [(0, "1 hour"), (1, "4 minutes 50 seconds"), (2, "5 minutes 10 seconds")]
    {
        let silent = format!(
            "UPDATE resource_rows SET updated_at = now() - interval '{silence}'
             WHERE right(id, 2)::int % 5 = {remainder}"
        );
        world.pool().execute(sqlx::AssertSqlSafe(silent)).await?;
    }
    let offline = |n: usize| matches!(n % 5, 0 | 2);
    for (online, since) in [
        (true, ""),
        (false, ""),
        (true, "&updated_since=2001-01-01T00:00:00Z"),
        (false, "&updated_since=2001-01-01T00:00:00Z"),
    ] {
        let mut expected: Vec<_> = devices
            .iter()
            .enumerate()
            .filter(|(n, _)| offline(*n) != online)
            .map(|(_, d)| d)
            .collect();
        for limit in [500, 7] {
            let first = path(&format!("?online={online}{since}&limit={limit}"));
            let shown = super::pages(&spine.caller, &first, async |_| Ok(())).await?;
            ensure!(shown.iter().all(|item| item["online"] == online), "{first}: {shown:?}");
            let mut ids = ids(&shown);
            if since.is_empty() {
                ensure!(ids.is_sorted(), "{first}: not in order");
            }
            ids.sort();
            expected.sort();
            ensure!(ids.iter().collect::<Vec<_>>() == expected, "{first}: {ids:?}");
        }
    }
    let prefixed = path("?online=false&prefix=device-0");
    let shown = ids(&listed(&spine.caller.get(&prefixed).await?)?);
    ensure!(shown == ["device-00", "device-02", "device-05", "device-07"], "{shown:?}");
    for (n, device) in devices.iter().enumerate() {
        // Not from the cache: the rows were changed behind its back.
        ensure!(is_online(&spine.caller, device).await? != offline(n), "{device}");
    }
    Ok(())
}

#[tokio::test]
async fn few_or_many_devices_are_found_alike() -> Result<()> {
    let world = World::start("presence_many").await?;
    let query_api = world.query_api()?.start().await?;
    query_api.ready().await?;
    let caller = Caller::new(&query_api, &query_api, &world.token().sign()?)?;
    world
        .pool()
        .execute(
            "INSERT INTO resource_rows
             SELECT 1, 'device-' || lpad(n::text, 5, '0'), to_json(n), 1, NULL, now(), now(), 1, n, n
             FROM generate_series(0, 19999) n;
             ANALYZE resource_rows",
        )
        .await?;
    // From a thousand on, another way leads to them.
    for silent in [0, 3, 999, 1_000, 1_001, 19_000, 20_000] {
        let change = format!(
            "UPDATE resource_rows SET updated_at = CASE
                 WHEN right(id, 5)::int * 7919 % 20000 < {silent} THEN now() - interval '1 day'
                 ELSE now() END"
        );
        world.pool().execute(sqlx::AssertSqlSafe(change)).await?;
        for (online, expected) in [(true, 20_000 - silent), (false, silent)] {
            let first = path(&format!("?online={online}&limit=500&fields=id"));
            let shown = super::pages(&caller, &first, async |_| Ok(())).await?;
            let ids = ids(&shown);
            ensure!(ids.is_sorted_by(|a, b| a < b), "{silent} {online}: not in order");
            ensure!(ids.len() == expected, "{silent} {online}: {}", ids.len());
        }
    }
    Ok(())
}
