//! A command-api that dies between any two steps of a decision: afterwards there is one user, one claim
//! and one event, and whoever asks again is answered.

use std::os::unix::process::ExitStatusExt as _;

use anyhow::{Context as _, Result, ensure};
use test_support::{People, World, id_of};

use super::log_equals_the_store;
use crate::journeys::users::store_is_open;

/// The steps, in their order.
const STEPS: [&str; 9] = [
    "decision/begun",
    "decision/request-kept",
    "decision/events-written",
    "decision/claimed",
    "decision/prepared",
    "decision/committed",
    "relay/looked",
    "relay/sent",
    "relay/marked",
];

#[tokio::test]
async fn a_registration_that_dies_at_any_step_takes_effect_once() -> Result<()> {
    let world = World::start("decision_steps").await?;
    let users = async || world.counted("SELECT count(*) FROM {store}.streams").await;
    for (n, step) in (1..).zip(STEPS) {
        // What the steps of the store's opening and of the probe pass is let through.
        let steady = world.command_api()?.start().await?;
        steady.ready().await?;
        store_is_open(&People::new(&[&steady], None)?).await?;
        drop(steady);
        let before = users().await?;
        let doomed = world.command_api()?.setting("FAILPOINTS", format!("{step}=return"));
        let mut doomed = doomed.start().await?;
        doomed.ready().await?;
        let (name, email) = (format!("user-{n}"), format!("user-{n}@example.org"));
        let ask = async |people: &People| {
            let request = people.registration(0, &name, &email)?;
            people.send(request.header("idempotency-key", format!("\"{name}\""))).await
        };
        let lost = ask(&People::new(&[&doomed], None)?).await;
        // What is marked is found by whoever looks at the store, perhaps before the process ends.
        let may_be_told = step == "relay/marked";
        ensure!(may_be_told || lost.is_err(), "{step}: answered {}", lost?);
        let status = doomed.ended().await?;
        let said = doomed.log()?;
        let has_said = said.contains(&format!("failpoint {step}: the process ends here"));
        ensure!(status.signal() == Some(9) && has_said, "{step} is not reached: {status}");

        let next = world.command_api()?.start().await?;
        next.ready().await?;
        let people = People::new(&[&next], None)?;
        let answer = ask(&people).await?;
        ensure!(answer.status == 201, "{step}: asked again, answered {answer}");
        let again = ask(&people).await?;
        ensure!(again.text == answer.text, "{step}: {again} is not {answer}");
        let id = id_of(&answer)?;
        let stream = format!("user-{id}");
        let claims = world
            .counted(&format!("SELECT count(*) FROM {{store}}.claims WHERE stream_id = '{stream}'"))
            .await?;
        ensure!(claims == 2, "{step}: {claims} claims");
        let after = users().await?;
        ensure!(after == before + 1, "{step}: there were {before} users and are {after}");
        log_equals_the_store(&world).await.with_context(|| format!("after {step}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_that_dies_before_it_is_told_is_told_to_whoever_asks_again() -> Result<()> {
    let world = World::start("refusal_steps").await?;
    let first = world.command_api()?.start().await?;
    first.ready().await?;
    let people = People::new(&[&first], None)?;
    store_is_open(&people).await?;
    people.register("ann").await?;
    drop(first);
    let doomed = world.command_api()?.setting("FAILPOINTS", "decision/refusal-kept=return");
    let mut doomed = doomed.start().await?;
    doomed.ready().await?;
    let ask = async |people: &People| {
        let request = people.registration(0, "bob", "ann@example.org")?;
        people.send(request.header("idempotency-key", "\"bob\"")).await
    };
    ensure!(ask(&People::new(&[&doomed], None)?).await.is_err(), "answered");
    doomed.ended().await?;
    let next = world.command_api()?.start().await?;
    next.ready().await?;
    let answer = ask(&People::new(&[&next], None)?).await?;
    ensure!(answer.status == 409 && answer.problem() == "already-taken", "{answer}");
    Ok(())
}
