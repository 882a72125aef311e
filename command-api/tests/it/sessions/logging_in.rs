//! Logging in, and what is told of it.

use consistency_token::{Entry, Token};
use event_store::EventStore as _;
use serde_json::json;

use super::{LOGIN, PASSWORD, Session, logged_in, login, saying, told};
use crate::decision_world::{Setup, World, admin, eventually};

/// Of `correct horse`, as another program (libxcrypt) has made it.
const OF_BCRYPT: &str = "$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu";

#[tokio::test]
async fn whoever_knows_the_password_comes_in_by_name_or_address() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for body in [
        json!({"username": "Ann", "password": PASSWORD}),
        json!({"email": "ANN@example.org", "password": PASSWORD}),
        json!({"username": "ann@Example.org", "password": PASSWORD}),
    ] {
        let answer = saying(&world, &body).send().await;
        let session = Session::of(&answer);
        assert_eq!(answer.body["token_type"], "Bearer");
        assert_eq!(answer.body["expires_in"], 900);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("etag"), "");
        let token = Token::decode(answer.header("consistency-token"), &world.token_key).unwrap();
        let id = session.id.stream_id();
        assert_eq!(token.entries().collect::<Vec<_>>(), [Entry::Stream { id: &id, version: 1 }]);

        let caller = world.caller(&session.access_token);
        assert_eq!((&caller.subject, &caller.actor), (&ann.id, &ann.id));
        let revocable = caller.revocable.unwrap();
        assert_eq!((revocable.session, revocable.user_version), (session.id.0, 2));
        assert!(caller.roles.contains(access::Role::User));
        assert_eq!(world.refresh_tokens.read(&session.refresh_token), Some((session.id, 1)));
    }
}

#[tokio::test]
async fn the_older_path_means_the_same_and_names_the_canonical_one() {
    let world = World::new().await;
    world.registered("ann").await;
    let by_alias = |password| {
        let body = json!({"username": "ann", "password": password});
        world.call("POST", "/login").saying(&body).send()
    };
    let (right, wrong) = (by_alias(PASSWORD).await, by_alias("wrong horse").await);
    for (answer, status) in [(right, 200), (wrong, 401)] {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("link"), format!("<{LOGIN}>; rel=\"canonical\""));
    }
}

#[tokio::test]
async fn whoever_is_refused_is_not_told_who_there_is() {
    let world = World::new().await;
    let (_ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let _cid = world.registered("cid").await;
    assert_eq!(world.call("DELETE", &bob.path("")).by(&admin()).send().await.status, 204);
    let mut refused = Vec::new();
    for (address, body) in [
        ("198.51.100.1", json!({"username": "nobody", "password": PASSWORD})),
        ("198.51.100.2", json!({"email": "nobody@example.org", "password": PASSWORD})),
        ("198.51.100.3", json!({"username": "ann", "password": "wrong horse"})),
        ("198.51.100.4", json!({"email": "ann@example.org", "password": "Correct horse"})),
        ("198.51.100.5", json!({"username": "ann", "password": "short"})),
        ("198.51.100.6", json!({"username": "ann", "password": ""})),
        ("198.51.100.7", json!({"username": "ann", "password": "x".repeat(1_000)})),
        ("198.51.100.8", json!({"username": "bob", "password": PASSWORD})),
        ("198.51.100.9", json!({"email": "ann", "password": PASSWORD})),
        ("198.51.100.10", json!({"username": "", "password": PASSWORD})),
        ("198.51.100.11", json!({"username": "no name, and no address", "password": PASSWORD})),
        ("198.51.100.12", json!({"username": "x".repeat(5_000), "password": PASSWORD})),
    ] {
        let answer = saying(&world, &body).from(address).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (401, "login-failed"), "{body}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        refused.push(told(&answer));
    }
    assert!(refused.iter().all(|answer| *answer == refused[0]), "{refused:?}");
    assert_eq!(world.failures.counted(), refused.len());

    // Nor is anybody whose fields nobody can read any more.
    world.store.has_lost_keys();
    let answer = login(&world, "cid").from("198.51.100.13").send().await;
    assert_eq!(told(&answer), refused[0]);
}

#[tokio::test]
async fn only_who_knows_the_password_learns_that_the_account_was_deactivated() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let decide = |what: &str| world.call("POST", &ann.path(what)).by(&admin()).send();
    assert_eq!(decide("/deactivate").await.status, 200);
    let answer = login(&world, "ann").send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (403, "deactivated"));
    assert_eq!(world.failures.counted(), 0);
    let wrong = json!({"username": "ann", "password": "wrong horse"});
    let wrong = saying(&world, &wrong).send().await;
    let nobody = login(&world, "nobody").send().await;
    assert_eq!(told(&wrong), told(&nobody));
    assert_eq!(decide("/reactivate").await.status, 200);
    logged_in(&world, "ann").await;
}

