//! The keys that sign access tokens, on deployments of their own: how they come, go and are seen.

use anyhow::{Context as _, Result, ensure};
use test_support::{Client, Launch, Running, World, eventually};

const JWKS: &str = "/.well-known/jwks.json";

/// The names of the keys that a process publishes.
async fn published(process: &Running) -> Result<Vec<String>> {
    let answer = process.get(JWKS).await?;
    ensure!(answer.status == 200, "{answer}");
    let document = answer.json()?;
    let keys = document["keys"].as_array().context("no keys")?;
    let kid = |key: &serde_json::Value| key["kid"].as_str().map(str::to_owned);
    let mut kids: Vec<String> = keys.iter().filter_map(kid).collect();
    ensure!(kids.len() == keys.len(), "{document}");
    kids.sort();
    Ok(kids)
}

/// What the tool prints.
async fn tool(launch: &Launch, arguments: &[&str]) -> Result<String> {
    let ended = launch.run(&[&["keys"][..], arguments].concat()).await?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).context("what it prints is no text")
}

/// Each key with what it does.
async fn listed(launch: &Launch) -> Result<Vec<(String, String)>> {
    let text = tool(launch, &["list"]).await?;
    let line = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some((words.next()?, words.next()?))
    };
    text.lines().map(|text| line(text).with_context(|| format!("a line: {text}"))).collect()
}

/// The only key that does this.
async fn the_one_that(launch: &Launch, does: &str) -> Result<String> {
    let listed = listed(launch).await?;
    let mut found = listed.iter().filter(|(_, what)| what == does).map(|(kid, _)| kid);
    let kid = found.next().with_context(|| format!("none {does}: {listed:?}"))?;
    ensure!(found.next().is_none(), "several of {does}: {listed:?}");
    Ok(kid.clone())
}

