//! Users from registration to erasure, over the real processes.

mod erasure;
mod first_admin;
mod races;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{
    AccessToken, Answer, Named, People, Running, World, eventually, id_of, with_json,
};
use tokio::task::JoinSet;

/// The processes of users, two of the write side.
pub(crate) struct Stage {
    pub(crate) world: World,
    _command_apis: [Running; 2],
    _projector: Running,
    _query_api: Running,
    pub(crate) people: People,
}

impl Stage {
    pub(crate) async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let launch = world.command_api()?;
        let projector = world.projector_of("user")?;
        let reads = world.query_api()?;
        let (one, other, projector, query_api) =
            tokio::try_join!(launch.start(), launch.start(), projector.start(), reads.start())?;
        tokio::try_join!(one.ready(), other.ready(), projector.ready(), query_api.ready())?;
        let people = People::new(&[&one, &other], Some(&query_api))?;
        store_is_open(&people).await?;
        let _command_apis = [one, other];
        Ok(Self { world, _command_apis, _projector: projector, _query_api: query_api, people })
    }
}

/// Waits until somebody has compared log and store: until one more user is registered, and the log has it.
/// However often it has to ask, it asks for the same one.
pub(crate) async fn store_is_open(people: &People) -> Result<()> {
    let name = format!("probe-{}", uuid::Uuid::now_v7().simple().to_string().split_at(20).1);
    eventually("the store takes decisions", async || {
        let request = people.registration(0, &name, &format!("{name}@example.org"))?;
        let answer = people.send(request.header("idempotency-key", format!("\"{name}\""))).await?;
        ensure!(answer.status == 201, "{answer}");
        Ok(())
    })
    .await
}

/// How many streams the log has that were not in the store before.
async fn new_streams(world: &World, before: &BTreeMap<String, Vec<Named>>) -> Result<usize> {
    let (logged, _) = world.logged_streams().await?;
    Ok(logged.keys().filter(|stream| !before.contains_key(*stream)).count())
}

