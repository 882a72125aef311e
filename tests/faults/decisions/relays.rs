//! Relays that are killed, and a log that is away.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use test_support::{
    AccessToken, Answer, Launch, OwnStack, People, Running, World, eventually, eventually_within,
    id_of,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::log_equals_the_store;
use crate::journeys::users::store_is_open;

/// Users who change their profiles.
const USERS: usize = 20;

/// Decisions each second.
const RATE: u32 = 200;

/// How long relays are killed, in seconds, unless `RELAY_SECONDS` says otherwise.
const SECONDS: u64 = 20;

#[tokio::test]
async fn streams_keep_their_order_while_relays_are_killed() -> Result<()> {
    let seconds = std::env::var("RELAY_SECONDS").ok().and_then(|text| text.parse().ok());
    let lasts = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let world = World::start("killed_relays").await?;
    let (launch, projector) = (world.command_api()?, world.projector_of("user")?);
    let (steady, projector) = tokio::try_join!(launch.start(), projector.start())?;
    tokio::try_join!(steady.ready(), projector.ready())?;
    let people = People::new(&[&steady], None)?;
    store_is_open(&people).await?;
    let mut ids = Vec::new();
    for n in 0..USERS {
        ids.push(id_of(&people.register(&format!("user-{n}")).await?)?);
    }
    let nudged = ids[0].clone();
    // The steady one decides. Another one publishes, and is killed again and again; between two of them the
    // steady one does.
    let until = Instant::now() + lasts;
    let deciding = tokio::spawn(decide(people.clone(), ids, until));
    let (mut kills, mut unmarked) = (0_u64, 0_u64);
    while Instant::now() < until {
        // Of three, one dies when the log has what it sent and the store does not know.
        if kills % 3 == 0 {
            dies_before_it_marks(&world, &launch, &people, &nudged).await?;
            unmarked += 1;
        } else {
            let mut doomed = launch.start().await?;
            owns_the_outbox(&world, &doomed).await?;
            tokio::time::sleep(Duration::from_millis(200 + 37 * (kills % 11))).await;
            doomed.kill9()?;
        }
        kills += 1;
    }
    let decided = deciding.await.context("the decider panicked")??;
    let absorbed = log_equals_the_store(&world).await?;
    println!("{decided} decisions, {kills} relays killed, {absorbed} records absorbed");
    ensure!(kills > 3, "{kills} relays were killed");
    ensure!(absorbed > 0, "of {unmarked} that died before they marked nothing was absorbed");
    let (logged, _) = world.logged_streams().await?;
    let events: usize = logged.values().map(Vec::len).sum();
    eventually("everything is folded", async || {
        let folded = world.counted("SELECT coalesce(sum(version), 0)::bigint FROM users").await?;
        ensure!(folded == i64::try_from(events)?, "{folded} of {events} events are folded");
        Ok(())
    })
    .await?;
    let letters = world.letters().await?;
    ensure!(letters.is_empty(), "{} letters are left", letters.len());
    Ok(())
}

/// Changes profiles at the rate; returns how often.
async fn decide(people: People, ids: Vec<String>, until: Instant) -> Result<u64> {
    let mut every = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut sent = JoinSet::new();
    let (mut count, mut decided) = (0_u64, 0);
    while Instant::now() < until {
        every.tick().await;
        let (people, id) = (people.clone(), ids[usize::try_from(count)? % ids.len()].clone());
        let bio = format!("change {count}");
        sent.spawn(async move {
            let answer = change(&people, &id, &bio).await?;
            // A machine that is busy with something else refuses some, and says so.
            let is_refused = answer.status == 503 && answer.header("retry-after").is_some();
            ensure!(matches!(answer.status, 200 | 202) || is_refused, "answered {answer}");
            anyhow::Ok(u64::from(!is_refused))
        });
        count += 1;
        while let Some(answered) = sent.try_join_next() {
            decided += answered.context("a client panicked")??;
        }
    }
    while let Some(answered) = sent.join_next().await {
        decided += answered.context("a client panicked")??;
    }
    ensure!(decided > count / 2, "{decided} of {count} were decided");
    Ok(decided)
}

/// Changes somebody's profile without waiting for the log.
async fn change(people: &People, id: &str, bio: &str) -> Result<Answer> {
    let (own, path) = (AccessToken::user(id), format!("/api/v1/users/{id}"));
    let request = people.request_as(&own, "PATCH", &path, Some(json!({ "bio": bio })))?;
    people.send(request.header("prefer", "respond-async")).await
}

