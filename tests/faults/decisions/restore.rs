//! A store that is set back while the log is ahead of it, and one that is built anew from the log.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use test_support::{AccessToken, Outgoing, OwnStack, People, World, eventually, id_of};
use uuid::Uuid;

use super::log_equals_the_store;
use crate::journeys::users::store_is_open;

#[tokio::test]
async fn a_store_that_was_set_back_is_closed_until_it_is_repaired() -> Result<()> {
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "restore").await?;
    let launch = world.command_api()?;
    let mut command_api = launch.start().await?;
    command_api.ready().await?;
    let people = People::new(&[&command_api], None)?;
    store_is_open(&people).await?;
    let ann = id_of(&people.register("ann").await?)?;
    command_api.terminate().await?;

    own.save_database().await?;
    let command_api = {
        let mut process = launch.start().await?;
        process.ready().await?;
        let people = People::new(&[&process], None)?;
        store_is_open(&people).await?;
        // What the store is going to lose: changes of somebody it knows, and somebody it never heard of.
        for n in 0..10 {
            let changed = change(&people, &ann, &format!("change {n}")).await?;
            ensure!(changed == 200, "answered {changed}");
        }
        people.register("bob").await?;
        log_equals_the_store(&world).await?;
        process.terminate().await?;
        own.restore_database().await?;
        launch.start().await?
    };
    let (lost, _) = world.logged_streams().await?;
    let people = People::new(&[&command_api], None)?;
    eventually("decisions are refused since the log is ahead", async || {
        let refused = people.send(people.registration(0, "eve", "eve@example.org")?).await?;
        let is_told = refused.status == 503 && refused.problem() == "log-ahead-of-store";
        ensure!(is_told && refused.header("retry-after").is_some(), "{refused}");
        Ok(())
    })
    .await?;
    // However often it is compared, and whatever the command would have been answered.
    for _ in 0..4 {
        ensure!(change(&people, &ann, "forked").await? == 503, "it was decided on a lost state");
        let nobody = change(&people, &Uuid::now_v7().to_string(), "forked").await?;
        ensure!(nobody == 503, "somebody who may have been lost was answered {nobody}");
        tokio::time::sleep(Duration::from_millis(700)).await;
    }

    let looked = launch.run(&["repair", "--dry-run"]).await?;
    let told = String::from_utf8_lossy(&looked.stdout).into_owned();
    ensure!(looked.status.success() && told.contains("nothing was changed"), "{looked:?}");
    let repaired = launch.run(&["repair"]).await?;
    let told = String::from_utf8_lossy(&repaired.stdout).into_owned();
    ensure!(repaired.status.success() && told.contains("events appended"), "{repaired:?}");
    eventually("the store takes decisions again", async || {
        let answered = change(&people, &ann, "after the repair").await?;
        ensure!(answered == 200, "answered {answered}");
        Ok(())
    })
    .await?;
    // Nothing is lost, nothing is forked: what was logged is still how every stream begins.
    log_equals_the_store(&world).await?;
    let (logged, _) = world.logged_streams().await?;
    for (stream, events) in &lost {
        let now = logged.get(stream).with_context(|| format!("{stream} is gone"))?;
        ensure!(now.starts_with(events), "{stream} was {events:?} and is {now:?}");
    }
    Ok(())
}

async fn change(people: &People, id: &str, bio: &str) -> Result<u16> {
    let (own, path) = (AccessToken::user(id), format!("/api/v1/users/{id}"));
    let request = people.request_as(&own, "PATCH", &path, Some(json!({ "bio": bio })))?;
    Ok(people.send(request).await?.status)
}

/// What of the store follows from the log.
const TABLES: [&str; 3] = [
    "SELECT coalesce(json_agg(t ORDER BY stream_id), '[]')::text FROM {store}.streams t",
    "SELECT coalesce(json_agg(to_jsonb(t) - 'number' ORDER BY stream_id, stream_version), '[]')::text
     FROM {store}.events t",
    "SELECT coalesce(json_agg(t ORDER BY kind, digest), '[]')::text FROM {store}.claims t",
];

