//! A deployment that has chosen how many partitions its topics have.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use test_support::{Spine, World};
use xtask::deploy::Target;

const PARTITIONS: i32 = 31;
const DEVICES: usize = 200;

#[tokio::test]
async fn every_process_keeps_to_the_number_of_partitions_that_was_deployed() -> Result<()> {
    let world = World::start_with_partitions("partitions", PARTITIONS).await?;
    let spine = Spine::start(&world).await?;
    for n in 0..DEVICES {
        let device = format!("device-{n}");
        let written = spine.caller.report(&device, &n.to_string()).await?;
        ensure!(written.status == 202, "{device}: {written}");
        // By the token: both sides agree on where the event of the device stands.
        let read = spine.caller.read_after(&written, &device).await?;
        ensure!(read.status == 200 && read.json()?["payload"] == n, "{device}: {read}");
    }
    let records = world.log()?.read().await?;
    let used: BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
    ensure!(used == (0..PARTITIONS).collect(), "the records are in {used:?}");
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn another_number_later_changes_nothing() -> Result<()> {
    let world = World::start_with_partitions("partitions-again", 5).await?;
    let (brokers, registry) = (world.stack().brokers()?, world.stack().registry_url()?);
    let target = Target::open(&world.database_url("appuser")?, brokers, registry, world.prefix())?;
    Target { partitions: 7, ..target }.deploy().await.context("deploying again")?;
    let recorded: Vec<i32> = sqlx::query_scalar("SELECT DISTINCT partitions FROM topics")
        .fetch_all(world.pool())
        .await?;
    ensure!(recorded == [5], "recorded are {recorded:?}");
    let spine = Spine::start(&world).await?;
    let written = spine.caller.report("device-1", "1").await?;
    ensure!(spine.caller.read_after(&written, "device-1").await?.status == 200, "it is not shown");
    Ok(())
}
