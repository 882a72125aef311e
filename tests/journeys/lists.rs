//! Lists of devices: in pages, by prefix, by time, by silence, and as exports.

mod export;
mod presence;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sqlx::Executor as _;
use test_support::{Answer, Backlog, Caller, Spine, World, a_report};

use super::history::{next, pages};

/// The path of the list.
fn path(query: &str) -> String {
    format!("/api/v1/resources{query}")
}

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
}

fn listed(answer: &Answer) -> Result<Vec<Value>> {
    ensure!(answer.status == 200, "not answered: {answer}");
    answer.json()?["items"].as_array().cloned().with_context(|| format!("no items in {answer}"))
}

/// A world whose projector has folded these.
async fn with_devices(name: &str, devices: &[&str]) -> Result<(World, Spine)> {
    let world = World::start(name).await?;
    let spine = Spine::start(&world).await?;
    world.log()?.append(devices.iter().map(|device| a_report(device))).await?;
    world.level().await?;
    Ok((world, spine))
}

#[tokio::test]
async fn pages_together_hold_every_device_once_while_writes_go_on() -> Result<()> {
    let world = World::start("list_pages").await?;
    let spine = Spine::start(&world).await?;
    let log = world.log()?;
    log.append_backlog(Backlog { events: 2_000, devices: 137 }).await?;
    world.level().await?;
    let before: BTreeSet<String> = world.rows().await?.into_keys().collect();
    let mut round = 0;
    let shown = pages(&spine.caller, &path("?limit=10"), async |_| {
        round += 1;
        // Some report again, others come before and behind what has been shown.
        log.append_backlog(Backlog { events: 40, devices: 137 }).await?;
        let new = ["a", "device-5", "z"].map(|name| a_report(&format!("{name}-new-{round}")));
        log.append(new).await?;
        world.level().await
    })
    .await?;
    let shown = ids(&shown);
    ensure!(shown.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()), "not in order: {shown:?}");
    let missing: Vec<_> = before.iter().filter(|id| !shown.contains(id)).collect();
    ensure!(missing.is_empty(), "missing are {missing:?}");
    Ok(())
}

#[tokio::test]
async fn a_prefix_is_taken_literally_in_any_script() -> Result<()> {
    let devices = [
        "a%b",
        "a%c",
        "a_b",
        "a_c",
        "aXb",
        "ab",
        "a",
        "A%b",
        "gerät-1",
        "gerät-2",
        "gerau",
        "geräu",
        "日本-1",
        "日本-2",
        "日",
        "💧-1",
        "💧",
        "a\\b",
        "a'b",
        "ab\u{ffee}",
    ];
    let (_world, spine) = with_devices("list_prefix", &devices).await?;
    for prefix in [
        "a%", "a_", "a", "", "A", "ger", "gerä", "gerät", "日", "日本", "💧", "a\\", "a'", "ab",
        "zz",
    ] {
        let mut expected: Vec<&str> =
            devices.iter().copied().filter(|id| id.starts_with(prefix)).collect();
        expected.sort_unstable_by_key(|id| id.as_bytes());
        let encoded: String = prefix.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for size in ["", "&limit=1", "&limit=3"] {
            let first = path(&format!("?prefix={encoded}{size}"));
            let shown = pages(&spine.caller, &first, async |_| Ok(())).await?;
            ensure!(ids(&shown) == expected, "{prefix} {size}: {:?}", ids(&shown));
        }
    }
    Ok(())
}