#[tokio::test]
async fn a_store_that_is_built_anew_from_the_log_is_the_same() -> Result<()> {
    let world = World::start("rebuilt_store").await?;
    let launch = world.command_api()?;
    let mut command_api = launch.start().await?;
    command_api.ready().await?;
    let people = People::new(&[&command_api], None)?;
    store_is_open(&people).await?;
    let admin = AccessToken::admin();
    for n in 0..12 {
        let id = id_of(&people.register(&format!("user-{n}")).await?)?;
        let path = format!("/api/v1/users/{id}");
        for (method, tail, body) in [
            ("PATCH", "", Some(json!({"bio": "Hello", "full_name": "Somebody"}))),
            ("PUT", "/email", Some(json!({ "email": format!("new-{n}@example.org") }))),
            ("PUT", "/roles/analyst", None),
            ("POST", "/deactivate", None),
            ("DELETE", "", None),
        ]
        .into_iter()
        .take(n % 6)
        {
            let path = format!("{path}{tail}");
            let answer = people.send(people.request_as(&admin, method, &path, body)?).await?;
            ensure!(matches!(answer.status, 200 | 204), "{method} {path}: {answer}");
        }
    }
    log_equals_the_store(&world).await?;
    command_api.terminate().await?;
    repeat_first_records(&world).await?;
    let before = tables(&world).await?;
    let truncated = "TRUNCATE {store}.streams, {store}.events, {store}.claims, {store}.published";
    world.execute(truncated).await?;
    world.execute("UPDATE {store}.standing SET compared_run = NULL").await?;
    let rebuilt = launch.run(&["repair"]).await?;
    ensure!(rebuilt.status.success(), "{rebuilt:?}");
    let after = tables(&world).await?;
    for (before, after) in before.iter().zip(&after) {
        ensure!(before == after, "it was {before}\nand is {after}");
    }
    let command_api = launch.start().await?;
    command_api.ready().await?;
    eventually("the store is known to have all of the log", async || {
        let known: BTreeMap<i32, i64> = known_ends(&world).await?;
        let mut ends = world.users_log()?.ends().await?;
        ends.retain(|_, end| *end > 0);
        ensure!(known == ends, "{known:?} of {ends:?}");
        Ok(())
    })
    .await?;
    store_is_open(&People::new(&[&command_api], None)?).await
}

/// As a relay does that ends between sending and marking: the log has the first event of each stream twice,
/// behind later ones.
async fn repeat_first_records(world: &World) -> Result<()> {
    let log = world.users_log()?;
    let again = log.read().await?.into_iter().filter(|record| {
        let version = record.headers.iter().find(|(name, _)| name == "ce_streamversion");
        version.is_some_and(|(_, value)| value.as_deref() == Some(b"1"))
    });
    let headers = |(name, value): (String, Option<Vec<u8>>)| (name, value.unwrap_or_default());
    let again = again.map(|record| Outgoing {
        partition: Some(record.partition),
        key: record.key,
        value: record.value,
        timestamp_ms: None,
        headers: record.headers.into_iter().map(headers).collect(),
    });
    log.append_raw(again.collect()).await
}

async fn known_ends(world: &World) -> Result<BTreeMap<i32, i64>> {
    let ends = "SELECT coalesce(json_object_agg(partition, next_offset), '{}')::text
                FROM {store}.published";
    let ends: BTreeMap<String, i64> = serde_json::from_str(&world.text_of(ends).await?)?;
    ends.into_iter().map(|(partition, end)| Ok((partition.parse()?, end))).collect()
}

async fn tables(world: &World) -> Result<Vec<String>> {
    let mut tables = Vec::new();
    for statement in TABLES {
        tables.push(world.text_of(statement).await?);
    }
    Ok(tables)
}
