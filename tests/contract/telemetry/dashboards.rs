//! Every query of every panel, asked of a real Prometheus that scrapes a stack under traffic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Outgoing, Prometheus, Spine, World, a_report, event_body, eventually_within};

use super::sink::{Conduct, Sink};
use super::traced;

/// Panels that are about faults that this test does not make, and why nothing can be seen in them.
const EMPTY_IN_HEALTH: [(&str, &str); 2] =
    [("Alerts that fire", "none fires"), ("Components that are not ready", "all are")];

/// What Grafana would put in the place of its variables.
const VARIABLES: [(&str, &str); 2] = [("$__rate_interval", "15s"), ("$projection", ".+")];

/// Rules that look back far are applied often, so that what they record is there at once.
fn impatient(rules: &str) -> String {
    rules.replace("interval: 1m", "interval: 1s")
}

pub(crate) fn checkout() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("tests are in a checkout")?.to_owned())
}

/// The files of a folder with this ending, by name.
pub(crate) fn files(folder: &str, ending: &str) -> Result<BTreeMap<String, String>> {
    let folder = checkout()?.join(folder);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("listing {folder:?}"))? {
        let path = entry.context("listing")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            let text = std::fs::read_to_string(&path).with_context(|| format!("{path:?}"))?;
            files.insert(name, text);
        }
    }
    ensure!(!files.is_empty(), "there is no {ending} in {folder:?}");
    Ok(files)
}

/// A query with where it stands.
struct Query {
    place: String,
    title: String,
    expression: String,
}

fn queries() -> Result<Vec<Query>> {
    let mut queries = Vec::new();
    for (file, text) in files("deploy/grafana/dashboards", ".json")? {
        let dashboard: Value = serde_json::from_str(&text).with_context(|| file.clone())?;
        for panel in dashboard["panels"].as_array().context("no panels")? {
            let title = panel["title"].as_str().context("no title")?.to_owned();
            for target in panel["targets"].as_array().context("no targets")? {
                let expression = target["expr"].as_str().context("no query")?.to_owned();
                let place = format!("{file}: {title}: {expression}");
                queries.push(Query { place, title: title.clone(), expression });
            }
        }
    }
    Ok(queries)
}

#[tokio::test]
async fn every_panel_shows_something_of_a_stack_under_traffic() -> Result<()> {
    let (world, sink) = (World::start("panels").await?, Sink::start(Conduct::Take).await?);
    let projector = traced(world.projector_of("resource,device_history")?, &sink);
    let command_api = traced(world.command_api()?, &sink);
    let spine =
        Spine::start_with(command_api, projector, traced(world.query_api()?, &sink)).await?;
    let rules = files("deploy/prometheus/rules", ".yml")?;
    let rules = rules.into_iter().map(|(name, text)| (name, impatient(&text))).collect();
    let prometheus = Prometheus::start(&rules).await?;
    prometheus
        .scrape(&[
            ("command-api", spine.command_api.address()),
            ("query-api", spine.query_api.address()),
            ("projector", spine.projector.address()),
        ])
        .await?;

    spoil(&world).await?;
    let queries = queries()?;
    ensure!(queries.len() > 60, "there are only {} queries", queries.len());
    let mut round = 0;
    eventually_within(Duration::from_secs(120), "every panel shows something", async || {
        round += 1;
        use_everything(&world, &spine, round).await?;
        let mut empty = Vec::new();
        for Query { place, title, expression } in &queries {
            if EMPTY_IN_HEALTH.iter().any(|(panel, _)| panel == title) {
                continue;
            }
            let expression = VARIABLES
                .iter()
                .fold(expression.clone(), |text, (name, value)| text.replace(name, value));
            let found = prometheus.query(&expression).await?;
            if !found.iter().any(|sample| sample.value.is_finite()) {
                empty.push(place.clone());
            }
        }
        ensure!(empty.is_empty(), "these show nothing:\n  {}", empty.join("\n  "));
        Ok(())
    })
    .await?;
    must_be_few(&prometheus).await
}

/// No label has more values than there are routes and partitions, whatever users send.
async fn must_be_few(prometheus: &Prometheus) -> Result<()> {
    let all = prometheus.query("count by (__name__) ({job=~\".+-.+|projector\"})").await?;
    for sample in &all {
        let (name, series) = (&sample.labels["__name__"], sample.value);
        // Buckets, methods, routes and statuses multiply; nothing else comes near.
        ensure!(series <= 1_000.0, "{name} has {series} series");
    }
    let series: f64 = all.iter().map(|sample| sample.value).sum();
    ensure!(series < 8_000.0, "there are {series} series");
    Ok(())
}

/// Records that become letters: one parked at once, one tried again, one that nobody can read.
async fn spoil(world: &World) -> Result<()> {
    let log = world.log()?;
    let reused = [
        log.record(&a_report("spoilt").named(7, 1))?,
        log.record(&a_report("spoilt").named(7, 2))?,
    ];
    let no_json = log.record(&a_report("spoilt").saying("not JSON"))?;
    let value = reused[0].value.clone().context("an event without a value")?;
    let unknown = [&[0, 0x7f, 0, 0, 1], &value[5..]].concat();
    let unknown = Outgoing { value: Some(unknown), ..reused[0].clone() };
    log.append_raw(reused.into_iter().chain([no_json, unknown]).collect()).await
}

/// What users do, right and wrong.
async fn use_everything(world: &World, spine: &Spine, round: usize) -> Result<()> {
    let caller = &spine.caller;
    for n in 0..5 {
        let device = format!("device-{n}");
        let written = caller.report(&device, &round.to_string()).await?;
        let read = caller.read_after(&written, &device).await?;
        ensure!(read.status == 200, "it answers {read}");
        caller.read(&device).await?;
        let tag = read.header("etag").context("no etag")?;
        caller.send(caller.resource("GET", &device)?.header("if-none-match", tag)).await?;
        caller.get(&format!("/api/v1/resources/{device}/history")).await?;
    }
    caller.report_named("device-1", "1", "the-same").await?;
    caller.send(caller.post("[]")?).await?;
    caller.send(caller.post("{")?).await?;
    let items: Vec<_> = (0..20).map(|n| event_body(&format!("many-{n}"), "{}")).collect();
    caller.send(caller.post(format!("[{}]", items.join(",")))?).await?;
    caller.read("nobody").await?;
    caller.get("/api/v1/resources").await?;
    let export = caller.ask("GET", "/api/v1/resources")?;
    caller.send(export.header("accept", "application/x-ndjson")).await?;
    let stranger = test_support::Client::new()?;
    stranger.get(&spine.query_api.url("/api/v1/resources/device-1")).await?;
    stranger.get(&spine.command_api.url(&format!("/nowhere/{round}"))).await?;
    world.level().await
}
