//! Sessions from login to their end, over the real processes.

mod ended;
mod stage;
mod throttled;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{Link, Proxy, eventually, id_of, with_json};
use tokio::task::JoinSet;

use stage::{APP, Login, Stage};

/// Clients that hold one refresh token.
const CLIENTS: usize = 100;

#[tokio::test]
async fn somebody_logs_in_is_seen_and_stays_in_until_they_log_out() -> Result<()> {
    let stage = Stage::set("sessions_whole", 10_000).await?;
    let _projector = stage.world.projector_of("user,session")?.start().await?;
    let registered = stage.people.register("ann").await?;
    let answer = stage.ask_to_log_in(0, "ann").await?;
    let first = Login::of(&answer)?;
    let own = stage.read_after(&first, &registered, "/api/v1/auth/me").await?;
    ensure!(own.status == 200 && own.json()?["id"] == id_of(&registered)?.as_str(), "{own}");
    let listed = stage.read_after(&first, &answer, "/api/v1/auth/sessions").await?;
    let session = listed.json()?["items"][0].clone();
    ensure!(session["id"] == first.session.as_str() && session["current"] == true, "{listed}");

    // By an older path and a form it is another session.
    let form = "grant_type=password&username=ann%40example.org&password=correct+horse+battery";
    let request = stage.people.request(1, "POST", "/token")?.body(form);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let second = Login::of(&stage.people.send(request).await?)?;
    ensure!(second.session != first.session, "the same session");

    let answer = stage.refresh(1, &first.refresh_token).await?;
    let next = Login::of(&answer)?;
    ensure!(next.session == first.session, "another session");
    let listed = stage.read_after(&next, &answer, "/api/v1/auth/sessions").await?;
    ensure!(listed.text.contains(&second.session), "{listed}");

    let logout = stage.people.request(0, "POST", "/api/v1/auth/logout")?;
    let answer = stage.people.send(logout.bearer_auth(&next.access_token)).await?;
    ensure!(answer.status == 204, "{answer}");
    let refused = stage.refresh(1, &next.refresh_token).await?;
    ensure!(refused.status == 401 && refused.problem() == "invalid-refresh-token", "{refused}");
    let listed = stage.read_after(&second, &answer, "/api/v1/auth/sessions?state=ended").await?;
    let ended: Value = listed.json()?["items"].clone();
    ensure!(ended[0]["id"] == first.session.as_str(), "{listed}");
    ensure!(ended[0]["end_reason"] == "logged-out", "{listed}");
    Ok(())
}

#[tokio::test]
async fn a_hundred_clients_that_refresh_at_once_are_given_one_successor_and_nobody_is_put_out()
-> Result<()> {
    let stage = Arc::new(Stage::set("sessions_racing", 10_000).await?);
    stage.register("ann").await?;
    let first = stage.log_in("ann").await?;
    let mut racing = JoinSet::new();
    for client in 0..CLIENTS {
        let (stage, token) = (Arc::clone(&stage), first.refresh_token.clone());
        racing.spawn(async move { Login::of(&stage.refresh(client, &token).await?) });
    }
    let mut given = Vec::new();
    while let Some(login) = racing.join_next().await {
        given.push(login.context("a client panicked")??);
    }
    ensure!(given.len() == CLIENTS, "{} were answered", given.len());
    let successor = &given[0].refresh_token;
    let others = given.iter().filter(|login| login.refresh_token != *successor).count();
    ensure!(others == 0, "{others} were given another refresh token");
    let events = stage.events(&first).await?;
    ensure!(events == "logged-in refreshed", "{events}");
    // Every access token is good, and the successor as well.
    for login in &given {
        ensure!(stage.are_taken(login).await? == [true; 3], "one is refused");
    }
    Login::of(&stage.refresh(1, successor).await?)?;
    Ok(())
}

#[tokio::test]
async fn whoever_has_lost_the_answer_on_its_way_is_given_the_same_successor_by_any_process()
-> Result<()> {
    let stage = Stage::set("sessions_lost_answer", 10_000).await?;
    stage.register("ann").await?;
    let first = stage.log_in("ann").await?;
    let proxy = Proxy::start(&stage.one.address().to_string()).await?;
    proxy.set(Link::OneWay);
    let url = format!("http://{}/api/v1/auth/refresh", proxy.address());
    let body = json!({"refresh_token": first.refresh_token});
    let lost = stage.client.request("POST", &url)?.header("user-agent", APP);
    let lost = with_json(lost, &body);
    let client = stage.client.clone();
    let asking = tokio::spawn(async move { client.send(lost).await });
    eventually("the token is exchanged", async || {
        let events = stage.events(&first).await?;
        ensure!(events == "logged-in refreshed", "{events}");
        Ok(())
    })
    .await?;
    proxy.set(Link::Cut);
    let lost = asking.await.context("asking")?;
    ensure!(lost.is_err(), "the answer was not lost: {lost:?}");

    let again = Login::of(&stage.refresh(1, &first.refresh_token).await?)?;
    for process in [0, 1] {
        let repeated = Login::of(&stage.refresh(process, &first.refresh_token).await?)?;
        ensure!(repeated.refresh_token == again.refresh_token, "another successor");
    }
    ensure!(stage.events(&first).await? == "logged-in refreshed", "it was exchanged twice");
    Login::of(&stage.refresh(0, &again.refresh_token).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_may_be_repeated_for_a_time_and_then_ends_its_session() -> Result<()> {
    let window = Duration::from_millis(400);
    let stage = Stage::set("sessions_window", 400).await?;
    stage.register("ann").await?;
    let first = stage.log_in("ann").await?;
    let began = std::time::Instant::now();
    let next = Login::of(&stage.refresh(0, &first.refresh_token).await?)?;
    let mut repeated = 0;
    eventually("the time is over", async || {
        let answer = stage.refresh(repeated, &first.refresh_token).await?;
        if answer.status == 200 {
            let again = Login::of(&answer)?;
            ensure!(again.refresh_token == next.refresh_token, "another successor");
            repeated += 1;
            anyhow::bail!("it is taken after {:?}", began.elapsed());
        }
        ensure!(answer.status == 401, "{answer}");
        Ok(())
    })
    .await?;
    ensure!(began.elapsed() >= window, "it was over after {:?}", began.elapsed());
    ensure!(repeated > 0, "it was never repeated");
    let events = stage.events(&first).await?;
    ensure!(events == "logged-in refreshed reuse-detected", "{events}");
    let successor = stage.refresh(1, &next.refresh_token).await?;
    ensure!(successor.status == 401, "its successor is taken: {successor}");
    // By another client it is no retry, however soon.
    let first = stage.log_in("ann").await?;
    Login::of(&stage.refresh(0, &first.refresh_token).await?)?;
    let stolen = stage.refresh_by("another", 1, &first.refresh_token).await?;
    ensure!(stolen.status == 401, "{stolen}");
    Ok(())
}
