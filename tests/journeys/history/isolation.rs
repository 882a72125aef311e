//! Two projections of one topic in one process: what is wrong with one does not stop the other.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{Answer, Spine, World, eventually, eventually_within};

use super::{items, path};

/// From the first failure an event is tried again by itself for so long, and a little more.
const TRIED_BY_ITSELF: Duration = Duration::from_secs(15);

async fn history(spine: &Spine, written: &Answer) -> Result<Answer> {
    spine.caller.get_after(written, &path("device-1", "")).await
}

async fn resource_shows(spine: &Spine, written: &Answer, payload: &str) -> Result<()> {
    let read = spine.caller.read_after(written, "device-1").await?;
    ensure!(read.status == 200 && read.json()?["payload"] == payload, "{read}");
    Ok(())
}

#[tokio::test]
async fn a_letter_of_one_projection_is_none_of_the_other() -> Result<()> {
    let world = World::start("history_letter").await?;
    let spine = Spine::start_whole(&world).await?;
    let refuse = "ALTER TABLE device_history_rows
                  ADD CONSTRAINT no_bad CHECK (payload::text <> '\"bad\"')";
    world.pool().execute(refuse).await?;
    let bad = spine.caller.report("device-1", "\"bad\"").await?;
    resource_shows(&spine, &bad, "bad").await?;
    let strict = history(&spine, &bad).await?;
    ensure!(strict.status == 503 && strict.problem() == "projection-parked", "{strict}");
    let later = spine.caller.report("device-1", "\"later\"").await?;
    resource_shows(&spine, &later, "later").await?;
    let request = spine.caller.ask("GET", &path("device-1", ""))?;
    let token = later.header("consistency-token").context("no token")?;
    let lenient = request.header("consistency-token", token).header("prefer", "handling=lenient");
    let lenient = spine.caller.send(lenient).await?;
    ensure!(items(&lenient)?.len() == 1 && lenient.header("age").is_some(), "{lenient}");

    world.pool().execute("ALTER TABLE device_history_rows DROP CONSTRAINT no_bad").await?;
    eventually_within(TRIED_BY_ITSELF, "the event is folded by itself", async || {
        let read = history(&spine, &later).await?;
        let shown = items(&read)?;
        ensure!(shown.len() == 2 && shown[1]["payload"] == "bad", "{read}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_projection_that_stands_still_leaves_the_other_going() -> Result<()> {
    let world = World::start("history_braked").await?;
    let spine = Spine::start_whole(&world).await?;
    for (stopped, goes_on) in [("device_history", "resource"), ("resource", "device_history")] {
        let brake = format!(
            "UPDATE generations SET brake = 'a test', braked_at = now() WHERE projection = '{stopped}'"
        );
        world.pool().execute(sqlx::AssertSqlSafe(brake)).await?;
        let posted = spine.caller.report("device-1", &format!("\"{stopped}\"")).await?;
        let (shows, lacks) = match goes_on {
            "resource" => (
                spine.caller.read_after(&posted, "device-1").await?,
                history(&spine, &posted).await?,
            ),
            _ => (
                history(&spine, &posted).await?,
                spine.caller.read_after(&posted, "device-1").await?,
            ),
        };
        ensure!(shows.status == 200 && shows.text.contains(stopped), "{goes_on}: {shows}");
        ensure!(
            lacks.status == 503 && lacks.problem() == "projection-paused",
            "{stopped}: {lacks}"
        );
        spine.projector.not_ready(&[&format!("projection {stopped}"), "brake"]).await?;
        let health = spine.projector.get("/health/ready").await?;
        let faults = health.json()?["faults"].clone();
        ensure!(faults.get(format!("projection {goes_on}")).is_none(), "{health}");
        world.pool().execute("UPDATE generations SET brake = NULL, braked_at = NULL").await?;
        eventually("it goes on", async || {
            let read = match stopped {
                "resource" => spine.caller.read_after(&posted, "device-1").await?,
                _ => history(&spine, &posted).await?,
            };
            ensure!(read.status == 200 && read.text.contains(stopped), "{read}");
            Ok(())
        })
        .await?;
        spine.projector.ready().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_projection_without_its_tables_leaves_the_other_going() -> Result<()> {
    let world = World::start("history_away").await?;
    let spine = Spine::start_whole(&world).await?;
    world.pool().execute("ALTER TABLE device_history_rows RENAME TO away").await?;
    let mut posted = spine.caller.report("device-1", "\"0\"").await?;
    for n in 1..20 {
        posted = spine.caller.report("device-1", &format!("\"{n}\"")).await?;
    }
    resource_shows(&spine, &posted, "19").await?;
    spine.projector.not_ready(&["projection device_history", "42P01"]).await?;
    let letters: i64 = sqlx::query_scalar("SELECT count(*) FROM letters")
        .fetch_one(world.pool())
        .await
        .context("counting letters")?;
    ensure!(letters == 0, "a fault of the deployment became {letters} letters");
    let metrics = spine.projector.get("/metrics").await?;
    for projection in ["resource", "device_history"] {
        let lag = format!("projection_lag_seconds{{projection=\"{projection}\"");
        ensure!(metrics.text.contains(&lag), "there is no lag of {projection}");
    }
    let failed = "projection_failed_attempts_total{projection=\"resource\"";
    ensure!(!metrics.text.contains(failed), "the other projection failed too");

    world.pool().execute("ALTER TABLE away RENAME TO device_history_rows").await?;
    eventually("the history catches up", async || {
        let read = history(&spine, &posted).await?;
        ensure!(items(&read)?.len() == 20, "{read}");
        Ok(())
    })
    .await?;
    spine.projector.ready().await
}

#[tokio::test]
async fn projections_may_be_given_processes_of_their_own() -> Result<()> {
    let world = World::start("history_apart").await?;
    let mut spine = Spine::start(&world).await?;
    let mut history_alone = world.projector_of("device_history")?.start().await?;
    history_alone.ready().await?;
    let posted = spine.caller.report("device-1", "\"1\"").await?;
    resource_shows(&spine, &posted, "1").await?;
    ensure!(items(&history(&spine, &posted).await?)?.len() == 1, "not in the history");

    spine.projector.kill9()?;
    let posted = spine.caller.report("device-1", "\"2\"").await?;
    ensure!(items(&history(&spine, &posted).await?)?.len() == 2, "not in the history");
    history_alone.terminate().await.map(drop)
}