fn path_of(id: &str) -> String {
    format!("/api/v1/users/{id}")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn somebody_registers_changes_verifies_and_is_erased() -> Result<()> {
    let stage = Stage::set("users").await?;
    let people = &stage.people;
    let registered = people.register("ann").await?;
    let id = id_of(&registered)?;
    ensure!(registered.header("location") == Some(path_of(&id).as_str()), "{registered}");
    let (own, other, admin) = (
        AccessToken::user(&id),
        AccessToken::user(&uuid::Uuid::now_v7().to_string()),
        AccessToken::admin(),
    );

    // Found at once, whole by oneself and admins, without the address by others.
    let seen = people.read_after(&own, &registered, &path_of(&id)).await?;
    ensure!(seen.status == 200 && text(&seen.json()?, "email") == "ann@example.org", "{seen}");
    let public = people.read(&other, &path_of(&id)).await?;
    ensure!(public.status == 200 && public.json()?.get("email").is_none(), "{public}");
    let by_name = people.read(&other, "/api/v1/users/by-username/ANN").await?;
    ensure!(text(&by_name.json()?, "id") == id, "{by_name}");

    // The ETag of a read is what a decision is made on.
    let etag = seen.header("etag").context("no ETag")?.to_owned();
    let change = |etag: String, bio: &str| {
        let body = json!({ "bio": bio });
        let request = people.request_as(&own, "PATCH", &path_of(&id), Some(body))?;
        anyhow::Ok(request.header("if-match", etag))
    };
    let changed = people.send(change(etag.clone(), "first")?).await?;
    ensure!(changed.status == 200 && text(&changed.json()?, "bio") == "first", "{changed}");
    let stale = people.send(change(etag, "second")?).await?;
    ensure!(stale.status == 412 && stale.problem() == "version-mismatch", "{stale}");
    ensure!(stale.header("etag") == changed.header("etag"), "{:?}", stale.headers);
    let seen = people.read_after(&own, &changed, &path_of(&id)).await?;
    ensure!(text(&seen.json()?, "bio") == "first", "{seen}");

    // The mail's link leads to a page whose button shows that the address is theirs; to look at it does not.
    let link = link_in_outbox(&stage.world, "ann@example.org").await?;
    let path =
        link.split_once("/api/").map(|(_, rest)| format!("/api/{rest}")).context("no path")?;
    let page = people.send(people.request(1, "GET", &path)?).await?;
    ensure!(page.status == 200 && page.text.contains("Verify my address"), "{page}");
    let unchanged = people.request_as(&own, "PATCH", &path_of(&id), Some(json!({})))?;
    let unchanged = people.send(unchanged).await?;
    ensure!(unchanged.json()?["email_verified"] == false, "{unchanged}");
    let (path, form) = path.split_once('?').context("no query")?;
    let pressed = people.request(1, "POST", path)?;
    let pressed = pressed.header("content-type", "application/x-www-form-urlencoded");
    let verified = people.send(pressed.body(form.to_owned())).await?;
    ensure!(verified.status == 200 && verified.text.contains("is verified"), "{verified}");
    let seen = people.read_after(&own, &verified, &path_of(&id)).await?;
    ensure!(seen.json()?["email_verified"] == true, "{seen}");

    // What admins decide.
    for (method, path, field, value) in [
        ("PUT", "/roles/approver", "roles", json!(["user", "approver"])),
        ("POST", "/deactivate", "active", json!(false)),
        ("POST", "/reactivate", "active", json!(true)),
        ("DELETE", "/roles/approver", "roles", json!(["user"])),
    ] {
        let path = format!("{}{path}", path_of(&id));
        let refused = people.send(people.request_as(&own, method, &path, None)?).await?;
        ensure!(refused.status == 403, "{method} {path} by the user: {refused}");
        let decided = people.send(people.request_as(&admin, method, &path, None)?).await?;
        ensure!(decided.status == 200 && decided.json()?[field] == value, "{decided}");
        let seen = people.read_after(&admin, &decided, &path_of(&id)).await?;
        ensure!(seen.json()?[field] == value, "{seen}");
    }
    let listed = people.read(&admin, "/api/v1/users?prefix=an").await?;
    ensure!(listed.status == 200 && listed.text.contains(&id), "{listed}");
    let refused = people.read(&own, "/api/v1/users").await?;
    ensure!(refused.status == 403, "{refused}");
    let audit = people.read(&admin, &format!("{}/audit", path_of(&id))).await?;
    ensure!(
        audit.status == 200 && audit.text.contains("identity.user.profile-updated.v1"),
        "{audit}"
    );
    ensure!(!audit.text.contains("first"), "the audit shows a value: {audit}");

    let erased = people.send(people.request_as(&own, "DELETE", &path_of(&id), None)?).await?;
    ensure!(erased.status == 204, "{erased}");
    let gone = people.read_after(&admin, &erased, &path_of(&id)).await?;
    ensure!(gone.status == 410 && gone.problem() == "erased", "{gone}");
    let gone = people.read(&admin, "/api/v1/users/by-username/ann").await?;
    ensure!(gone.status == 404, "{gone}");
    // Name and address are free again.
    people.register("ann").await?;
    Ok(())
}

/// The link of the first mail to an address.
async fn link_in_outbox(world: &World, to: &str) -> Result<String> {
    eventually("the mail is in the outbox", async || {
        let entries = std::fs::read_dir(world.outbox()).context("no outbox yet")?;
        for entry in entries.flatten() {
            let mail = std::fs::read_to_string(entry.path())?;
            // Long lines are folded for mail.
            let mail = mail.replace("=\r\n", "").replace("=3D", "=");
            if mail.contains(to) {
                let link =
                    mail.split_whitespace().find(|word| word.contains("verify-email?token="));
                return link.map(str::to_owned).context("there is no link in the mail");
            }
        }
        anyhow::bail!("there is no mail to {to}")
    })
    .await
}

/// Times that somebody registers and is read at once.
const TIMES: usize = 1_000;

#[tokio::test]
async fn whoever_registers_is_found_at_once_a_thousand_times_under_load() -> Result<()> {
    let stage = Stage::set("users_at_once").await?;
    let before = stage.world.stored_streams().await?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (people, next) = (stage.people.clone(), Arc::clone(&next));
        clients.spawn(async move {
            while let n @ ..TIMES = next.fetch_add(1, Ordering::Relaxed) {
                let name = format!("user-{n}");
                let answer = register_in_time(&people, client, &name).await?;
                let id = id_of(&answer)?;
                let own = AccessToken::user(&id);
                let seen = people.read_after(&own, &answer, &path_of(&id)).await?;
                ensure!(seen.status == 200 && text(&seen.json()?, "username") == name, "{seen}");
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client.context("a client panicked")??;
    }
    let new = new_streams(&stage.world, &before).await?;
    ensure!(new == TIMES, "{new} streams are logged");
    Ok(())
}

/// Registers somebody; more hashes at once than there is room for are refused, and tried again.
async fn register_in_time(people: &People, instance: usize, name: &str) -> Result<Answer> {
    loop {
        let request = people.registration(instance, name, &format!("{name}@example.org"))?;
        let answer = people.send(request).await?;
        if answer.status == 503 && answer.header("retry-after").is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        ensure!(answer.status == 201, "{name} was answered {answer}");
        return Ok(answer);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_named() -> Result<()> {
    let stage = Stage::set("users_faulty").await?;
    let people = &stage.people;
    let body = json!({"username": "a", "email": "nobody", "password": "short", "admin": true});
    let request = with_json(people.request(0, "POST", "/users")?, &body);
    let answer = people.send(request).await?;
    ensure!(answer.status == 400 && answer.problem() == "invalid-request", "{answer}");
    let problem = answer.json()?;
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| text(error, "pointer"))
        .collect();
    ensure!(pointers == ["/admin", "/username", "/email", "/password"], "{answer}");
    ensure!(answer.header("link").is_some_and(|link| link.contains("canonical")), "{answer}");
    Ok(())
}
