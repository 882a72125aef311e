//! Changing the password: who may, what it takes and what it ends.

use std::time::Duration;

use event_store::EventStore as _;
use event_store::beside::Revoked;
use serde_json::json;
use uuid::Uuid;

use crate::decision_world::{Call, PASSWORD, Person, World, admin, of_device};
use crate::world::Answer;

/// The password of those who register in tests, and the one that they choose then.
const BEFORE: &str = PASSWORD;
const AFTER: &str = "battery staple";

fn change(world: &World, person: &Person, current: &str, new: &str) -> Call {
    let body = json!({"current_password": current, "new_password": new});
    world.call("PUT", &person.path("/password")).by(&person.claims()).saying(&body)
}

async fn log_in(world: &World, name: &str, password: &str) -> Answer {
    world.log_in(name, password).send().await
}

async fn hash_of(world: &World, person: &Person) -> String {
    world.store.password_hash(&person.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn whoever_knows_the_password_may_have_another_one_and_comes_in_with_that_alone() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let answer = change(&world, &ann, BEFORE, AFTER).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"3\""), "{answer:?}");
    assert_eq!(world.offset(answer.header("consistency-token")), 2);
    let last = world.log.of(&ann.stream_id()).pop().unwrap();
    assert_eq!(last.header("ce_type"), "identity.user.password-changed.v1");
    assert_eq!(last.header("ce_actor"), ann.id);
    assert!(!String::from_utf8_lossy(&last.value).contains("staple"));
    assert_eq!(log_in(&world, "ann", BEFORE).await.status, 401);
    assert_eq!(log_in(&world, "ann", AFTER).await.status, 200);
}

#[tokio::test]
async fn all_sessions_end_with_the_password() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let refresh_token = log_in(&world, "ann", BEFORE).await.body["refresh_token"].clone();
    assert_eq!(change(&world, &ann, BEFORE, AFTER).send().await.status, 204);
    let id = Uuid::parse_str(&ann.id).unwrap();
    let revoked: Vec<_> =
        world.store.memory().revocations().into_iter().map(|(what, _)| what).collect();
    assert_eq!(revoked, [Revoked::User { id, below_version: 3 }]);
    let call = world.call("POST", "/api/v1/auth/refresh");
    let answer = call.saying(&json!({"refresh_token": refresh_token})).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (401, "invalid-refresh-token"));
}

#[tokio::test]
async fn whoever_does_not_know_it_is_told_so_and_has_to_wait_after_some_times() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let before = hash_of(&world, &ann).await;
    for wrong in ["Correct horse", "", "short"] {
        let answer = change(&world, &ann, wrong, AFTER).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (403, "forbidden"), "{wrong}");
        assert_eq!(answer.errors(), [("/current_password", "current-password")]);
    }
    assert_eq!(world.failures.counted(), 3);
    // The right one waits as well, and so does whoever logs in by the name.
    let changed = change(&world, &ann, BEFORE, AFTER).send().await;
    for answer in [changed, log_in(&world, "ann", BEFORE).await] {
        assert_eq!((answer.status.as_u16(), answer.problem()), (429, "too-many-attempts"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(hash_of(&world, &ann).await, before);
    world.failures.pass(Duration::from_secs(1));
    assert_eq!(change(&world, &ann, BEFORE, AFTER).send().await.status, 204);
    let answer = change(&world, &ann, BEFORE, AFTER).send().await;
    assert_eq!(answer.problem(), "forbidden", "they are forgotten once it is known");
}

#[tokio::test]
async fn while_failures_cannot_be_counted_nobody_guesses() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.failures.is_away(true);
    let answer = change(&world, &ann, BEFORE, AFTER).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "database-unavailable"));
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
}

#[tokio::test]
async fn nobody_changes_the_password_of_somebody_else() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let body = json!({"current_password": BEFORE, "new_password": AFTER});
    // What speaks for a device does not for its owner, whatever else it may.
    let mut of_a_device_s = ann.claims();
    of_a_device_s["device_id"] = json!("device-1");
    for claims in [bob.claims(), admin(), of_device(&ann.id), of_a_device_s] {
        let call = world.call("PUT", &ann.path("/password")).by(&claims);
        let answer = call.saying(&body).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (403, "forbidden"), "{claims}");
        assert!(!answer.header("www-authenticate").is_empty() && answer.errors().is_empty());
    }
    let answer = world.call("PUT", &ann.path("/password")).saying(&body).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (401, "unauthenticated"));
    assert_eq!((world.failures.counted(), world.log.records().len()), (0, 4));
}

#[tokio::test]
async fn a_new_password_keeps_to_the_rules_and_is_never_told() {
    let world = World::new().await;
    let ann = world.registered("annabelle").await;
    for (new, rule) in [
        ("hunter2", "min-characters"),
        ("annabelle", "common"),
        ("annabelle@example.org", "common"),
        ("sunshine1", "common"),
    ] {
        let answer = change(&world, &ann, BEFORE, new).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"), "{new}");
        assert_eq!(answer.errors(), [("/new_password", rule)], "{new}");
        assert!(!answer.body.to_string().contains(new), "{answer:?}");
    }
    let call = world.call("PUT", &ann.path("/password")).by(&ann.claims());
    let answer = call.saying(&json!({"password": AFTER})).send().await;
    let expected = [
        ("/password", "known-members"),
        ("/current_password", "required"),
        ("/new_password", "required"),
    ];
    assert_eq!(answer.errors(), expected);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
}

#[tokio::test]
async fn under_one_name_each_change_counts_and_none_is_answered_that_does_not() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for (current, new, etag) in [(BEFORE, AFTER, "\"3\""), (AFTER, "another staple", "\"4\"")] {
        let answer = change(&world, &ann, current, new).named("k1").send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, etag), "{answer:?}");
        assert_eq!(log_in(&world, "ann", new).await.status, 200);
    }
    // What is sent again is refused: by then nobody knows the password by the one before.
    let again = change(&world, &ann, BEFORE, AFTER).named("k1").send().await;
    assert_eq!((again.status.as_u16(), again.problem()), (403, "forbidden"));
    assert_eq!(again.errors(), [("/current_password", "current-password")]);
    assert_eq!(log_in(&world, "ann", AFTER).await.status, 401);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn of_two_changes_at_once_one_counts() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.store.next_appends_meet(2);
    let other = json!({"current_password": BEFORE, "new_password": "another staple"});
    let other = world.call_other("PUT", &ann.path("/password")).by(&ann.claims()).saying(&other);
    let (one, other) = tokio::join!(change(&world, &ann, BEFORE, AFTER).send(), other.send());
    let mut told = [one.status.as_u16(), other.status.as_u16()];
    told.sort_unstable();
    assert_eq!(told, [204, 409], "{one:?} {other:?}");
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
}

#[tokio::test]
async fn there_must_be_somebody_whose_password_it_is() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    let answer = change(&world, &ann, BEFORE, AFTER).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (410, "erased"));
    let nobody = Person::new(&Uuid::now_v7().to_string());
    let answer = change(&world, &nobody, BEFORE, AFTER).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found"));
    assert_eq!(world.failures.counted(), 0);
}
