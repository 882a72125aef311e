//! Records that cannot be folded, and copies of them that nobody takes.

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{Spine, World, a_report};

use super::{must_be_quiet, scraped};

const ALERTS: [&str; 3] = ["LettersParked", "LetterCopiesWait", "ProjectionBraked"];

#[tokio::test]
async fn letters_are_told_of_until_they_are_settled_and_a_brake_until_it_is_released() -> Result<()>
{
    let world = World::start("alerts_letters").await?;
    let spine = Spine::start(&world).await?;
    let prometheus = scraped(&spine).await?;
    let (log, tool) = (world.log()?, world.dlq_replayer()?);
    world.level().await?;
    must_be_quiet(&prometheus, &ALERTS).await?;

    // A reused id is parked at once, and its copy has nowhere to go.
    let copies = world.copies()?;
    copies.delete().await?;
    log.append([a_report("spoilt").named(7, 1), a_report("spoilt").named(7, 2)]).await?;
    prometheus.fires("LettersParked").await?;
    prometheus.fires("LetterCopiesWait").await?;
    copies.create(12).await?;
    prometheus.clears("LetterCopiesWait").await?;
    let discard = ["discard", "--state", "parked", "--reason", "a test", "--yes"];
    let output = tool.run(&discard).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    prometheus.clears("LettersParked").await?;

    // One error on many keys.
    let refuse = "ALTER TABLE resource_rows ADD CONSTRAINT no_bad CHECK (payload::text <> '7')";
    world.pool().execute(refuse).await.context("refusing what is bad")?;
    log.append((0..500).map(|n| a_report(&format!("device-{n}")).saying("7"))).await?;
    prometheus.fires("ProjectionBraked").await?;
    // That is told, and not each of its partitions.
    ensure!(prometheus.firing("PartitionStopped").await?.is_empty(), "partitions are told of too");
    world.pool().execute("ALTER TABLE resource_rows DROP CONSTRAINT no_bad").await?;
    let output = tool.run(&["resume", "resource", "--reason", "mended"]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    prometheus.clears("ProjectionBraked").await
}
