//! A database that is locked, cut off, frozen, read-only or forgets its sessions: nothing is set
//! aside, nothing is folded twice, and when it is back so is the projection, by itself.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use test_support::{Backlog, Link, Proxy, Running, World, a_report, eventually};

const BACKLOG: Backlog = Backlog { events: 40_000, devices: 300 };

/// One report of each of a hundred devices: some for every partition.
fn a_round(payload: &str) -> impl Iterator<Item = test_support::Report> + use<'_> {
    (0..100).map(move |n| a_report(&format!("device-{n}")).saying(payload))
}

async fn folded_at_least(world: &World, least: i64) -> Result<()> {
    eventually("the drain has come far enough", async || {
        let folded = world.folded().await?;
        ensure!(folded >= least, "{folded} of {least} are folded");
        Ok(())
    })
    .await
}

async fn lag_is_zero(projector: &Running) -> Result<()> {
    eventually("the lag is 0", async || {
        let lag = projector.metric("projection_lag_seconds").await?;
        ensure!(lag == 0.0, "the lag of all partitions is {lag} seconds");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_position_locked_by_another_session_delays_its_partition_alone() -> Result<()> {
    const HELD: i32 = 3;
    let world = World::start("locked").await?;
    let log = world.log()?;
    let projector =
        world.projector()?.setting("MILLRACE_PROJECTOR_LOCK_TIMEOUT_MS", 300).start().await?;
    log.append(a_round("1")).await?;
    world.level().await?;

    let held = world.hold_position(HELD).await?;
    let before = world.positions().await?[&HELD];
    log.append(a_round("2")).await?;
    let ends = log.ends().await?;
    ensure!(ends[&HELD] > before, "partition {HELD} has nothing to fold");
    eventually("the other partitions go on", async || {
        let positions = world.positions().await?;
        let behind: Vec<_> =
            ends.iter().filter(|(id, end)| **id != HELD && positions[id] < **end).collect();
        ensure!(behind.is_empty(), "{behind:?} are behind");
        Ok(())
    })
    .await?;
    projector.not_ready(&[&format!("partition {HELD} is retrying"), "55P03"]).await?;
    let lag = projector.metric("projection_lag_seconds").await?;
    ensure!(lag >= 4.0, "the lag is {lag} seconds after five seconds");
    ensure!(world.positions().await?[&HELD] == before, "the lock did not hold");
    held.rollback().await?;

    world.level().await?;
    lag_is_zero(&projector).await?;
    world.must_equal_the_log().await?;
    projector.ready().await
}

#[tokio::test]
async fn sessions_that_are_ended_in_mid_drain_change_nothing() -> Result<()> {
    let world = World::start("terminated").await?;
    world.log()?.append_backlog(BACKLOG).await?;
    let projector =
        world.projector()?.setting("MILLRACE_PROJECTOR_BATCH_RECORDS", 100).start().await?;
    for part in 1..=8 {
        folded_at_least(&world, BACKLOG.events.cast_signed() * part / 10).await?;
        eventually("a session is ended", async || {
            let ended = world.terminate_sessions("projector").await?;
            ensure!(ended > 0, "there is none");
            Ok(())
        })
        .await?;
    }
    ensure!(world.folded().await? < BACKLOG.events.cast_signed(), "the drain was over too early");
    world.level().await?;
    let failed = projector.metric("projection_failed_attempts_total").await?;
    ensure!(failed >= 1.0, "no attempt failed");
    world.must_equal_the_log().await?;
    lag_is_zero(&projector).await?;
    projector.ready().await
}

async fn in_mid_drain(name: &str, link: Link) -> Result<()> {
    let world = World::start(name).await?;
    let proxy = Proxy::start(world.stack().database_address()?).await?;
    let url = world.database_url("projector")?;
    let through = url.replace(world.stack().database_address()?, &proxy.address().to_string());
    world.log()?.append_backlog(BACKLOG).await?;
    let projector = world
        .projector()?
        .setting("DATABASE_URL", through)
        .setting("MILLRACE_PROJECTOR_BATCH_RECORDS", 100)
        .setting("MILLRACE_PROJECTOR_TRANSACTION_TIMEOUT_MS", 1_000)
        .setting("MILLRACE_PROJECTOR_LOCK_TIMEOUT_MS", 500)
        .start()
        .await?;
    folded_at_least(&world, BACKLOG.events.cast_signed() / 10).await?;
    let began = Instant::now();
    proxy.set(link);
    projector.not_ready(&["is retrying"]).await?;
    ensure!(projector.get("/health/live").await?.status == 200, "a fault of another made it die");
    eventually("eight seconds are over", async || {
        let passed = began.elapsed();
        ensure!(passed >= Duration::from_secs(8), "{passed:?} are");
        Ok(())
    })
    .await?;
    let stood_at = world.folded().await?;
    ensure!(stood_at < BACKLOG.events.cast_signed(), "the drain was over before the fault");
    proxy.set(Link::Open);
    world.level().await?;
    lag_is_zero(&projector).await?;
    world.must_equal_the_log().await?;
    projector.ready().await
}

#[tokio::test]
async fn a_database_that_is_cut_off_is_waited_for() -> Result<()> {
    in_mid_drain("cut", Link::Cut).await
}

#[tokio::test]
async fn a_database_that_does_not_answer_any_more_is_waited_for() -> Result<()> {
    in_mid_drain("frozen", Link::Frozen).await
}

#[tokio::test]
async fn commits_whose_answers_are_lost_are_not_made_twice() -> Result<()> {
    in_mid_drain("one_way", Link::OneWay).await
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_waited_for() -> Result<()> {
    let world = World::start("read_only").await?;
    let log = world.log()?;
    let projector = world.projector()?.start().await?;
    log.append(a_round("1")).await?;
    world.level().await?;
    world.set_read_only("projector", true).await?;
    log.append(a_round("2")).await?;
    projector.not_ready(&["25006"]).await?;
    world.set_read_only("projector", false).await?;
    world.level().await?;
    lag_is_zero(&projector).await?;
    world.must_equal_the_log().await?;
    projector.ready().await
}

#[tokio::test]
async fn a_projector_starts_before_its_database_can_be_reached() -> Result<()> {
    let world = World::start("late_database").await?;
    let proxy = Proxy::start(world.stack().database_address()?).await?;
    proxy.set(Link::Cut);
    let url = world.database_url("projector")?;
    let through = url.replace(world.stack().database_address()?, &proxy.address().to_string());
    world.log()?.append(a_round("1")).await?;
    let projector = world.projector()?.setting("DATABASE_URL", through).start().await?;
    projector.not_ready(&["database"]).await?;
    proxy.set(Link::Open);
    world.level().await?;
    world.must_equal_the_log().await?;
    projector.ready().await
}
