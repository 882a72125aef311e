//! Projectors that die or freeze in the middle of their work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use test_support::{Backlog, Running, World, a_report, alone, eventually, eventually_within};

const EVENTS: u64 = 1_000_000;
const KILLS: i64 = 10;

#[tokio::test]
async fn a_projector_killed_ten_times_in_a_drain_folds_a_million_events_once() -> Result<()> {
    let _alone = alone().await?;
    let world = World::start("kill").await?;
    let end = EVENTS.cast_signed();
    world.log()?.append_backlog(Backlog { events: EVENTS, devices: 10_000 }).await?;

    let projector = world.projector()?.setting("MILLRACE_PROJECTOR_BATCH_RECORDS", 1_000);
    for kill in 1..=KILLS {
        let mut running = projector.start().await?;
        // Somewhere within this kill's share of the log, so that all fall inside the drain.
        let share = end / (KILLS + 1);
        let target = share * kill - fraction_of(share);
        eventually_within(Duration::from_secs(60), "the drain has come far enough", async || {
            let folded = world.folded().await?;
            ensure!(folded >= target, "{folded} of {target} are folded");
            Ok(())
        })
        .await?;
        running.kill9()?;
        let folded = world.folded().await?;
        ensure!(
            0 < folded && folded < end,
            "kill {kill} fell outside the drain: {folded} of {end}"
        );
    }
    let _running = projector.start().await?;
    eventually_within(Duration::from_secs(90), "all are folded", async || {
        let folded = world.folded().await?;
        ensure!(folded == end, "{folded} of {end} are folded");
        Ok(())
    })
    .await?;
    let oracle = world.must_equal_the_log().await?;
    ensure!(oracle.duplicates > 0, "the backlog has no repeated events");
    Ok(())
}

/// A part of a share that no run repeats.
fn fraction_of(share: i64) -> i64 {
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
    share * i64::from(nanos % 1000) / 1000
}

#[tokio::test]
async fn a_projector_that_wakes_after_others_took_over_folds_nothing_twice() -> Result<()> {
    let world = World::start("zombie").await?;
    let log = world.log()?;
    let backlog = Backlog { events: 60_000, devices: 500 };
    let slow = |instance: &str| -> Result<_> {
        Ok(world
            .projector()?
            .setting("MILLRACE_INSTANCE", instance)
            .setting("MILLRACE_PROJECTOR_BATCH_RECORDS", 20)
            .setting("MILLRACE_PROJECTOR_TRANSACTION_TIMEOUT_MS", 1_000)
            .setting("MILLRACE_PROJECTOR_LOCK_TIMEOUT_MS", 500))
    };
    log.append_backlog(backlog).await?;

    let owner = slow("owner")?.start().await?;
    eventually("the owner folds", async || {
        let folded = world.folded().await?;
        ensure!(folded > 1_000, "{folded} are folded");
        Ok(())
    })
    .await?;
    owner.sigstop()?;
    let frozen_at = world.folded().await?;
    ensure!(frozen_at < backlog.events.cast_signed(), "the drain was over before the freeze");

    let successor = slow("successor")?.start().await?;
    eventually("the successor folds every partition", async || {
        let owners = world.owners().await?;
        let others: Vec<_> = owners.iter().filter(|(_, owner)| *owner != "successor").collect();
        ensure!(others.is_empty(), "others own {others:?}");
        Ok(())
    })
    .await?;
    owner.sigcont()?;
    log.append((0..100).map(|n| a_report(&format!("device-{n}")).saying(n.to_string()))).await?;
    world.level().await?;
    world.must_equal_the_log().await?;
    owner.ready().await?;
    successor.ready().await
}

#[tokio::test]
async fn projectors_whose_sessions_ran_out_join_again_by_themselves() -> Result<()> {
    let world = World::start("lost_sessions").await?;
    let log = world.log()?;
    // Several, since what happens first after a session's end differs.
    let mut projectors = Vec::new();
    for instance in ["a", "b", "c", "d"] {
        let launch = world.projector()?.setting("MILLRACE_INSTANCE", instance);
        projectors.push(launch.start().await?);
    }
    for projector in &projectors {
        projector.ready().await?;
    }
    log.append((0..100).map(|n| a_report(&format!("device-{n}")))).await?;
    world.level().await?;
    projectors.iter().try_for_each(Running::sigstop)?;
    // The group forgets members that are silent for longer than their sessions.
    let silent = Instant::now();
    eventually("the sessions have run out", async || {
        let passed = silent.elapsed();
        ensure!(passed > Duration::from_secs(8), "only {passed:?} have passed");
        Ok(())
    })
    .await?;
    projectors.iter().try_for_each(Running::sigcont)?;
    log.append((0..100).map(|n| a_report(&format!("device-{n}")))).await?;
    world.level().await?;
    // Ready before a member has noticed that its session is over would say nothing.
    for projector in &projectors {
        eventually("a projector has joined again", async || {
            let changes = projector.metric("projection_rebalances_total").await?;
            ensure!(changes >= 3.0, "its membership has changed {changes} times");
            Ok(())
        })
        .await?;
        projector.ready().await?;
    }
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn partitions_move_between_living_projectors_and_nothing_is_lost() -> Result<()> {
    let world = World::start("handover").await?;
    let log = world.log()?;
    let start = async |instance: &str| {
        world.projector()?.setting("MILLRACE_INSTANCE", instance).start().await
    };
    // Every partition gets something to fold while it is asked who folds it.
    let shared_by = async |wanted: &[&str]| {
        eventually(&format!("the partitions are shared by {wanted:?}"), async || {
            log.append((0..200).map(|n| a_report(&format!("device-{n}")))).await?;
            let owners = world.owners().await?;
            let found: BTreeSet<_> = owners.values().map(String::as_str).collect();
            ensure!(found == wanted.iter().copied().collect(), "they belong to {owners:?}");
            Ok(())
        })
        .await
    };
    let mut first = start("first").await?;
    shared_by(&["first"]).await?;
    let second = start("second").await?;
    shared_by(&["first", "second"]).await?;
    let third = start("third").await?;
    shared_by(&["first", "second", "third"]).await?;
    first.terminate().await?;
    shared_by(&["second", "third"]).await?;
    world.level().await?;
    world.must_equal_the_log().await?;
    tokio::try_join!(second.ready(), third.ready()).map(drop)
}
