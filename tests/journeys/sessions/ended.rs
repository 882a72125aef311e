//! How soon a session that has ended is refused everywhere, whatever is away.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use test_support::{AccessToken, eventually};

use super::stage::{Login, Stage};

/// Sessions that end while all is well, and those while Redis is away.
const ROUNDS: usize = 24;
const WITHOUT_REDIS: usize = 6;

/// What is promised.
const WITHIN: Duration = Duration::from_secs(1);

/// Longer than a refresh may be repeated where nobody has chosen another time.
const BEYOND_REPEATS: Duration = Duration::from_secs(11);

/// Waits until no process takes the session's access token, and returns how long each took to learn it.
async fn refused_everywhere(stage: &Stage, login: &Login) -> Result<[Duration; 3]> {
    let began = Instant::now();
    let mut took = [None; 3];
    eventually("every process refuses the session", async || {
        let taken = stage.are_taken(login).await?;
        for (took, is_taken) in took.iter_mut().zip(taken) {
            if !is_taken && took.is_none() {
                *took = Some(began.elapsed());
            }
        }
        ensure!(taken == [false; 3], "it is taken by {taken:?}");
        Ok(())
    })
    .await?;
    Ok(took.map(Option::unwrap_or_default))
}

/// A session whose refresh token is used twice; how long each process takes to refuse it.
async fn reused(stage: &Stage, round: usize) -> Result<(Login, [Duration; 3])> {
    let first = stage.log_in("ann").await?;
    let next = Login::of(&stage.refresh(round, &first.refresh_token).await?)?;
    ensure!(stage.are_taken(&next).await? == [true; 3], "it is refused before it ends");
    let answer = stage.refresh(round + 1, &first.refresh_token).await?;
    ensure!(answer.status == 401 && answer.problem() == "invalid-refresh-token", "{answer}");
    let took = refused_everywhere(stage, &next).await?;
    for refresh_token in [&first.refresh_token, &next.refresh_token] {
        let answer = stage.refresh(round, refresh_token).await?;
        ensure!(answer.status == 401, "its refresh token is taken: {answer}");
    }
    Ok((next, took))
}

/// How the times of each process lie, of which all are below what is promised.
fn told(what: &str, times: &[[Duration; 3]]) -> Result<String> {
    let mut told = String::new();
    for (at, process) in ["command-api", "another command-api", "query-api"].iter().enumerate() {
        let mut of_process: Vec<Duration> = times.iter().map(|round| round[at]).collect();
        of_process.sort_unstable();
        let quantile = |per_cent: usize| of_process[(of_process.len() - 1) * per_cent / 100];
        let (median, p90, longest) = (quantile(50), quantile(90), quantile(100));
        let count = times.len();
        writeln!(
            told,
            "{what} {process} refuses {count}: median {median:?}, p90 {p90:?}, longest {longest:?}"
        )?;
        ensure!(longest < WITHIN, "{what}: {process} took {longest:?}");
    }
    Ok(told)
}

#[tokio::test]
async fn a_session_whose_refresh_token_was_copied_is_refused_everywhere_within_a_second()
-> Result<()> {
    // No refresh may be repeated: the next use of a token is its second.
    let mut stage = Stage::set("sessions_reused", 0).await?;
    stage.register("ann").await?;
    let mut times = Vec::new();
    let mut ended = Vec::new();
    for round in 0..ROUNDS {
        let (login, took) = reused(&stage, round).await?;
        times.push(took);
        ended.push(login);
    }
    print!("{}", told("with all that there is", &times)?);

    stage.all_use_redis(&ended[0], true).await?;
    stage.redis.kill9()?;
    stage.all_use_redis(&ended[0], false).await?;
    times.clear();
    for round in 0..WITHOUT_REDIS {
        let (login, took) = reused(&stage, round).await?;
        times.push(took);
        ended.push(login);
    }
    print!("{}", told("without Redis", &times)?);

    let lives = stage.log_in("ann").await?;
    stage.redis.start_again().await?;
    stage.start_again().await?;
    stage.query_api.ready().await?;
    for login in &ended {
        ensure!(stage.are_taken(login).await? == [false; 3], "it is taken after a restart");
        let answer = stage.refresh(0, &login.refresh_token).await?;
        ensure!(answer.status == 401, "its refresh token is taken after a restart: {answer}");
    }
    ensure!(stage.are_taken(&lives).await? == [true; 3], "another session is refused");
    Login::of(&stage.refresh(1, &lives.refresh_token).await?)?;
    Ok(())
}

