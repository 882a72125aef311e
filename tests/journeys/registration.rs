//! Registering where it tells nobody who has an account, over the real processes.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{
    AccessToken, Answer, PASSWORD, People, Running, World, eventually, id_of, with_json,
};

use super::passwords::{mail_in_outbox, token_in};

const CONFIRM: &str = "/api/v1/auth/confirm-registration";
const LOGIN: &str = "/api/v1/auth/login";

/// Two command-apis that tell nobody, one of which sends each mail.
struct Stage {
    world: World,
    _running: [Running; 2],
    people: People,
}

impl Stage {
    async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let command_api = world.command_api()?;
        let command_api = command_api.setting("REGISTRATION_REVEALS_ACCOUNTS", "false");
        let (one, other) = tokio::try_join!(command_api.start(), command_api.start())?;
        tokio::try_join!(one.ready(), other.ready())?;
        let people = People::new(&[&one, &other], None)?;
        Ok(Self { world, _running: [one, other], people })
    }

    async fn post(&self, process: usize, path: &str, body: &Value) -> Result<Answer> {
        self.people.send(with_json(self.people.request(process, "POST", path)?, body)).await
    }

    /// Registers under a name with an address; what is answered.
    async fn registers(&self, name: &str, email: &str) -> Result<String> {
        let answer = self.people.send(self.people.registration(0, name, email)?).await?;
        ensure!(answer.status == 202, "{answer}");
        ensure!(answer.header("location").is_none(), "{answer}");
        Ok(answer.text)
    }

    async fn log_in(&self, name: &str) -> Result<Answer> {
        self.post(1, LOGIN, &json!({"username": name, "password": PASSWORD})).await
    }

    async fn waiting(&self) -> Result<i64> {
        self.world.counted("SELECT count(*) FROM {identity}.pending_registrations").await
    }
}

/// What whoever follows the link of a mail enters.
fn confirming(token: &str, password: &str) -> Value {
    json!({"token": token, "password": password})
}

#[tokio::test]
async fn whoever_registers_is_told_by_mail_alone_whether_they_have_an_account() -> Result<()> {
    let stage = Stage::set("registration").await?;
    let told = stage.registers("ann", "ann@example.org").await?;
    let mail = mail_in_outbox(&stage.world, "ann@example.org", "Confirm your registration").await?;
    let token = token_in(&mail, CONFIRM)?;
    let page = stage.people.request(1, "GET", &format!("{CONFIRM}?token={token}"))?;
    let page = stage.people.send(page).await?;
    ensure!(page.status == 200 && page.text.contains("Make my account"), "{page}");
    let streams = "SELECT count(*) FROM {store}.streams";
    ensure!(stage.world.counted(streams).await? == 0, "somebody has come into being");
    // A store that has just started is first compared with the log.
    eventually("the store takes decisions", async || {
        for process in [0, 1] {
            let nobody = json!({"username": "nobody", "password": PASSWORD});
            let answer = stage.post(process, LOGIN, &nobody).await?;
            ensure!(answer.problem() != "store-not-compared", "{answer}");
        }
        Ok(())
    })
    .await?;
    let unknown = stage.log_in("ann").await?;
    ensure!(unknown.status == 401 && unknown.problem() == "login-failed", "{unknown}");
    let wrong = stage.post(1, CONFIRM, &confirming(&token, "battery staple")).await?;
    ensure!(wrong.status == 400 && wrong.problem() == "invalid-request", "{wrong}");
    ensure!(wrong.json()?["errors"][0]["pointer"] == "/password", "{wrong}");
    ensure!(stage.waiting().await? == 1, "a wrong password has used up what waits");
    let confirmed = stage.post(0, CONFIRM, &confirming(&token, PASSWORD)).await?;
    ensure!(confirmed.status == 201 && confirmed.json()?["email_verified"] == true, "{confirmed}");
    let id = id_of(&confirmed)?;
    ensure!(stage.log_in("ann").await?.status == 200, "she has no account");
    ensure!(stage.waiting().await? == 0, "the hash of her password is left");
    let pressed = stage.people.request(1, "POST", CONFIRM)?;
    let pressed = pressed.header("content-type", "application/x-www-form-urlencoded");
    let form = format!("token={token}&password={}", PASSWORD.replace(' ', "+"));
    let pressed = stage.people.send(pressed.body(form)).await?;
    ensure!(pressed.status == 200 && pressed.text.contains("You have an account"), "{pressed}");
    let again = stage.post(1, CONFIRM, &confirming(&token, PASSWORD)).await?;
    ensure!(again.status == 204 && again.text.is_empty(), "{again}");
    for name in ["etag", "consistency-token"] {
        ensure!(again.header(name).is_none(), "a used link tells of her: {again}");
    }

    // Whoever has the address learns that somebody wants another account; whoever asks learns nothing.
    let ago = "UPDATE {store}.mails SET settled_at = settled_at - interval '10 minutes'";
    stage.world.execute(ago).await?;
    ensure!(stage.registers("eve", "ANN@example.org").await? == told, "the answer tells of it");
    ensure!(stage.registers("ann", "eve@example.org").await? == told, "the answer tells of it");
    mail_in_outbox(&stage.world, "ann@example.org", "You have an account already").await?;

    // Of the name somebody learns who has shown who they are.
    let mail = mail_in_outbox(&stage.world, "eve@example.org", "Confirm your registration").await?;
    let body = confirming(&token_in(&mail, CONFIRM)?, PASSWORD);
    let refused = stage.post(0, CONFIRM, &body).await?;
    ensure!(refused.status == 409 && refused.problem() == "already-taken", "{refused}");
    let pointer = refused.json()?["errors"][0]["pointer"].as_str().map(str::to_owned);
    ensure!(pointer.context("no pointer")? == "/username", "{refused}");

    // What waits for her address goes with her, and so do the mails that hold its hash.
    ensure!(stage.waiting().await? == 2, "each of them waits");
    let path = format!("/api/v1/users/{id}");
    let erased = stage.people.request_as(&AccessToken::user(&id), "DELETE", &path, None)?;
    let erased = stage.people.send(erased).await?;
    ensure!(erased.status == 204, "{erased}");
    ensure!(stage.waiting().await? == 1, "what waits for her address is left");
    let mails = "SELECT count(*) FROM {store}.mails WHERE stream_id LIKE 'registration-%'";
    ensure!(stage.world.counted(mails).await? == 1, "mails to her address are left");
    Ok(())
}
