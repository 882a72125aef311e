//! A log that is not the one that was folded: refused loudly, and nothing of it is folded.

use anyhow::{Result, ensure};
use test_support::{Running, World, a_report, eventually_within};

fn a_round(payload: &str) -> impl Iterator<Item = test_support::Report> + use<'_> {
    (0..200).map(move |n| a_report(&format!("device-{n}")).saying(payload))
}

/// A world whose projector has folded something of every partition.
async fn folded_world(name: &str) -> Result<(World, Running)> {
    let world = World::start(name).await?;
    let projector = world.projector()?.start().await?;
    world.log()?.append(a_round("1")).await?;
    world.level().await?;
    let positions = world.positions().await?;
    ensure!(positions.values().all(|next| *next > 0), "a partition is empty: {positions:?}");
    Ok((world, projector))
}

async fn recreate(world: &World, rounds: usize) -> Result<()> {
    let log = world.log()?;
    log.delete().await?;
    log.create(12).await?;
    for _ in 0..rounds {
        log.append(a_round("2")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_recreated_topic_with_more_records_is_refused_at_the_start() -> Result<()> {
    let (world, mut projector) = folded_world("recreated").await?;
    let before = world.rows().await?;
    projector.terminate().await?;
    recreate(&world, 2).await?;
    let projector = world.projector()?.start().await?;
    projector
        .not_ready(&["partition 0 is halted", "partition 11 is halted", "log-replaced"])
        .await?;
    ensure!(world.rows().await? == before, "a record of the new topic was folded");
    Ok(())
}

#[tokio::test]
async fn a_recreated_topic_with_fewer_records_is_refused_at_the_start() -> Result<()> {
    let (world, mut projector) = folded_world("emptied").await?;
    let before = world.rows().await?;
    projector.terminate().await?;
    recreate(&world, 0).await?;
    let projector = world.projector()?.start().await?;
    projector.not_ready(&["partition 0 is halted", "log-truncated"]).await?;
    ensure!(world.rows().await? == before, "the view changed without an event");
    Ok(())
}

#[tokio::test]
async fn a_topic_recreated_under_a_running_projector_is_refused() -> Result<()> {
    let (world, projector) = folded_world("swapped").await?;
    let before = world.rows().await?;
    recreate(&world, 2).await?;
    let patience = std::time::Duration::from_secs(60);
    eventually_within(patience, "the projector refuses the new topic", async || {
        let health = projector.get("/health/ready").await?;
        ensure!(health.status == 503 && health.text.contains("log-"), "it answers {health}");
        Ok(())
    })
    .await?;
    ensure!(world.rows().await? == before, "a record of the new topic was folded");
    Ok(())
}

#[tokio::test]
async fn a_log_cut_past_the_position_stops_that_partition_alone() -> Result<()> {
    let (world, mut projector) = folded_world("cut_log").await?;
    let log = world.log()?;
    projector.terminate().await?;
    let stood_at = world.positions().await?[&5];
    log.append(a_round("2")).await?;
    log.cut_below(5, stood_at + 2).await?;
    let projector = world.projector()?.start().await?;
    projector.not_ready(&["partition 5 is halted", "log-truncated"]).await?;
    let ends = log.ends().await?;
    test_support::eventually("the other partitions are level", async || {
        let positions = world.positions().await?;
        let behind: Vec<_> =
            ends.iter().filter(|(id, end)| **id != 5 && positions[id] < **end).collect();
        ensure!(behind.is_empty(), "{behind:?} are behind");
        Ok(())
    })
    .await?;
    ensure!(world.positions().await?[&5] == stood_at, "partition 5 has moved");
    Ok(())
}

#[tokio::test]
async fn more_partitions_than_recorded_are_refused_at_the_start() -> Result<()> {
    let (world, mut projector) = folded_world("grown").await?;
    let before = world.rows().await?;
    projector.terminate().await?;
    world.log()?.grow(24).await?;
    world.log()?.append(a_round("2")).await?;
    let projector = world.projector()?.start().await?;
    projector.not_ready(&["24 partitions", "12"]).await?;
    ensure!(world.rows().await? == before, "a key was folded from another partition");
    Ok(())
}

#[tokio::test]
async fn partitions_added_under_a_running_projector_are_noticed_and_not_folded() -> Result<()> {
    let (world, projector) = folded_world("growing").await?;
    let log = world.log()?;
    log.grow(24).await?;
    log.append(a_round("2")).await?;
    let patience = std::time::Duration::from_secs(60);
    eventually_within(patience, "the projector refuses the new partitions", async || {
        let health = projector.get("/health/ready").await?;
        ensure!(health.status == 503 && health.text.contains("partition"), "it answers {health}");
        Ok(())
    })
    .await?;
    let positions = world.positions().await?;
    let folded: Vec<_> = positions.iter().filter(|(id, next)| **id >= 12 && **next > 0).collect();
    ensure!(folded.is_empty(), "new partitions are folded: {folded:?}");
    Ok(())
}
