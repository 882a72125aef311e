//! Kafka: away, and cut at its start.

use std::time::Duration;

use anyhow::{Result, ensure};
use test_support::{Caller, OwnStack, Spine, World, a_report, eventually_within};
use tokio::task::JoinSet;

use super::{Scraped, must_be_quiet, scraped};

#[tokio::test]
async fn a_broker_that_is_frozen_is_told_of_with_what_became_of_events() -> Result<()> {
    const ALERTS: [&str; 2] = ["BrokersUnreachable", "UnknownOutcomes"];
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "alerts_broker").await?;
    let command_api = world
        .command_api()?
        .setting("MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS", 2_000)
        .setting("MILLRACE_PRODUCER_STALL_TIMEOUT_MS", 1_000);
    let spine = Spine::start_with(command_api, world.projector()?, world.query_api()?).await?;
    let prometheus = scraped(&spine).await?;
    ensure!(spine.caller.report("device-1", "1").await?.status == 202);
    world.level().await?;
    must_be_quiet(&prometheus, &ALERTS).await?;

    own.freeze("kafka")?;
    let mut writers = JoinSet::new();
    for n in 0..20 {
        let caller: Caller = spine.caller.clone();
        writers.spawn(async move { caller.report(&format!("device-{n}"), "2").await });
    }
    let answers = writers.join_all().await;
    let unknown = answers.iter().flatten().filter(|answer| answer.problem() == "unknown-outcome");
    ensure!(unknown.count() > 0, "no outcome was unknown");
    prometheus.fires("UnknownOutcomes").await?;
    // The projector finds out when its client gives the frozen connection up.
    own.stop("kafka").await?;
    eventually_within(Duration::from_secs(60), "both sides tell of it", async || {
        let firing = prometheus.firing("BrokersUnreachable").await?;
        let jobs: Vec<_> = firing.iter().map(|sample| sample.labels["job"].as_str()).collect();
        ensure!(jobs.contains(&"projector") && jobs.contains(&"command-api"), "these do: {jobs:?}");
        // Only who writes learns that nobody answers.
        spine.caller.report("device-1", "3").await?;
        Ok(())
    })
    .await?;
    own.up().await?;
    must_be_quiet(&prometheus, &ALERTS).await
}

#[tokio::test]
async fn a_log_that_is_cut_is_told_of_and_so_is_a_partition_that_halts_at_it() -> Result<()> {
    const ALERTS: [&str; 3] = ["LogStartMoves", "PartitionStopped", "ProjectionBehind"];
    let world = World::start("alerts_log").await?;
    let mut spine = Spine::start(&world).await?;
    let prometheus = scraped(&spine).await?;
    let log = world.log()?;
    log.append((0..200).map(|n| a_report(&format!("device-{n}")))).await?;
    world.level().await?;
    must_be_quiet(&prometheus, &ALERTS).await?;

    // What was folded is removed: nothing is lost yet, and somebody must know.
    let ends = log.ends().await?;
    log.cut_below(0, ends[&0]).await?;
    let firing = prometheus.fires("LogStartMoves").await?;
    ensure!(firing.iter().all(|sample| sample.labels["partition"] == "0"), "{firing:?}");
    prometheus.clears("LogStartMoves").await?;

    // What was not folded is removed: the partition halts.
    spine.projector.terminate().await?;
    log.append((0..200).map(|n| a_report(&format!("device-{n}")))).await?;
    let ends = log.ends().await?;
    log.cut_below(0, ends[&0]).await?;
    let projector = world.projector()?.start().await?;
    let Spine { command_api, query_api, .. } = &spine;
    let all = Scraped { command_api, query_api, projector: &projector };
    prometheus.scrape(&all.targets()).await?;
    prometheus.fires("PartitionStopped").await?;

    // Somebody decides that the view goes on without those.
    let mut projector = projector;
    projector.terminate().await?;
    sqlx::query("UPDATE positions SET next_offset = $1, last_record = NULL, last_log_time = NULL WHERE partition = 0")
        .bind(ends[&0])
        .execute(world.pool())
        .await?;
    let projector = world.projector()?.start().await?;
    let all = Scraped { command_api, query_api, projector: &projector };
    prometheus.scrape(&all.targets()).await?;
    projector.ready().await?;
    prometheus.clears("PartitionStopped").await
}
