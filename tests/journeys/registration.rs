//! Registering where it tells nobody who has an account, over the real processes.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{AccessToken, PASSWORD, World, eventually, id_of};

use super::passwords::{Stage, token_in};

const CONFIRM: &str = "/api/v1/auth/confirm-registration";

async fn stage() -> Result<Stage> {
    let world = World::start("registration").await?;
    let command_api = world.command_api()?.setting("REGISTRATION_REVEALS_ACCOUNTS", "false");
    Stage::of(world, &command_api).await
}

/// Registers under a name with an address; what is answered.
async fn registers(stage: &Stage, name: &str, email: &str) -> Result<String> {
    let answer = stage.people.send(stage.people.registration(0, name, email)?).await?;
    ensure!(answer.status == 202, "{answer}");
    ensure!(answer.header("location").is_none(), "{answer}");
    Ok(answer.text)
}

async fn waiting(stage: &Stage) -> Result<i64> {
    stage.world.counted("SELECT count(*) FROM {identity}.pending_registrations").await
}

/// A process counts this in its metrics.
async fn counts(stage: &Stage, process: usize, sample: &str) -> Result<()> {
    let metrics = stage.people.send(stage.people.request(process, "GET", "/metrics")?).await?;
    let is_told = metrics.text.lines().any(|line| line.starts_with(sample));
    ensure!(is_told, "no {sample} in {metrics}");
    Ok(())
}

/// What whoever follows the link of a mail enters.
fn confirming(token: &str, password: &str) -> Value {
    json!({"token": token, "password": password})
}

#[tokio::test]
async fn whoever_registers_is_told_by_mail_alone_whether_they_have_an_account() -> Result<()> {
    let stage = stage().await?;
    let told = registers(&stage, "ann", "ann@example.org").await?;
    let mail = stage.mail("ann@example.org", "Confirm your registration").await?;
    let token = token_in(&mail, CONFIRM)?;
    counts(&stage, 0, r#"command_api_decisions_total{outcome="put_aside"} 1"#).await?;
    let page = stage.people.request(1, "GET", &format!("{CONFIRM}?token={token}"))?;
    let page = stage.people.send(page).await?;
    ensure!(page.status == 200 && page.text.contains("Make my account"), "{page}");
    let streams = "SELECT count(*) FROM {store}.streams";
    ensure!(stage.world.counted(streams).await? == 0, "somebody has come into being");
    // A store that has just started is first compared with the log.
    eventually("the store takes decisions", async || {
        for process in [0, 1] {
            let answer = stage.log_in(process, "nobody", PASSWORD).await?;
            ensure!(answer.problem() != "store-not-compared", "{answer}");
        }
        Ok(())
    })
    .await?;
    let unknown = stage.log_in(1, "ann", PASSWORD).await?;
    ensure!(unknown.status == 401 && unknown.problem() == "login-failed", "{unknown}");
    let wrong = stage.post(1, CONFIRM, &confirming(&token, "battery staple")).await?;
    ensure!(wrong.status == 400 && wrong.problem() == "invalid-request", "{wrong}");
    ensure!(wrong.json()?["errors"][0]["pointer"] == "/password", "{wrong}");
    ensure!(waiting(&stage).await? == 1, "a wrong password has used up what waits");
    counts(&stage, 1, r#"security_events_total{event="registration-refused""#).await?;
    let confirmed = stage.post(0, CONFIRM, &confirming(&token, PASSWORD)).await?;
    ensure!(confirmed.status == 201 && confirmed.json()?["email_verified"] == true, "{confirmed}");
    let id = id_of(&confirmed)?;
    ensure!(stage.log_in(1, "ann", PASSWORD).await?.status == 200, "she has no account");
    ensure!(waiting(&stage).await? == 0, "the hash of her password is left");
    let form = format!("token={token}&password={}", PASSWORD.replace(' ', "+"));
    let pressed = stage.press(1, CONFIRM, form).await?;
    ensure!(pressed.status == 200 && pressed.text.contains("You have an account"), "{pressed}");
    let again = stage.post(1, CONFIRM, &confirming(&token, PASSWORD)).await?;
    ensure!(again.status == 204 && again.text.is_empty(), "{again}");
    for name in ["etag", "consistency-token"] {
        ensure!(again.header(name).is_none(), "a used link tells of her: {again}");
    }

    // Whoever has the address learns that somebody wants another account; whoever asks learns nothing.
    stage.time_passes().await?;
    ensure!(registers(&stage, "eve", "ANN@example.org").await? == told, "the answer tells of it");
    ensure!(registers(&stage, "ann", "eve@example.org").await? == told, "the answer tells of it");
    stage.mail("ann@example.org", "You have an account already").await?;

    // Of the name somebody learns who has shown who they are.
    let mail = stage.mail("eve@example.org", "Confirm your registration").await?;
    let body = confirming(&token_in(&mail, CONFIRM)?, PASSWORD);
    let refused = stage.post(0, CONFIRM, &body).await?;
    ensure!(refused.status == 409 && refused.problem() == "already-taken", "{refused}");
    let pointer = refused.json()?["errors"][0]["pointer"].as_str().map(str::to_owned);
    ensure!(pointer.context("no pointer")? == "/username", "{refused}");

    // What waits for her address goes with her, and so do the mails that hold its hash.
    ensure!(waiting(&stage).await? == 2, "each of them waits");
    let path = format!("/api/v1/users/{id}");
    let erased = stage.people.request_as(&AccessToken::user(&id), "DELETE", &path, None)?;
    let erased = stage.people.send(erased).await?;
    ensure!(erased.status == 204, "{erased}");
    ensure!(waiting(&stage).await? == 1, "what waits for her address is left");
    let mails = "SELECT count(*) FROM {store}.mails WHERE stream_id LIKE 'registration-%'";
    ensure!(stage.world.counted(mails).await? == 1, "mails to her address are left");
    Ok(())
}