#[tokio::test]
async fn processes_that_start_at_once_make_one_key_between_them() -> Result<()> {
    let world = World::start("first_key").await?;
    let launch = world.command_api()?;
    let (one, other) = tokio::try_join!(launch.start(), launch.start())?;
    one.ready().await?;
    other.ready().await?;
    let kids = published(&one).await?;
    ensure!(kids.len() == 1 && published(&other).await? == kids, "{kids:?}");
    ensure!(the_one_that(&launch, "signs").await? == kids[0], "another one signs");
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_a_revoked_one_is_gone_at_once() -> Result<()> {
    let world = World::start("rotated_key").await?;
    let launch = world.command_api()?;
    let process = launch.start().await?;
    process.ready().await?;
    let first = the_one_that(&launch, "signs").await?;

    let said = tool(&launch, &["rotate"]).await?;
    let next = the_one_that(&launch, "next").await?;
    ensure!(said.starts_with(&format!("key {next} signs from ")), "{said}");
    ensure!(said.contains(&format!("key {first} signs until then")), "{said}");
    ensure!(the_one_that(&launch, "signs").await? == first, "the new one signs already");

    tool(&launch, &["rotate", "--at-once"]).await?;
    let third = eventually("the new key signs", async || {
        let kid = the_one_that(&launch, "signs").await?;
        ensure!(kid != first, "the first one does");
        Ok(kid)
    })
    .await?;
    ensure!(the_one_that(&launch, "signed").await? == first, "another one has signed");
    ensure!(third != next, "the one that is to sign later signs");
    let shows = async |expected: &[&String]| {
        let mut expected: Vec<String> = expected.iter().map(|kid| (*kid).clone()).collect();
        expected.sort();
        eventually("the process publishes them", async || {
            let kids = published(&process).await?;
            ensure!(kids == expected, "it publishes {kids:?}");
            Ok(())
        })
        .await
    };
    shows(&[&first, &next, &third]).await?;

    tool(&launch, &["revoke", &third]).await?;
    ensure!(the_one_that(&launch, "signs").await? == first, "the one before does not sign again");
    let said = tool(&launch, &["revoke", &first]).await?;
    let made = the_one_that(&launch, "signs").await?;
    ensure!(said.contains(&format!("key {made} is new")), "{said}");
    shows(&[&next, &made]).await?;
    let again = launch.run(&["keys", "revoke", &first]).await?;
    ensure!(again.status.code() == Some(1), "a key was revoked twice");
    Ok(())
}

#[tokio::test]
async fn whoever_knows_the_keys_may_use_them_without_asking_for_a_while() -> Result<()> {
    let world = World::start("known_keys").await?;
    let process = world.command_api()?.start().await?;
    process.ready().await?;
    let answer = process.get(JWKS).await?;
    ensure!(answer.header("cache-control") == Some("public, max-age=300"), "{answer}");
    let tag = answer.header("etag").context("no ETag")?;
    let client = Client::new()?;
    let request = client.request("GET", &process.url(JWKS))?.header("if-none-match", tag);
    let again = client.send(request).await?;
    ensure!(again.status == 304 && again.text.is_empty(), "{again}");
    Ok(())
}

#[tokio::test]
async fn with_another_secret_nothing_is_signed_until_somebody_makes_a_new_key() -> Result<()> {
    let world = World::start("other_secret").await?;
    let process = world.command_api()?.start().await?;
    process.ready().await?;
    let kids = published(&process).await?;

    let launch = world.command_api()?.setting("MILLRACE_TOKEN_SECRET", "another secret");
    let other = launch.start().await?;
    let fault = async || {
        let health = other.get("/health/ready").await?.json()?;
        anyhow::Ok(health["faults"]["signing keys"].as_str().unwrap_or_default().to_owned())
    };
    eventually("it says why", async || {
        let fault = fault().await?;
        ensure!(fault.contains("another MILLRACE_SESSION_SECRET"), "it says {fault:?}");
        Ok(())
    })
    .await?;
    ensure!(other.log()?.contains(&kids[0]), "the key is not named in the log");
    ensure!(published(&other).await? == kids, "what others signed is verified nevertheless");

    tool(&launch, &["rotate", "--at-once"]).await?;
    eventually("it signs again", async || {
        let fault = fault().await?;
        ensure!(fault.is_empty(), "it says {fault:?}");
        Ok(())
    })
    .await?;
    ensure!(the_one_that(&launch, "unopened").await? == kids[0], "another one is unopened");
    Ok(())
}

/// Keys that one of another secret cannot open have lapsed in its eyes as soon as one of its own signs.
#[tokio::test]
async fn whoever_has_another_secret_takes_no_key_away() -> Result<()> {
    let world = World::start("keys_of_others").await?;
    let launch = world.command_api()?;
    let process = launch.start().await?;
    process.ready().await?;
    let kid = the_one_that(&launch, "signs").await?;
    eventually("the event store is opened", async || {
        let known = "SELECT (claim_key IS NOT NULL)::text FROM {store}.standing";
        ensure!(world.text_of(known).await? == "true", "no claims are known yet");
        Ok(())
    })
    .await?;

    let theirs = world.command_api()?.setting("MILLRACE_TOKEN_SECRET", "another secret");
    tool(&theirs, &["rotate", "--at-once"]).await?;
    let refused = theirs.run(&["keys", "revoke", &kid]).await?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(1), "it was revoked: {said}");
    ensure!(said.contains("another MILLRACE_TOKEN_SECRET"), "{said}");
    world
        .execute("UPDATE {identity}.signing_keys SET signs_from = signs_from - interval '1 day'")
        .await?;
    let other = theirs.start().await?;
    eventually("it says that it takes nothing away", async || {
        ensure!(other.log()?.contains("no signing key is made or taken away here"), "it does not");
        Ok(())
    })
    .await?;
    ensure!(published(&process).await?.contains(&kid), "the key is gone");
    Ok(())
}