/// The database's time, a second ago: what was logged before it is folded.
async fn a_second_ago(world: &World) -> Result<String> {
    sqlx::query_scalar(
        "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '1 second',
                        'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    )
    .fetch_one(world.pool())
    .await
    .context("asking for the time")
}

#[tokio::test]
async fn whoever_follows_updates_ends_with_the_newest_of_each_device() -> Result<()> {
    let world = World::start("list_updated").await?;
    let spine = Spine::start(&world).await?;
    let log = world.log()?;
    log.append_backlog(Backlog { events: 400, devices: 60 }).await?;
    world.level().await?;
    let (mut known, mut since) = (BTreeMap::new(), "2001-01-01T00:00:00Z".to_owned());
    for round in 0..6 {
        // Each round begins where the one before began, and not where it ended.
        let begins = a_second_ago(&world).await?;
        let first = path(&format!("?updated_since={since}&fields=id,version,updated_at&limit=9"));
        let mut moment = String::new();
        let shown = pages(&spine.caller, &first, async |page| {
            if round < 5 && page < 4 {
                log.append_backlog(Backlog { events: 30, devices: 70 }).await?;
                world.level().await?;
            }
            Ok(())
        })
        .await?;
        for item in &shown {
            let time = item["updated_at"].as_str().context("no time")?;
            ensure!(time >= since.as_str(), "{time} is before {since}");
            ensure!(time[..16] >= *moment, "minutes are not in order: {time} after {moment}");
            moment = time[..16].to_owned();
            let id = item["id"].as_str().context("no id")?.to_owned();
            known.insert(id, item["version"].as_i64());
        }
        since = begins;
    }
    let rows = world.rows().await?;
    let newest: BTreeMap<_, _> =
        rows.into_iter().map(|(id, row)| (id, Some(row.version))).collect();
    ensure!(known == newest, "{known:?} are not {newest:?}");
    Ok(())
}

#[tokio::test]
async fn a_time_and_other_filters_hold_together() -> Result<()> {
    let (world, spine) = with_devices("list_filters", &["a", "b", "c", "d"]).await?;
    let shown = async |query: &str| {
        let all = pages(&spine.caller, &path(query), async |_| Ok(())).await?;
        anyhow::Ok(ids(&all))
    };
    let since: String = sqlx::query_scalar(
        "SELECT to_char(max(updated_at) AT TIME ZONE 'UTC' + interval '1 microsecond',
                        'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM resources",
    )
    .fetch_one(world.pool())
    .await?;
    ensure!(shown(&format!("?updated_since={since}")).await?.is_empty(), "nothing is newer");
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    world.log()?.append(["c", "a"].map(a_report)).await?;
    world.level().await?;
    for (query, expected) in [
        ("", &["a", "c"][..]),
        ("&limit=1", &["a", "c"]),
        ("&prefix=c", &["c"]),
        ("&prefix=c&online=true", &["c"]),
        ("&online=false", &[]),
    ] {
        let found = shown(&format!("?updated_since={since}{query}")).await?;
        ensure!(found == expected, "{query}: {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_shows_the_members_that_are_asked_for() -> Result<()> {
    let (_world, spine) = with_devices("list_fields", &["a", "b"]).await?;
    let whole = listed(&spine.caller.get(&path("?limit=1")).await?)?;
    let mut one = spine.caller.read("a").await?.json()?;
    ensure!(whole[0] == one, "the list shows {} and the resource {one}", whole[0]);
    let few = spine.caller.get(&path("?fields=version,id")).await?;
    ensure!(few.text == r#"{"items":[{"id":"a","version":1},{"id":"b","version":1}]}"#, "{few}");
    for name in ["id", "payload", "version", "occurred_at", "recorded_at", "updated_at", "online"] {
        let only = listed(&spine.caller.get(&path(&format!("?limit=1&fields={name}"))).await?)?;
        let member = one.get_mut(name).context("no such member")?.take();
        ensure!(only[0] == serde_json::json!({ name: member }), "{name}: {}", only[0]);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_list_is_refused_by_name() -> Result<()> {
    let (_world, spine) = with_devices("list_refused", &["a", "b", "c"]).await?;
    let caller = &spine.caller;
    for (query, parameter, rule) in [
        ("?limit=0", "limit", "min"),
        ("?limit=501", "limit", "max"),
        ("?fields=id,secret", "fields", "one-of"),
        ("?fields=", "fields", "one-of"),
        ("?online=yes", "online", "boolean"),
        ("?updated_since=1", "updated_since", "rfc-3339"),
        ("?prefix=%00", "prefix", "no-nul"),
        ("?prefix=%ff", "prefix", "percent-encoding"),
        ("?q=a", "q", "known-parameters"),
        ("?limit=1&limit=2", "limit", "once"),
    ] {
        let read = caller.get(&path(query)).await?;
        ensure!(read.status == 400 && read.problem() == "invalid-request", "{query}: {read}");
        let error = &read.json()?["errors"][0];
        ensure!(error["parameter"] == parameter && error["rule"] == rule, "{query}: {read}");
    }
    ensure!(caller.get(&path("?limit=500")).await?.status == 200, "the largest limit is refused");
    let first = caller.get(&path("?limit=1")).await?;
    let link = next(&first).context("no next page")?;
    let cursor = link.split("cursor=").nth(1).and_then(|rest| rest.split('&').next());
    let cursor = cursor.context("no cursor")?;
    for query in [
        format!("?prefix=a&cursor={cursor}"),
        format!("?fields=id&cursor={cursor}"),
        format!("?cursor={}", &cursor[1..]),
        format!("?cursor={cursor}A"),
        "?cursor=".to_owned(),
    ] {
        let read = caller.get(&path(&query)).await?;
        ensure!(read.status == 400 && read.problem() == "invalid-cursor", "{query}: {read}");
    }
    // One of another deployment.
    let other = World::start("list_refused_other").await?;
    let elsewhere = other.query_api()?.setting("MILLRACE_TOKEN_SECRET", "x".repeat(32));
    let elsewhere = elsewhere.start().await?;
    elsewhere.ready().await?;
    let there = Caller::new(&elsewhere, &elsewhere, &other.token().sign()?)?;
    let read = there.get(&link).await?;
    ensure!(read.status == 400 && read.problem() == "invalid-cursor", "{read}");
    let method = caller.send(caller.ask("POST", &path(""))?).await?;
    ensure!(method.status == 405 && method.header("allow").is_some(), "{method}");
    let head = caller.send(caller.ask("HEAD", &path("?limit=1"))?).await?;
    ensure!(head.status == 200 && head.text.is_empty() && next(&head).is_some(), "{head}");
    Ok(())
}

#[tokio::test]
async fn a_list_shows_what_its_reader_may_see() -> Result<()> {
    let (world, spine) = with_devices("list_access", &["device-1", "device-2"]).await?;
    let tester = world.token();
    for (name, token, status, devices) in [
        ("a user", tester.clone().roles(&["user"]), 200, &["device-1", "device-2"][..]),
        ("an admin", tester.clone().roles(&["admin"]), 200, &["device-1", "device-2"]),
        ("a user bound to a device", tester.clone().device("device-2"), 200, &["device-2"]),
        ("a user bound to nothing there is", tester.clone().device("device-3"), 200, &[]),
        ("a device", tester.clone().roles(&["device"]), 403, &[]),
        ("an analyst", tester.clone().roles(&["analyst"]), 403, &[]),
        ("nobody", tester.clone().expired(3600), 401, &[]),
    ] {
        let caller = Caller::new(&spine.command_api, &spine.query_api, &token.sign()?)?;
        for query in ["", "?prefix=device", "?online=true", "?updated_since=2001-01-01T00:00:00Z"] {
            let read = caller.get(&path(query)).await?;
            ensure!(read.status == status, "{name}: {query}: {read}");
            if status == 200 {
                ensure!(ids(&listed(&read)?) == devices, "{name}: {query}: {read}");
            }
            let export = caller.ask("GET", &path(query))?.header("accept", "application/x-ndjson");
            let export = caller.send(export).await?;
            ensure!(export.status == status, "{name}: {query}: {export}");
            let rows = export.text.lines().filter(|line| line.contains("\"payload\"")).count();
            ensure!(status != 200 || rows == devices.len(), "{name}: {query}: {export}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_page_ends_early_where_payloads_are_large() -> Result<()> {
    let world = World::start("list_large").await?;
    let query_api = world.query_api()?.setting("MILLRACE_QUERY_API_PAGE_BYTES", 100_000);
    let spine = Spine::start_with(world.command_api()?, world.projector()?, query_api).await?;
    let large = format!("\"{}\"", "x".repeat(40_000));
    let reports = (0..9).map(|n| a_report(&format!("device-{n}")).saying(large.clone()));
    world.log()?.append(reports).await?;
    world.level().await?;
    let page = spine.caller.get(&path("")).await?;
    // Two are less than the page may have, so there is a third.
    ensure!(listed(&page)?.len() == 3 && next(&page).is_some(), "{}", page.text.len());
    let all = pages(&spine.caller, &path(""), async |_| Ok(())).await?;
    ensure!(ids(&all).len() == 9 && ids(&all).is_sorted(), "{:?}", ids(&all));
    let few = spine.caller.get(&path("?fields=id")).await?;
    ensure!(listed(&few)?.len() == 9, "payloads count that nobody asked for");
    Ok(())
}

#[tokio::test]
async fn a_list_with_a_token_shows_the_write_or_says_why_not() -> Result<()> {
    let (world, spine) = with_devices("list_tokens", &["device-1"]).await?;
    let caller = &spine.caller;
    for n in 0..50 {
        let posted = caller.report(&format!("new-{n}"), &n.to_string()).await?;
        let read = caller.get_after(&posted, &path("?prefix=new-&limit=500")).await?;
        ensure!(listed(&read)?.len() == n + 1, "write {n} is not shown: {read}");
        // Whoever goes on with the list's own token is never shown less.
        let again = caller.get_after(&read, &path("?prefix=new-&limit=500")).await?;
        ensure!(listed(&again)?.len() == n + 1, "{again}");
    }
    let refuse =
        "ALTER TABLE resource_rows ADD CONSTRAINT no_bad CHECK (payload::text <> '\"bad\"')";
    world.pool().execute(refuse).await?;
    let bad = caller.report("device-1", "\"bad\"").await?;
    let strict = caller.get_after(&bad, &path("")).await?;
    ensure!(strict.status == 503 && strict.problem() == "projection-parked", "{strict}");
    let token = bad.header("consistency-token").context("no token")?;
    let lenient = caller.ask("GET", &path("?prefix=device-1"))?;
    let lenient = lenient.header("consistency-token", token).header("prefer", "handling=lenient");
    let lenient = caller.send(lenient).await?;
    ensure!(lenient.status == 200 && lenient.header("age").is_some(), "{lenient}");
    // What it promises is shown to whoever asks strictly.
    if lenient.header("consistency-token").is_some() {
        let strict = caller.get_after(&lenient, &path("")).await?;
        ensure!(strict.status == 200, "{strict}");
    }
    let export = caller.ask("GET", &path(""))?.header("accept", "application/x-ndjson");
    let export = caller.send(export.header("consistency-token", token)).await?;
    ensure!(export.status == 503 && export.problem() == "projection-parked", "{export}");
    Ok(())
}
