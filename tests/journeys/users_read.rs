//! What readers see of users, whose events are logged by hand.

mod erased;
pub(crate) mod stage;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use domain::role::Role;
use domain::user::{ProfileChange, UserEvent};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::types::Uuid;
use test_support::{AccessToken, Answer, World, eventually};

use stage::{Logged, Person, Stage, admin, registered, stranger};

const ANN: UserEvent<&str> = UserEvent::Registered {
    username: "Ann",
    email: "ann@example.org",
    full_name: Some("Ann Smith"),
    bio: None,
    image: None,
    roles: Vec::new(),
};

async fn ann(stage: &Stage) -> Result<(Person, Logged)> {
    let mut ann = stage.person().await?;
    let logged = stage.say(&mut ann, ANN).await?;
    Ok((ann, logged))
}

/// What Redis holds under a key.
fn redis_get(world: &World, key: &str) -> Result<String> {
    let key = format!("{}:{key}", world.prefix());
    let url = world.stack().redis_url()?;
    let output = Command::new("redis-cli").args(["-u", url, "--raw", "GET", &key]).output();
    let output = output.context("redis-cli")?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// No word of what only Ann and admins may see.
fn must_be_public(answer: &Answer) -> Result<()> {
    ensure!(answer.status == 200 && answer.json()?["username"] == "Ann", "{answer}");
    ensure!(!answer.text.contains("ann@"), "the address is told: {answer}");
    ensure!(!answer.text.contains("roles") && !answer.text.contains("active"), "{answer}");
    Ok(())
}

fn must_be_full(answer: &Answer) -> Result<()> {
    ensure!(answer.status == 200 && answer.json()?["email"] == "ann@example.org", "{answer}");
    ensure!(answer.json()?["active"] == true, "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_user_is_found_by_id_and_by_name_and_everybody_sees_what_they_may() -> Result<()> {
    let stage = Stage::set("users").await?;
    let (mut ann, logged) = ann(&stage).await?;
    let (path, by_name) = (ann.path(), "/api/v1/users/by-username/aNN");

    let found = stage.get_after(logged, &stranger(), &path).await?;
    must_be_public(&found)?;
    ensure!(found.header("etag") == Some("\"1.1.public\""), "{:?}", found.headers);
    ensure!(found.json()?["full_name"] == "Ann Smith" && found.json()?["bio"].is_null(), "{found}");
    for who in [ann.token(), admin()] {
        let found = stage.get(&who, &path, &[]).await?;
        must_be_full(&found)?;
        ensure!(found.header("etag") == Some("\"1.1\""), "{:?}", found.headers);
        ensure!(found.header("cache-control") == Some("private, no-cache"), "{:?}", found.headers);
        must_be_public(&stage.get(&who, by_name, &[]).await?)?;
    }
    // The same under older paths, which name the canonical ones.
    for path in [path.as_str(), by_name] {
        let older = path.strip_prefix("/api/v1").context("an older path")?;
        let found = stage.get(&stranger(), older, &[]).await?;
        must_be_public(&found)?;
        let link = format!("<{path}>; rel=\"canonical\"");
        ensure!(found.header("link") == Some(&link), "{:?}", found.headers);
    }
    // Who knows the one profile does not know the other.
    for (who, known, status) in [
        (stranger(), "\"1.1.public\"", 304),
        (stranger(), "\"1.1\"", 200),
        (admin(), "\"1.1\"", 304),
        (admin(), "\"1.1.public\"", 200),
    ] {
        let found = stage.get(&who, &path, &[("if-none-match", known)]).await?;
        ensure!(found.status == status, "{known}: {found}");
    }

    let change = ProfileChange { full_name: Some(None), bio: Some(Some("Hi")), image: None };
    stage.say(&mut ann, UserEvent::ProfileUpdated { change }).await?;
    let logged = stage.say(&mut ann, UserEvent::RoleGranted { role: Role::Approver }).await?;
    let found = stage.get_after(logged, &ann.token(), &path).await?.json()?;
    ensure!(found["full_name"].is_null() && found["bio"] == "Hi", "{found}");
    ensure!(found["version"] == 3 && found["roles"] == json!(["approver"]), "{found}");
    ensure!(found["created_at"].as_str() < found["updated_at"].as_str(), "{found}");
    Ok(())
}

#[tokio::test]
async fn who_may_not_see_users_is_refused_and_who_is_nobody_is_not_found() -> Result<()> {
    let stage = Stage::set("users_refused").await?;
    let (ann, logged) = ann(&stage).await?;
    stage.get_after(logged, &stranger(), &ann.path()).await?;
    let audit = format!("{}/audit", ann.path());
    let bound = AccessToken::tester().claim("sub", ann.id.to_string()).device("device-1");
    for (who, path, status, problem) in [
        (stranger(), "/api/v1/users", 403, "forbidden"),
        (stranger(), &audit, 403, "forbidden"),
        (ann.token(), &audit, 403, "forbidden"),
        (bound.clone(), &ann.path(), 403, "forbidden"),
        (bound.clone().roles(&["admin"]), "/api/v1/users", 403, "forbidden"),
        (bound, "/api/v1/users/by-username/ann", 403, "forbidden"),
        (stranger().expired(60), &ann.path(), 401, "unauthenticated"),
        (stranger(), "/api/v1/users/00000000-0000-7000-8000-000000000000", 404, "not-found"),
        (stranger(), "/api/v1/users/ann", 404, "not-found"),
        (stranger(), "/api/v1/users/by-username/bob", 404, "not-found"),
        (stranger(), "/api/v1/users/by-username/%00", 404, "not-found"),
        (admin(), "/api/v1/users?role=chief", 400, "invalid-request"),
        (admin(), "/api/v1/users?cursor=bm9uZQ", 400, "invalid-cursor"),
    ] {
        let answer = stage.get(&who, path, &[]).await?;
        ensure!(
            (answer.status, answer.problem().as_str()) == (status, problem),
            "{path}: {answer}"
        );
        ensure!(!answer.text.contains("ann@"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn the_cache_holds_everything_and_everybody_is_shown_their_part_of_it() -> Result<()> {
    let stage = Stage::set("users_cached").await?;
    let (mut ann, logged) = ann(&stage).await?;
    let (path, key) = (ann.path(), format!("user:{}", ann.id));
    // Filled by a stranger's read: what an admin sees of it was not loaded for the admin.
    stage.get_after(logged, &stranger(), &path).await?;
    must_be_public(&stage.hit(&stranger(), &path).await?)?;
    must_be_full(&stage.hit(&ann.token(), &path).await?)?;
    must_be_full(&stage.hit(&admin(), &path).await?)?;
    must_be_public(&stage.hit(&stranger(), &path).await?)?;
    ensure!(redis_get(&stage.world, &key)?.contains("ann@example.org"), "nothing is cached");

    // Somebody reads it, so that the fold leaves the new body in the place of the old.
    let logged = stage.say(&mut ann, UserEvent::EmailVerified).await?;
    let found = stage.get_after(logged, &admin(), &path).await?;
    ensure!(found.header("cache-status") == Some("millrace; hit"), "{:?}", found.headers);
    ensure!(found.json()?["email_verified"] == true, "{found}");

    stage.destroy_key(&ann).await?;
    let logged = stage.say(&mut ann, UserEvent::Erased).await?;
    let answer = stage.get_after(logged, &admin(), &path).await?;
    ensure!((answer.status, answer.problem().as_str()) == (410, "erased"), "{answer}");
    let cached = redis_get(&stage.world, &key)?;
    ensure!(!cached.contains("nn"), "of somebody erased is cached {cached}");
    for who in [stranger(), ann.token(), admin()] {
        let answer = stage.hit(&who, &path).await?;
        ensure!(answer.status == 410 && !answer.text.contains("nn@"), "{answer}");
    }
    let by_name = stage.get(&admin(), "/api/v1/users/by-username/ann", &[]).await?;
    ensure!(by_name.status == 404, "{by_name}");
    let listed = stage.get(&admin(), "/api/v1/users", &[]).await?;
    ensure!(listed.json()? == json!({"items": []}), "{listed}");
    let (row, erased): (String, bool) =
        sqlx::query_as("SELECT to_json(u)::text, erased FROM users u WHERE id = $1")
            .bind(ann.id.0)
            .fetch_one(stage.world.pool())
            .await?;
    ensure!(erased && !row.contains("nn") && !row.contains("Smith"), "{row}");
    Ok(())
}

#[tokio::test]
async fn whose_key_is_gone_is_erased_whatever_is_still_to_be_folded() -> Result<()> {
    let stage = Stage::set("users_key_gone").await?;
    let mut late = stage.person().await?;
    stage.destroy_key(&late).await?;
    let logged = stage.say(&mut late, ANN).await?;
    let answer = stage.get_after(logged, &admin(), &late.path()).await?;
    ensure!(answer.status == 410, "{answer}");
    let logged = stage.say(&mut late, UserEvent::Erased).await?;
    let answer = stage.get_after(logged, &admin(), &late.path()).await?;
    ensure!(answer.status == 410 && stage.world.letters().await?.is_empty(), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_token_shows_the_write_or_the_read_says_why_not() -> Result<()> {
    let stage = Stage::set("users_tokens").await?;
    let (mut ann, mut bob) = (stage.person().await?, stage.person().await?);
    for round in 0..20 {
        let events = if round == 0 {
            [ANN, registered("Bob", "bob@example.org")]
        } else if round % 2 == 0 {
            [UserEvent::Deactivated, UserEvent::Deactivated]
        } else {
            [UserEvent::Reactivated, UserEvent::Reactivated]
        };
        let [of_ann, of_bob] = events;
        stage.say(&mut bob, of_bob).await?;
        let logged = stage.say(&mut ann, of_ann).await?;
        let found = stage.get_after(logged, &admin(), &ann.path()).await?;
        ensure!(found.json()?["version"] == round + 1, "in round {round}: {found}");
        let by_name = stage.get_after(logged, &admin(), "/api/v1/users/by-username/ann").await?;
        ensure!(by_name.json()?["version"] == round + 1, "in round {round}: {by_name}");
    }

    // A field that was sealed with another key is the record's own fault.
    let forged = ann.forge(UserEvent::EmailChanged { email: "x@example.org" });
    let logged = stage.log(&forged).await?;
    let behind = stage.say(&mut ann, UserEvent::EmailVerified).await?;
    let letters = stage.world.letters_in("blocked", 1).await?;
    let head = letters.iter().find(|letter| letter.state != "blocked").context("no head")?;
    ensure!((head.error_class.as_str(), head.error_code.as_str()) == ("poison", "unreadable"));
    for (logged, path) in [
        (logged, ann.path()),
        (behind, ann.path()),
        (behind, "/api/v1/users/by-username/ann".to_owned()),
        (behind, "/api/v1/users".to_owned()),
        // Of whom nobody has heard, the letter may tell.
        (behind, "/api/v1/users/by-username/carl".to_owned()),
    ] {
        let answer = stage.get_after(logged, &admin(), &path).await?;
        ensure!(answer.problem() == "projection-parked", "{path}: {answer}");
    }
    // Who asks for nothing newer is shown what there is, and others are none the worse for it.
    let found = stage.get(&admin(), &ann.path(), &[]).await?;
    ensure!(found.json()?["email"] == "ann@example.org", "{found}");
    let found = stage.get_after(behind, &admin(), &bob.path()).await?;
    ensure!(found.status == 200, "{found}");
    let token = stage.token(behind)?;
    let lenient = [("consistency-token", token.as_str()), ("prefer", "handling=lenient")];
    let found = stage.get(&admin(), &ann.path(), &lenient).await?;
    ensure!(found.status == 200 && found.header("age").is_some(), "{found}");
    Ok(())
}

#[tokio::test]
async fn operators_are_shown_which_fields_are_known_and_not_what_they_say() -> Result<()> {
    let stage = Stage::set("users_replayed").await?;
    let (mut ann, _) = ann(&stage).await?;
    // A version that is missing is waited for.
    let missing = ann.decide(UserEvent::EmailChanged { email: "new@example.org" });
    stage.say(&mut ann, UserEvent::EmailVerified).await?;
    let letters = eventually("a letter waits", async || {
        let letters = stage.world.letters().await?;
        ensure!(letters.len() == 1, "{} letters", letters.len());
        Ok(letters)
    })
    .await?;
    let letter = letters[0].id.to_string();
    let shown = stage.world.dlq_replayer()?.run(&["show", &letter, "--json"]).await?;
    let shown: Value = serde_json::from_slice(&shown.stdout).context("what is shown")?;
    ensure!(shown["value"]["event"]["user_id"] == ann.id.to_string(), "{shown}");
    ensure!(shown["value"]["event"]["changed"] == json!(["email_verified"]), "{shown}");

    let logged = stage.log(&missing).await?;
    let found = eventually("the stream goes on", async || {
        let found = stage.get_after(logged, &admin(), &ann.path()).await?;
        ensure!(found.json()?["version"] == 3, "{found}");
        found.json()
    })
    .await?;
    ensure!(found["email"] == "new@example.org" && found["email_verified"] == true, "{found}");

    // One that opens nothing, replayed by hand.
    let forged = ann.forge(UserEvent::EmailChanged { email: "x@example.org" });
    stage.log(&forged).await?;
    let letters = stage.world.letters_in("parked", 1).await?;
    let parked = letters.iter().find(|letter| letter.state == "parked").context("none")?;
    let replay = ["replay", &parked.id.to_string(), "--yes", "--reason", "a test", "--dry-run"];
    let replayed = stage.world.dlq_replayer()?.run(&replay).await?;
    let told = [replayed.stdout, replayed.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    ensure!(told.contains("unreadable") && !told.contains('@'), "{told}");
    Ok(())
}

/// Everything that pages of this query show, by name, a few at a time.
async fn names(stage: &Stage, query: &str) -> Result<Vec<String>> {
    let mut path = format!("/api/v1/users?limit=2{query}");
    let mut names = Vec::new();
    loop {
        let page = stage.get(&admin(), &path, &[]).await?;
        let body = page.json()?;
        let items = body["items"].as_array().with_context(|| format!("{page}"))?;
        ensure!(items.len() <= 2, "{} rows", items.len());
        names.extend(items.iter().filter_map(|item| item["username"].as_str().map(str::to_owned)));
        let Some(link) = page.header("link") else { return Ok(names) };
        let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        path = next.with_context(|| format!("the link is {link}"))?.to_owned();
    }
}

#[tokio::test]
async fn admins_find_users_by_role_state_and_the_beginning_of_their_names() -> Result<()> {
    let stage = Stage::set("users_listed").await?;
    let (mut all, mut logged) = (Vec::new(), Vec::new());
    for name in ["Dora", "anna", "Bob", "Ann", "ANNE", "carl", "a_b", "zoe"] {
        let mut person = stage.person().await?;
        logged.push(stage.say(&mut person, registered(name, "x@example.org")).await?);
        all.push(person);
    }
    for (n, event) in [
        (1, UserEvent::RoleGranted { role: Role::Admin }),
        (5, UserEvent::RoleGranted { role: Role::Admin }),
        (5, UserEvent::Deactivated),
        (3, UserEvent::Deactivated),
        (7, UserEvent::Erased),
    ] {
        logged.push(stage.say(&mut all[n], event).await?);
    }
    for logged in logged {
        let found = stage.get_after(logged, &admin(), "/api/v1/users?limit=1").await?;
        ensure!(found.status == 200, "{found}");
    }
    for (query, expected) in [
        // In the order of ids, which is that of registration.
        ("", &["Dora", "anna", "Bob", "Ann", "ANNE", "carl", "a_b"][..]),
        ("&role=user", &["Dora", "anna", "Bob", "Ann", "ANNE", "carl", "a_b"]),
        ("&role=admin", &["anna", "carl"]),
        ("&role=responder", &[]),
        ("&active=false", &["Ann", "carl"]),
        ("&active=true", &["Dora", "anna", "Bob", "ANNE", "a_b"]),
        ("&active=false&role=admin", &["carl"]),
        // In that of names.
        ("&prefix=AN", &["Ann", "anna", "ANNE"]),
        ("&prefix=a", &["a_b", "Ann", "anna", "ANNE"]),
        ("&prefix=a_", &["a_b"]),
        ("&prefix=ann&active=true", &["anna", "ANNE"]),
        ("&prefix=x%25", &[]),
        ("&prefix=z", &[]),
    ] {
        let found = names(&stage, query).await?;
        ensure!(found == expected, "{query}: {found:?}");
    }
    let by_alias = stage.get(&admin(), "/users?limit=1", &[]).await?;
    let links: Vec<_> = by_alias.headers.get_all("link").iter().collect();
    ensure!(links.len() == 2, "{links:?}");
    Ok(())
}

#[tokio::test]
async fn admins_see_who_changed_what_and_when_page_by_page() -> Result<()> {
    let stage = Stage::set("users_audited").await?;
    let ann = stage.person().await?;
    let schema = read_models::database::event_store_schema(stage.world.prefix());
    let insert = format!(
        "INSERT INTO {schema}.events (stream_id, stream_version, event_id, previous_id, topic,
                                      event_type, occurred_at, actor, changed, value)
         SELECT $1, n, gen_random_uuid(), CASE WHEN n > 1 THEN gen_random_uuid() END, 'x',
                'identity.user.x.v1', '2026-03-01 12:00:00Z'::timestamptz + n * interval '1 second',
                CASE WHEN n > 1 THEN $2::text END, ARRAY['bio'], 'a secret'
         FROM generate_series(1, 5) AS n"
    );
    let actor = Uuid::now_v7().to_string();
    sqlx::query(AssertSqlSafe(insert))
        .bind(ann.id.stream_id())
        .bind(&actor)
        .execute(stage.world.pool())
        .await?;
    let mut path = format!("{}/audit?limit=2", ann.path());
    let mut shown = Vec::new();
    for _ in 0..3 {
        let page = stage.get(&admin(), &path, &[]).await?;
        ensure!(!page.text.contains("secret"), "{page}");
        let body = page.json()?;
        shown.extend(body["items"].as_array().with_context(|| format!("{page}"))?.clone());
        let link = page.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
        path = link.map(|(next, _)| next.to_owned()).unwrap_or_default();
    }
    ensure!(path.is_empty(), "there is more: {path}");
    let versions: Vec<_> = shown.iter().filter_map(|item| item["version"].as_u64()).collect();
    ensure!(versions == [5, 4, 3, 2, 1], "{versions:?}");
    let newest = json!({
        "version": 5, "event_type": "identity.user.x.v1",
        "occurred_at": "2026-03-01T12:00:05.000000Z", "actor": actor, "changed": ["bio"],
    });
    ensure!(shown[0] == newest && shown[4]["actor"].is_null(), "{shown:?}");
    let nobody = stage.person().await?;
    let nothing = stage.get(&admin(), &format!("{}/audit", nobody.path()), &[]).await?;
    ensure!(nothing.status == 404, "{nothing}");
    Ok(())
}