/// A relay that ends as by `kill -9` between the log's acknowledgement of what it sent and its mark in the
/// store. That there is something to send is seen to by changes of one user.
async fn dies_before_it_marks(
    world: &World,
    launch: &Launch,
    people: &People,
    id: &str,
) -> Result<()> {
    let mut doomed = launch.clone().setting("FAILPOINTS", "relay/sent=return").start().await?;
    eventually("the doomed process dies of what it published", async || {
        if doomed.log()?.contains("failpoint relay/sent: the process ends here") {
            return Ok(());
        }
        if doomed.metric("command_api_relay_owner").await.unwrap_or_default() < 1.0 {
            world.end_sessions_named("command-api relay").await?;
        }
        change(people, id, &Uuid::now_v7().to_string()).await?;
        anyhow::bail!("it lives")
    })
    .await?;
    let status = doomed.ended().await?;
    ensure!(status.signal() == Some(9), "it ended with {status}");
    Ok(())
}

/// Makes the process the one that publishes: whoever does now loses its session.
async fn owns_the_outbox(world: &World, process: &Running) -> Result<()> {
    eventually("the new process publishes", async || {
        if process.metric("command_api_relay_owner").await.unwrap_or_default() > 0.0 {
            return Ok(());
        }
        // The owner's session is the one with its name; ended, its lock is free.
        world.end_sessions_named("command-api relay").await?;
        anyhow::bail!("it does not")
    })
    .await
}

#[tokio::test]
async fn a_relay_that_is_frozen_gives_the_outbox_up() -> Result<()> {
    let world = World::start("frozen_relay").await?;
    let launch = world.command_api()?;
    let frozen = launch.start().await?;
    frozen.ready().await?;
    let other = launch.start().await?;
    other.ready().await?;
    let people = People::new(&[&frozen, &other], None)?;
    store_is_open(&people).await?;
    owns_the_outbox(&world, &frozen).await?;
    frozen.sigstop()?;
    let people = People::new(&[&other], None)?;
    let asked = Instant::now();
    let answer = people.send(people.registration(0, "ann", "ann@example.org")?).await?;
    ensure!(matches!(answer.status, 201 | 202), "{answer}");
    // The server ends a session that idles for half a minute.
    eventually_within(Duration::from_secs(90), "somebody else publishes", async || {
        let unpublished = "SELECT count(*) FROM {store}.events WHERE published_offset IS NULL";
        ensure!(world.counted(unpublished).await? == 0, "the frozen relay has the outbox");
        Ok(())
    })
    .await?;
    println!("published after {:?}", asked.elapsed());
    frozen.sigcont()?;
    // Whatever it had under way when it was frozen is a duplicate at most.
    people.register("bob").await?;
    log_equals_the_store(&world).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_decided_while_the_log_is_away_follows_by_itself() -> Result<()> {
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "log_away").await?;
    let command_api = world
        .command_api()?
        .setting("MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS", 2_000)
        .setting("MILLRACE_PRODUCER_STALL_TIMEOUT_MS", 1_000)
        // Nobody is to wait for this log.
        .setting("MILLRACE_DECISION_WAIT_MS", 2_000)
        .start()
        .await?;
    command_api.ready().await?;
    let people = People::new(&[&command_api], None)?;
    store_is_open(&people).await?;
    own.stop("kafka").await?;
    let asked = async |n: u32| {
        let name = format!("user-{n}");
        people.send(people.registration(0, &name, &format!("{name}@example.org"))?).await
    };
    let mut pending = Vec::new();
    for n in 0..5 {
        let answer = asked(n).await?;
        ensure!(answer.status == 202, "while the log is away: {answer}");
        let status = answer.header("location").context("no Location")?.to_owned();
        ensure!(answer.json()?["status"] == "pending", "{answer}");
        let told = people.send(people.request(0, "GET", &status)?).await?;
        ensure!(told.status == 202 && told.json()?["status"] == "pending", "{told}");
        pending.push(status);
    }
    // A value is taken although the log does not know it yet.
    ensure!(asked(0).await?.status == 409, "an address was given twice");
    own.up().await?;
    for status in pending {
        eventually("the decision is done", async || {
            let told = people.send(people.request(0, "GET", &status)?).await?;
            ensure!(told.status == 200 && told.json()?["status"] == "done", "{told}");
            ensure!(told.header("consistency-token").is_some(), "no token: {told}");
            Ok(())
        })
        .await?;
    }
    log_equals_the_store(&world).await?;
    Ok(())
}
