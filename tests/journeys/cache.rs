//! What the cache does for reads, as readers and operators see it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use test_support::{Answer, Spine, World, eventually};

fn status_of(answer: &Answer) -> &str {
    answer.header("cache-status").unwrap_or_default()
}

/// What `redis-cli GET` prints.
fn redis_get(world: &World, key: &str) -> Result<String> {
    let key = format!("{}:{key}", world.prefix());
    let url = world.stack().redis_url()?;
    let output = Command::new("redis-cli").args(["-u", url, "--raw", "GET", &key]).output();
    let output = output.context("redis-cli")?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// Reads until the cache vouches for the answer: a projector that has just started is trusted soon.
async fn hit(spine: &Spine, device: &str) -> Result<Answer> {
    eventually("the read is a hit", async || {
        let read = spine.caller.read(device).await?;
        ensure!(status_of(&read) == "millrace; hit", "the cache was {:?}", status_of(&read));
        Ok(read)
    })
    .await
}

#[tokio::test]
async fn a_read_is_stored_and_the_next_is_a_hit_until_a_write_replaces_it() -> Result<()> {
    let world = World::start("cache").await?;
    let spine = Spine::start(&world).await?;
    let posted = spine.caller.report("device-1", r#"{"n":1}"#).await?;
    spine.caller.read_after(&posted, "device-1").await?;
    let first = hit(&spine, "device-1").await?;
    ensure!(first.json()?["payload"]["n"] == 1, "{first}");
    let token = first.header("consistency-token").context("a hit carries no token")?;
    ensure!(first.header("etag") == Some("\"1.1\""), "a hit's tag is {:?}", first.header("etag"));
    let unchanged = spine.caller.resource("GET", "device-1")?.header("if-none-match", "\"1.1\"");
    let unchanged = spine.caller.send(unchanged.header("consistency-token", token)).await?;
    ensure!(unchanged.status == 304, "{unchanged}");

    // Somebody reads it, so the fold that makes it old leaves the new one in its place.
    for n in 2..20 {
        let posted = spine.caller.report("device-1", &format!(r#"{{"n":{n}}}"#)).await?;
        let read = spine.caller.read_after(&posted, "device-1").await?;
        ensure!(read.json()?["payload"]["n"] == n, "after {n}: {read}");
        ensure!(status_of(&read) == "millrace; hit", "after {n} it was {}", status_of(&read));
    }
    let stored = redis_get(&world, "resource:device-1")?;
    let body = hit(&spine, "device-1").await?.text;
    let parts: Vec<&str> = stored.splitn(3, ' ').collect();
    let [_, version, json] = parts[..] else { anyhow::bail!("redis-cli prints {stored}") };
    let json: serde_json::Value = serde_json::from_str(json).context("what Redis holds")?;
    ensure!(version == "19" && json["generation"] == 1, "redis-cli prints {stored}");
    // What is derived when it is shown is not stored.
    let mut row = json["row"].clone();
    row["online"] = true.into();
    ensure!(row == serde_json::from_str::<serde_json::Value>(&body)?, "{stored}");
    Ok(())
}

#[tokio::test]
async fn that_a_device_is_unknown_is_cached_until_it_reports() -> Result<()> {
    let world = World::start("cache_missing").await?;
    let spine = Spine::start(&world).await?;
    let missing = hit(&spine, "device-1").await?;
    ensure!(missing.status == 404 && missing.problem() == "not-found", "{missing}");
    let posted = spine.caller.report("device-1", "1").await?;
    let read = spine.caller.read_after(&posted, "device-1").await?;
    ensure!(read.status == 200 && read.json()?["version"] == 1, "{read}");
    Ok(())
}

#[tokio::test]
async fn a_deployment_without_a_cache_says_nothing_of_one() -> Result<()> {
    let world = World::start("cache_off").await?;
    let command_api = world.command_api()?.start().await?;
    let projector = world.projector()?.setting("MILLRACE_CACHE", "off").start().await?;
    let query_api = world.query_api()?.setting("MILLRACE_CACHE", "off").start().await?;
    tokio::try_join!(command_api.ready(), projector.ready(), query_api.ready())?;
    let caller = test_support::Caller::new(&command_api, &query_api, &world.token().sign()?)?;
    for n in 1..4 {
        let posted = caller.report("device-1", &n.to_string()).await?;
        let read = caller.read_after(&posted, "device-1").await?;
        ensure!(read.json()?["payload"] == n && read.header("cache-status").is_none(), "{read}");
    }
    ensure!(redis_get(&world, "resource:device-1")?.is_empty(), "something was cached");
    Ok(())
}