#[tokio::test]
async fn what_breaks_rules_is_named_and_is_no_attempt() {
    let world = World::new().await;
    for body in [
        json!({"password": PASSWORD}),
        json!({"username": "ann"}),
        json!({"username": "ann", "email": "ann@example.org", "password": PASSWORD}),
        json!({"username": "ann", "password": PASSWORD, "roles": ["admin"]}),
    ] {
        let answer = saying(&world, &body).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"), "{body}");
        assert!(!answer.errors().is_empty(), "{answer:?}");
    }
    let text = world.call("POST", LOGIN).saying_as("text/plain", "x".to_owned()).send().await;
    assert_eq!((text.status.as_u16(), text.problem()), (415, "unsupported-media-type"));
    assert_eq!(world.failures.counted(), 0);
}

#[tokio::test]
async fn each_login_is_a_session_of_its_own_also_under_one_name_of_a_request() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let (one, other) = (login(&world, "ann").named("k1"), login(&world, "ann").named("k1"));
    let (one, other) = (Session::of(&one.send().await), Session::of(&other.send().await));
    assert_ne!(one.id, other.id);
    // An answer that holds secrets is kept under no name.
    for principal in ["anybody", &ann.id] {
        assert!(world.store.kept(principal, "k1").await.is_none());
    }
    for session in [one, other] {
        let stream_id = session.id.stream_id();
        eventually("the log has it", async || world.log.versions(&stream_id) == [1]).await;
    }
}

#[tokio::test]
async fn whoever_logs_in_waits_for_no_log() {
    let world = World::new().await;
    world.registered("ann").await;
    world.log.is_away(true);
    let session = logged_in(&world, "ann").await;
    assert_eq!(session.events(&world).await, ["logged-in"]);
}

#[tokio::test]
async fn a_hash_that_is_outdated_is_replaced_by_a_login() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let hash = || async { world.store.password_hash(&ann.id).await.unwrap().unwrap() };
    let ours = hash().await;
    assert!(world.store.replace_password_hash(&ann.id, &ours, OF_BCRYPT).await.unwrap());
    let wrong = json!({"username": "ann", "password": "wrong horse"});
    assert_eq!(saying(&world, &wrong).send().await.status, 401);
    assert_eq!(hash().await, OF_BCRYPT);
    logged_in(&world, "ann").await;
    let new = hash().await;
    assert!(new.starts_with("$argon2id$") && new != ours, "{new}");
    logged_in(&world, "ann").await;
    assert_eq!(hash().await, new);
}

#[tokio::test]
async fn a_hash_that_cannot_be_read_is_nobody_s() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let ours = world.store.password_hash(&ann.id).await.unwrap().unwrap();
    world.store.replace_password_hash(&ann.id, &ours, "$none$").await.unwrap();
    let nobody = login(&world, "nobody").from("198.51.100.1").send().await;
    let answer = login(&world, "ann").from("198.51.100.2").send().await;
    assert_eq!(told(&answer), told(&nobody));
}

#[tokio::test]
async fn where_nothing_can_be_given_no_session_begins() {
    let world = World::of(Setup { has_signing_key: false, ..Setup::default() }).await;
    world.registered("ann").await;
    let answer = login(&world, "ann").send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "not-ready"));
    assert_eq!(answer.header("retry-after"), "1");
    let sessions = world.log.records().into_iter().filter(|it| it.key.starts_with("session-"));
    assert_eq!(sessions.count(), 0);
}

#[tokio::test]
async fn while_the_store_does_not_answer_nobody_comes_in_and_nobody_has_failed() {
    let world = World::new().await;
    world.registered("ann").await;
    world.store.is_away(true);
    for name in ["ann", "nobody"] {
        let answer = login(&world, name).send().await;
        let told = (answer.status.as_u16(), answer.problem());
        assert_eq!(told, (503, "database-unavailable"), "{name}");
    }
    assert_eq!(world.failures.counted(), 0);
    world.store.is_away(false);
    logged_in(&world, "ann").await;
}
