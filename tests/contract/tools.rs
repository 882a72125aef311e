//! The log in the hands of other people's tools: kcat, Python, the registry.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Spine, World, alone};
use tokio::process::Command;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Posts one event and returns its id.
async fn post(spine: &Spine) -> Result<String> {
    let request = spine
        .caller
        .post(r#"{"device_id":"device-123","payload":{"status":"ok","temp_c":21.5},"occurred_at":"2026-03-01T12:00:00.123456Z"}"#)?
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .header("x-request-id", "request-7");
    let posted = spine.caller.send(request).await?;
    ensure!(posted.status == 202, "it was answered {posted}");
    let id = posted.json()?["request_id"].as_str().map(str::to_owned);
    id.context("an event without an id")
}

async fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().await.with_context(|| format!("running {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

#[tokio::test]
async fn kcat_shows_the_key_and_the_headers_of_an_event() -> Result<()> {
    let world = World::start("kcat").await?;
    let spine = Spine::start(&world).await?;
    let id = post(&spine).await?;
    let log = world.log()?;
    let shown = run(Command::new("kcat")
        .args(["-C", "-e", "-q", "-o", "beginning", "-f", "%k|%h\n", "-t", log.topic()])
        .args(["-b", world.stack().brokers()?]))
    .await?;
    let shown = String::from_utf8(shown)?;
    let (key, headers) = shown.trim_end().split_once('|').context("kcat shows no record")?;
    ensure!(key == "device-123", "the key is {key}");
    let header = |name: &str| {
        headers.split(',').find_map(|header| header.strip_prefix(name)?.strip_prefix('='))
    };
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", &*id),
        ("ce_source", "/millrace/command-api"),
        ("ce_type", "millrace.device.event-reported.v1"),
        ("ce_subject", "device-123"),
        ("ce_partitionkey", "device-123"),
        ("ce_time", "2026-03-01T12:00:00.123456Z"),
        ("ce_correlationid", "request-7"),
        ("content-type", "application/avro"),
    ] {
        ensure!(header(name) == Some(value), "{name} is not {value} in {headers}");
    }
    let actor = header("ce_actor").context("there is no ce_actor")?;
    ensure!(!actor.is_empty(), "the actor is empty");
    let trace = header("traceparent").context("there is no traceparent")?;
    ensure!(trace.contains(TRACE), "the trace is lost: {trace}");
    Ok(())
}

/// A Python with fastavro, made once for all checkouts of a user.
async fn python() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let dir = cache.join("millrace/py");
    let python = dir.join("bin/python");
    let _alone = alone().await?;
    if run(Command::new(&python).args(["-c", "import fastavro"])).await.is_err() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir)).await?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "fastavro"])).await?;
    }
    Ok(python)
}

#[tokio::test]
async fn python_decodes_an_event_with_the_registry_alone() -> Result<()> {
    let python = python().await?;
    let world = World::start("fastavro").await?;
    let spine = Spine::start(&world).await?;
    let id = post(&spine).await?;
    let records = world.log()?.read().await?;
    let value = records.first().and_then(|record| record.value.as_ref()).context("no record")?;
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/contract/decode.py");
    let registry = world.stack().registry_url()?;
    let shown = run(Command::new(python).arg(script).arg(registry).arg(hex)).await?;
    let event: Value = serde_json::from_slice(&shown).context("Python shows no JSON")?;
    ensure!(event["device_id"] == "device-123", "{event}");
    ensure!(event["request_id"] == id, "{event}");
    ensure!(event["dedupe"] == "none" && event["body_hash"].is_null(), "{event}");
    ensure!(event["payload"] == r#"{"status":"ok","temp_c":21.5}"#, "{event}");
    ensure!(
        event["occurred_at"]
            .as_str()
            .is_some_and(|at| at.starts_with("2026-03-01 12:00:00.123456")),
        "{event}"
    );
    Ok(())
}
