//! A broker that is stopped, frozen or killed. These tests have a stack of their own, one at a time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use test_support::{
    Answer, Caller, OwnStack, Spine, World, event_body, eventually, eventually_within,
};
use tokio::task::JoinSet;

use crate::journeys::drain::{Load, must_hold};

/// Longest time to an answer with the settings of these tests.
const DEADLINE: Duration = Duration::from_secs(6);

/// The three processes, with a command-api that gives up on a record after two seconds.
async fn spine(world: &World) -> Result<Spine> {
    let command_api = world
        .command_api()?
        .setting("MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS", 2_000)
        .setting("MILLRACE_PRODUCER_STALL_TIMEOUT_MS", 1_000)
        .start()
        .await?;
    let (projector, query_api) =
        (world.projector()?.start().await?, world.query_api()?.start().await?);
    tokio::try_join!(command_api.ready(), projector.ready(), query_api.ready())?;
    let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;
    Ok(Spine { command_api, projector, query_api, caller })
}

/// Posts one named event for each of many devices at once; the answers in the order of devices.
async fn round(caller: &Caller, devices: usize, payload: &str) -> Result<Vec<(Answer, Duration)>> {
    let mut posts = JoinSet::new();
    for device in 0..devices {
        let (caller, payload) = (caller.clone(), payload.to_owned());
        posts.spawn(async move {
            let began = Instant::now();
            let name = format!("device-{device}");
            let request = caller.post(event_body(&name, &payload))?;
            let answer =
                caller.send(request.header("idempotency-key", format!("{payload}-{name}")));
            anyhow::Ok((device, answer.await?, began.elapsed()))
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = posts.join_next().await {
        answers.push(answer.context("a writer panicked")??);
    }
    answers.sort_by_key(|(device, ..)| *device);
    Ok(answers.into_iter().map(|(_, answer, took)| (answer, took)).collect())
}

fn all_accepted(answers: &[(Answer, Duration)]) -> Result<()> {
    for (answer, _) in answers {
        ensure!(answer.status == 202, "an event was answered {answer}");
    }
    Ok(())
}

/// Waits until an event is accepted again, without anything being restarted.
async fn accepts_again(caller: &Caller) -> Result<()> {
    eventually("events are accepted again", async || {
        let answer = caller.report("device-probe", "1").await?;
        ensure!(answer.status == 202, "one was answered {answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn events_that_meet_a_frozen_or_stopped_broker_are_refused_or_take_effect_once() -> Result<()>
{
    const DEVICES: usize = 100;
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "frozen_broker").await?;
    let spine = spine(&world).await?;
    all_accepted(&round(&spine.caller, DEVICES, "1").await?)?;

    own.freeze("kafka")?;
    let unknown = round(&spine.caller, DEVICES, "2").await?;
    for (answer, took) in &unknown {
        ensure!(answer.status == 503 && answer.header("retry-after").is_some(), "{answer}");
        ensure!(*took < DEADLINE, "an answer took {took:?}");
    }
    let count = unknown.iter().filter(|(answer, _)| answer.problem() == "unknown-outcome").count();
    ensure!(count > 0, "no outcome was unknown: {}", unknown[0].0);
    spine.command_api.not_ready(&["kafka"]).await?;
    let refused = round(&spine.caller, DEVICES, "3").await?;
    for (answer, took) in &refused {
        ensure!(answer.problem() == "broker-unavailable", "{answer}");
        ensure!(*took < Duration::from_secs(1), "a refusal took {took:?}");
    }
    own.thaw("kafka")?;
    accepts_again(&spine.caller).await?;
    // The same ids again: whatever became of the first attempts, each takes effect once.
    all_accepted(&round(&spine.caller, DEVICES, "2").await?)?;
    world.level().await?;
    let oracle = world.must_equal_the_log().await?;
    for device in 0..DEVICES {
        let row = oracle.rows.get(&format!("device-{device}")).context("a device is missing")?;
        ensure!(row.version == 2 && row.payload == "2", "device {device} shows {row:?}");
    }

    own.stop("kafka").await?;
    eventually("events are refused at once", async || {
        let began = Instant::now();
        let answer = spine.caller.report("device-0", "4").await?;
        ensure!(answer.status == 503, "one was answered {answer}");
        ensure!(began.elapsed() < Duration::from_millis(500), "after {:?}", began.elapsed());
        Ok(())
    })
    .await?;
    ensure!(spine.caller.read("device-0").await?.status == 200, "reads need the broker");
    spine.projector.not_ready(&["no broker can be reached"]).await?;
    own.up().await?;
    accepts_again(&spine.caller).await?;
    world.level().await?;
    world.must_equal_the_log().await?;
    tokio::try_join!(spine.command_api.ready(), spine.projector.ready()).map(drop)
}

#[tokio::test]
async fn a_broker_and_a_database_killed_under_load_lose_nothing_that_was_accepted() -> Result<()> {
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "killed_broker").await?;
    let spine = spine(&world).await?;
    let load = Load::start(&spine.caller, 16);
    load.more_accepted(300).await?;
    own.kill9_broker().await?;
    own.up().await?;
    load.more_accepted(300).await?;
    own.crash_database().await?;
    // Writing goes on without the database.
    load.more_accepted(300).await?;
    spine.projector.not_ready(&["projection resource"]).await?;
    own.up().await?;
    load.more_accepted(100).await?;
    let accepted = load.end().await?;
    eventually_within(Duration::from_secs(60), "everything is folded", async || {
        world.level().await
    })
    .await?;
    must_hold(&world.log()?.read().await?, &accepted)?;
    world.must_equal_the_log().await?;
    tokio::try_join!(spine.command_api.ready(), spine.projector.ready(), spine.query_api.ready())
        .map(drop)
}
