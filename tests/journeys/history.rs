//! The history of a device: every event once, in pages, by time, by month.

mod isolation;
mod million;
mod months;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Answer, Caller, Running, Spine, World, eventually};

/// The path of a device's history.
fn path(device: &str, query: &str) -> String {
    format!("/api/v1/resources/{device}/history{query}")
}

fn items(answer: &Answer) -> Result<Vec<Value>> {
    ensure!(answer.status == 200, "not answered: {answer}");
    let items = answer.json()?["items"].as_array().cloned();
    items.with_context(|| format!("no items in {answer}"))
}

fn payloads(answer: &Answer) -> Result<Vec<i64>> {
    Ok(items(answer)?.iter().filter_map(|item| item["payload"].as_i64()).collect())
}

/// The path of the next page, if there is one.
pub(super) fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    Some(link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?.to_owned())
}

/// Every page from the first on, and what was done between them.
pub(super) async fn pages(
    caller: &Caller,
    first: &str,
    mut between: impl AsyncFnMut(usize) -> Result<()>,
) -> Result<Vec<Value>> {
    let (mut all, mut path) = (Vec::new(), Some(first.to_owned()));
    for number in 0.. {
        let Some(this) = path else { break };
        let page = caller.get(&this).await?;
        all.extend(items(&page)?);
        path = next(&page);
        between(number).await?;
    }
    Ok(all)
}

/// The memory that a process holds, in kilobytes.
pub(super) fn memory(process: &Running) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?;
    digits.trim().parse().context("VmRSS is no number")
}

#[tokio::test]
async fn every_distinct_event_is_in_the_history_of_its_device() -> Result<()> {
    let world = World::start("history").await?;
    let spine = Spine::start_whole(&world).await?;
    let caller = &spine.caller;
    let payload = r#"{ "n":1e2, "t":"é\u00e9" }"#;
    let first = caller.report("device-1", payload).await?;
    let second = caller.report_named("device-1", "2", "a-key").await?;
    caller.report_named("device-1", "2", "a-key").await?;
    let third = caller.report("device-1", "3").await?;
    caller.report("device-2", "4").await?;

    let read = caller.get_after(&third, &path("device-1", "")).await?;
    let shown = items(&read)?;
    let ids: Vec<_> = shown.iter().map(|item| item["event_id"].clone()).collect();
    let sent = [&third, &second, &first].map(|a| a.json().map(|json| json["request_id"].clone()));
    let sent = sent.into_iter().collect::<Result<Vec<_>>>()?;
    ensure!(ids == sent, "newest first, each once: {ids:?} and not {sent:?}");
    ensure!(read.text.contains(payload), "the payload is not what was sent: {read}");
    for item in &shown {
        ensure!(item["device_id"] == "device-1" && item["recorded_at"].is_string(), "{item}");
        ensure!(item["partition"].is_u64() && item["log_offset"].is_u64(), "{item}");
    }
    ensure!(read.header("consistency-token").is_some() && next(&read).is_none(), "{read:?}");

    // In the other direction, and by somebody who asks for no write.
    let oldest = caller.get(&path("device-1", "?order=asc&limit=1")).await?;
    ensure!(items(&oldest)?[0]["event_id"] == sent[2], "{oldest}");
    let unknown = caller.get(&path("device-of-nobody", "")).await?;
    ensure!(unknown.status == 404 && unknown.problem() == "not-found", "{unknown}");
    let empty = caller.get(&path("device-1", "?to=2001-01-01T00:00:00Z")).await?;
    ensure!(items(&empty)?.is_empty(), "{empty}");
    Ok(())
}