#[tokio::test]
async fn by_default_a_refresh_token_that_comes_again_after_eleven_seconds_ends_its_session()
-> Result<()> {
    let stage = Stage::set_by_default("sessions_default").await?;
    stage.register("ann").await?;
    let first = stage.log_in("ann").await?;
    let next = Login::of(&stage.refresh(0, &first.refresh_token).await?)?;
    let exchanged = tokio::time::Instant::now();
    let again = Login::of(&stage.refresh(1, &first.refresh_token).await?)?;
    ensure!(again.refresh_token == next.refresh_token, "another successor");
    // Nothing else than time is to pass, and nobody can tell when it has.
    tokio::time::sleep_until(exchanged + BEYOND_REPEATS).await;
    ensure!(stage.are_taken(&next).await? == [true; 3], "it is refused before it ends");
    let late = stage.refresh(1, &first.refresh_token).await?;
    ensure!(late.status == 401 && late.problem() == "invalid-refresh-token", "{late}");
    told("by default", &[refused_everywhere(&stage, &next).await?])?;
    for refresh_token in [&first.refresh_token, &next.refresh_token] {
        for process in [0, 1] {
            let answer = stage.refresh(process, refresh_token).await?;
            ensure!(answer.status == 401, "its refresh token is taken: {answer}");
        }
    }
    let events = stage.events(&first).await?;
    ensure!(events == "logged-in refreshed reuse-detected", "{events}");
    Ok(())
}

#[tokio::test]
async fn whoever_is_put_out_is_out_everywhere_within_a_second() -> Result<()> {
    let stage = Stage::set("sessions_ended", 10_000).await?;
    let admin = AccessToken::admin();
    let mut times = Vec::new();
    for (name, method, path, status) in [
        ("ann", "DELETE", "/sessions", 204),
        ("bob", "POST", "/deactivate", 200),
        ("cid", "DELETE", "", 204),
    ] {
        let id = stage.register(name).await?;
        let (one, other) = (stage.log_in(name).await?, stage.log_in(name).await?);
        ensure!(stage.are_taken(&one).await? == [true; 3], "it is refused before it ends");
        let path = format!("/api/v1/users/{id}{path}");
        let request = stage.people.request_as(&admin, method, &path, None)?;
        let answer = stage.people.send(request).await?;
        ensure!(answer.status == status, "{method} {path}: {answer}");
        for login in [&one, &other] {
            times.push(refused_everywhere(&stage, login).await?);
            let answer = stage.refresh(1, &login.refresh_token).await?;
            ensure!(answer.status == 401, "{name} stays in: {answer}");
        }
    }
    print!("{}", told("of whoever was put out", &times)?);

    // A role that is taken away is gone, and the session goes on without it.
    let id = stage.register("dan").await?;
    let role = format!("/api/v1/users/{id}/roles/analyst");
    let decide = async |method: &str| {
        stage.people.send(stage.people.request_as(&admin, method, &role, None)?).await
    };
    ensure!(decide("PUT").await?.status == 200, "no role is granted");
    let login = stage.log_in("dan").await?;
    ensure!(decide("DELETE").await?.status == 200, "no role is revoked");
    print!("{}", told("of a role", &[refused_everywhere(&stage, &login).await?])?);
    let next = Login::of(&stage.refresh(0, &login.refresh_token).await?)?;
    ensure!(stage.are_taken(&next).await? == [true; 3], "it is refused without the role");

    // One session is ended from another one, by its owner.
    let (one, other) = (stage.log_in("dan").await?, stage.log_in("dan").await?);
    let path = format!("/api/v1/auth/sessions/{}", one.session);
    let request = stage.people.request(1, "DELETE", &path)?.bearer_auth(&other.access_token);
    let answer = stage.people.send(request).await?;
    ensure!(answer.status == 204, "{answer}");
    print!("{}", told("of one session", &[refused_everywhere(&stage, &one).await?])?);
    ensure!(stage.are_taken(&other).await? == [true; 3], "the other one is refused");
    Ok(())
}
