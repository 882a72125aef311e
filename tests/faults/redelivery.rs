//! Records that come again: because a position was set back, because two projectors read the same
//! partitions, because a client sent its event twice.

use anyhow::{Context as _, Result, ensure};
use projector::resource::Resource;
use projector::runner::Runner;
use settings::Settings;
use test_support::{Backlog, Outgoing, Running, World, a_report, eventually};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn positions_set_back_under_a_running_projector_change_no_row() -> Result<()> {
    let world = World::start("set_back").await?;
    let backlog = Backlog { events: 30_000, devices: 300 };
    let log = world.log()?;
    log.append_backlog(backlog).await?;
    let projector =
        world.projector()?.setting("MILLRACE_PROJECTOR_BATCH_RECORDS", 50).start().await?;
    for part in 1..=3 {
        let folded_at_least = backlog.events.cast_signed() * part / 10;
        eventually("the drain has come far enough", async || {
            let folded = world.folded().await?;
            ensure!(folded >= folded_at_least, "{folded} of {folded_at_least} are folded");
            Ok(())
        })
        .await?;
        world.set_positions_back().await?;
    }
    world.level().await?;
    ensure!(projector.metric("projection_fence_lost_total").await? >= 1.0, "no batch was refused");
    // Of an idle projection too: the next record meets the fence.
    world.set_positions_back().await?;
    log.append_backlog(Backlog { events: 2_000, devices: 300 }).await?;
    world.level().await?;
    world.must_equal_the_log().await?;
    projector.ready().await
}

#[tokio::test]
async fn two_projectors_on_the_same_partitions_fold_each_record_once() -> Result<()> {
    let world = World::start("two_owners").await?;
    let log = world.log()?;
    let slow = world.projector()?.setting("MILLRACE_PROJECTOR_BATCH_RECORDS", 100);
    let projector = slow.start().await?;
    projector.ready().await?;

    // Another consumer group, so that both are given every partition for the whole test.
    let mut settings = Settings::new(slow.settings());
    let projections = projector::Config::from_settings(&mut settings).projections;
    let mut config = projections.resource.context("resource is not run")?;
    settings.finish(()).context("the settings of the second projector")?;
    config.consumer.group.push_str(".second");
    config.consumer.client = "second".to_owned();
    let second = Runner::start(config, Resource);
    eventually("the second projector has every partition", async || {
        let count = second.progress().partitions().len();
        ensure!(count == 12, "it has {count}");
        Ok(())
    })
    .await?;

    log.append_backlog(Backlog { events: 40_000, devices: 300 }).await?;
    world.level().await?;
    ensure!(lost_fences(&projector).await? >= 1.0, "the two never met");
    let owners = world.owners().await?;
    world.must_equal_the_log().await?;
    ensure!(
        owners.values().any(|owner| owner == "second"),
        "the second projector folded nothing: {owners:?}"
    );
    second.stop().await;
    Ok(())
}

async fn lost_fences(projector: &Running) -> Result<f64> {
    projector.metric("projection_fence_lost_total").await
}

#[tokio::test]
async fn an_event_sent_again_after_another_leaves_the_other_s_state() -> Result<()> {
    let world = World::start("e1_e2_e1").await?;
    let log = world.log()?;
    let first = a_report("device-1").named(1, 1).saying(r#"{"state":"first"}"#);
    let second = a_report("device-1").named(2, 2).saying(r#"{"state":"second"}"#);
    let projector = world.projector()?.start().await?;

    // Each in a batch of its own, then all of another device in one batch.
    for report in [&first, &second, &first] {
        log.append([report.clone()]).await?;
        world.level().await?;
    }
    let again = |report: &str, id| a_report("device-2").named(id, 1).saying(report.to_owned());
    log.append([again("1", 3), again("2", 4), again("1", 3)]).await?;
    world.level().await?;

    let rows = world.rows().await?;
    ensure!(rows["device-1"].payload == r#"{"state":"second"}"#, "{:?}", rows["device-1"]);
    ensure!(rows["device-1"].version == 2, "{:?}", rows["device-1"]);
    ensure!(rows["device-2"].payload == "2", "{:?}", rows["device-2"]);
    ensure!(rows["device-2"].version == 2, "{:?}", rows["device-2"]);
    let duplicates = projector.metric("projection_duplicates_total").await?;
    ensure!(duplicates == 2.0, "{duplicates} duplicates were counted");
    world.must_equal_the_log().await.map(drop)
}

/// The same event at these days of log time, under the writer's clock.
fn on_days(world: &World, device: &str, days: &[i64]) -> Result<Vec<Outgoing>> {
    let log = world.log()?;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_millis();
    let begin = i64::try_from(now)? - 30 * DAY_MS;
    let id = u128::from(device.as_bytes()[0]);
    days.iter()
        .map(|day| {
            let mut record = log.record(&a_report(device).named(id, 1))?;
            record.timestamp_ms = Some(begin + day * DAY_MS);
            Ok(record)
        })
        .collect()
}

#[tokio::test]
async fn an_identity_is_forgotten_after_seven_days_of_log_time() -> Result<()> {
    let world = World::start("seven_days").await?;
    let log = world.log()?;
    log.take_writers_times().await?;
    let days = [0, 6, 8, 14, 16];
    // One device whose events make one batch, and one whose events make a batch each.
    log.append_raw(on_days(&world, "together", &days)?).await?;
    let projector = world.projector()?.start().await?;
    world.level().await?;
    for record in on_days(&world, "apart", &days)? {
        log.append_raw(vec![record]).await?;
        world.level().await?;
    }
    let oracle = world.must_equal_the_log().await?;
    // Day 6 repeats day 0, day 14 repeats day 8.
    ensure!(oracle.rows["apart"].version == 3, "{:?}", oracle.rows["apart"]);
    projector.ready().await
}

#[tokio::test]
async fn the_registry_is_not_needed_for_known_schemas() -> Result<()> {
    let world = World::start("no_registry").await?;
    // Port 1 refuses.
    let projector =
        world.projector()?.setting("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1").start().await?;
    projector.ready().await?;
    world.log()?.append_backlog(Backlog { events: 1_000, devices: 10 }).await?;
    world.level().await?;
    world.must_equal_the_log().await?;
    projector.ready().await
}