#[tokio::test]
async fn pages_together_hold_every_event_once_while_more_arrive() -> Result<()> {
    let world = World::start("history_pages").await?;
    let spine = Spine::start_whole(&world).await?;
    let caller = &spine.caller;
    let mut last = caller.report("device-1", "0").await?;
    for n in 1..100 {
        last = caller.report("device-1", &n.to_string()).await?;
    }
    caller.get_after(&last, &path("device-1", "")).await?;

    let mut written = 100_i64;
    for order in ["desc", "asc"] {
        let there_before = written;
        let first = path("device-1", &format!("?order={order}&limit=7"));
        let shown = pages(caller, &first, async |_| {
            // Fewer than a page shows: those that are appended come to an end too.
            for n in [written, written + 1] {
                last = caller.report("device-1", &n.to_string()).await?;
            }
            written += 2;
            caller.get_after(&last, &path("device-1", "?limit=1")).await.map(drop)
        })
        .await?;
        let numbers: Vec<i64> = shown.iter().filter_map(|item| item["payload"].as_i64()).collect();
        let distinct: BTreeSet<i64> = numbers.iter().copied().collect();
        ensure!(distinct.len() == numbers.len(), "{order}: something is shown twice: {numbers:?}");
        let missing: Vec<_> = (0..there_before).filter(|n| !distinct.contains(n)).collect();
        ensure!(missing.is_empty(), "{order}: missing are {missing:?}");
        let is_sorted = match order {
            "desc" => numbers.iter().rev().is_sorted(),
            _ => numbers.is_sorted(),
        };
        ensure!(is_sorted, "{order}: not in the order of the log: {numbers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_range_of_time_holds_its_beginning_and_not_its_end() -> Result<()> {
    let world = World::start("history_range").await?;
    let spine = Spine::start_whole(&world).await?;
    let caller = &spine.caller;
    let mut last = caller.report("device-1", "0").await?;
    for n in 1..6 {
        // The log's clock has milliseconds: each event has a time of its own.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        last = caller.report("device-1", &n.to_string()).await?;
    }
    let all = caller.get_after(&last, &path("device-1", "?order=asc")).await?;
    let time = |n: usize| -> Result<String> {
        let items = items(&all)?;
        let time = items.get(n).and_then(|item| item["recorded_at"].as_str().map(str::to_owned));
        time.with_context(|| format!("no event {n} in {all}"))
    };
    let (from, to) = (time(1)?, time(4)?);
    for (query, expected) in [
        (format!("?from={from}&to={to}"), &[3, 2, 1][..]),
        (format!("?from={from}&to={to}&order=asc"), &[1, 2, 3]),
        (format!("?from={to}"), &[5, 4]),
        (format!("?to={from}"), &[0]),
        (format!("?from={from}&to={from}"), &[]),
        // The same moment, written with an offset.
        (format!("?to={}", from.replace('Z', "+00:00")), &[0]),
    ] {
        let read = caller.get(&path("device-1", &query)).await?;
        ensure!(payloads(&read)? == expected, "{query}: {read}");
    }
    let few = format!("?from={from}&to={to}&limit=1");
    let paged = pages(caller, &path("device-1", &few), async |_| Ok(())).await?;
    ensure!(paged.len() == 3, "pages of a range hold {}", paged.len());
    Ok(())
}

#[tokio::test]
async fn what_is_no_history_is_refused_by_name() -> Result<()> {
    let world = World::start("history_refused").await?;
    let spine = Spine::start_whole(&world).await?;
    let caller = &spine.caller;
    for n in 0..3 {
        let posted = caller.report("device-1", &n.to_string()).await?;
        caller.get_after(&posted, &path("device-1", "")).await?;
    }
    for (query, parameter, rule) in [
        ("?limit=0", "limit", "min"),
        ("?limit=501", "limit", "max"),
        ("?limit=many", "limit", "whole-number"),
        ("?from=today", "from", "rfc-3339"),
        ("?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "to", "range"),
        ("?order=up", "order", "one-of"),
        ("?since=2026-03-02T00:00:00Z", "since", "known-parameters"),
        ("?order=asc&order=asc", "order", "once"),
    ] {
        let read = caller.get(&path("device-1", query)).await?;
        ensure!(read.status == 400 && read.problem() == "invalid-request", "{query}: {read}");
        let error = &read.json()?["errors"][0];
        ensure!(error["parameter"] == parameter && error["rule"] == rule, "{query}: {read}");
    }

    let page = caller.get(&path("device-1", "?limit=1")).await?;
    let link = next(&page).context("no next page")?;
    let (_, cursor) = link.split_once("cursor=").context("no cursor")?;
    let cursor = cursor.split('&').next().unwrap_or_default();
    ensure!(payloads(&caller.get(&link).await?)? == [1], "the cursor is not taken");
    // A client may take larger steps from here on.
    let larger = caller.get(&path("device-1", &format!("?limit=2&cursor={cursor}"))).await?;
    ensure!(payloads(&larger)? == [1, 0], "{larger}");
    let mut changed = cursor.to_owned();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    for (device, query) in [
        ("device-1", format!("?order=asc&cursor={cursor}")),
        ("device-1", format!("?from=2001-01-01T00:00:00Z&cursor={cursor}")),
        ("device-2", format!("?cursor={cursor}")),
        ("device-1", format!("?cursor={changed}")),
        ("device-1", "?cursor=x".to_owned()),
    ] {
        let read = caller.get(&path(device, &query)).await?;
        ensure!(read.status == 400 && read.problem() == "invalid-cursor", "{query}: {read}");
    }
    Ok(())
}

#[tokio::test]
async fn a_history_is_read_by_who_may_read_the_device() -> Result<()> {
    let world = World::start("history_access").await?;
    let spine = Spine::start_whole(&world).await?;
    let posted = spine.caller.report("device-1", "1").await?;
    let tester = world.token();
    for (name, token, status) in [
        ("a user", tester.clone().roles(&["user"]), 200),
        ("an admin", tester.clone().roles(&["admin"]), 200),
        ("the device", tester.clone().roles(&["device"]).device("device-1"), 200),
        ("another device", tester.clone().roles(&["device"]).device("device-2"), 403),
        ("a user bound to another device", tester.clone().device("device-2"), 403),
        ("an analyst", tester.clone().roles(&["analyst"]), 403),
        ("nobody", tester.clone().expired(3600), 401),
    ] {
        let caller = Caller::new(&spine.command_api, &spine.query_api, &token.sign()?)?;
        for accept in ["application/json", "application/x-ndjson"] {
            let request = caller.ask("GET", &path("device-1", ""))?.header("accept", accept);
            let token = posted.header("consistency-token").context("no token")?;
            let read = caller.send(request.header("consistency-token", token)).await?;
            ensure!(read.status == status, "{name}: {accept}: {read}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn positions_set_back_change_no_history() -> Result<()> {
    let world = World::start("history_set_back").await?;
    let projector = world.projector_of("device_history")?.start().await?;
    projector.ready().await?;
    let log = world.log()?;
    log.append_backlog(test_support::Backlog { events: 3_000, devices: 20 }).await?;
    world.level().await?;
    let rows = async || {
        let found: Vec<(String, i32, i64, String)> = sqlx::query_as(
            "SELECT device_id, partition, log_offset, event_id::text || payload::text
             FROM device_history ORDER BY partition, log_offset",
        )
        .fetch_all(world.pool())
        .await?;
        anyhow::Ok(found)
    };
    let before = rows().await?;
    let oracle = test_support::Oracle::of(&log).await?;
    let counted: i64 = oracle.rows.values().map(|row| row.version).sum();
    ensure!(before.len() as i64 == counted, "{} rows of {counted} events", before.len());
    world.set_positions_back().await?;
    log.append_backlog(test_support::Backlog { events: 40, devices: 20 }).await?;
    eventually("all is folded again", async || world.level().await).await?;
    let after = rows().await?;
    let kept: Vec<_> = after.iter().filter(|row| before.contains(row)).collect();
    ensure!(kept.len() == before.len(), "{} of {} rows are as before", kept.len(), before.len());
    let distinct: BTreeSet<_> = after.iter().map(|row| (row.1, row.2)).collect();
    ensure!(distinct.len() == after.len(), "a record is there twice");
    Ok(())
}
