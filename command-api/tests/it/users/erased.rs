//! Whoever is erased: nothing is decided about them any more, and nothing of theirs is kept from others.

use serde_json::json;
use uuid::Uuid;

use crate::decision_world::{Person, World, admin};
use crate::world::Answer;

async fn erase(world: &World, person: &Person) -> Answer {
    world.call("DELETE", &person.path("")).by(&person.claims()).send().await
}

#[tokio::test]
async fn whoever_is_erased_is_shown_no_more_and_stays_erased() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let first = erase(&world, &ann).await;
    assert_eq!((first.status.as_u16(), first.header("etag")), (204, "\"3\""));
    assert_eq!((first.body.is_null(), first.header("content-type")), (true, ""));
    assert_eq!(world.offset(first.header("consistency-token")), 2);
    let again = erase(&world, &ann).await;
    assert_eq!(again.status, 204);
    for header in ["etag", "consistency-token"] {
        assert_eq!(again.header(header), first.header(header));
    }
    let by_admin = world.call("DELETE", &ann.path("")).by(&admin()).send().await;
    assert_eq!(by_admin.status, 204);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
    let last = world.log.of(&ann.stream_id()).pop().unwrap();
    assert_eq!(last.header("ce_type"), "identity.user.erased.v1");
}

#[tokio::test]
async fn nothing_is_decided_about_whoever_is_erased() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    erase(&world, &ann).await;
    for (method, below, body) in [
        ("PUT", "", json!({"bio": "Hi"})),
        ("PATCH", "", json!({})),
        ("PUT", "/email", json!({"email": "ann@example.com"})),
        ("POST", "/email-verification", json!({})),
        ("POST", "/deactivate", json!({})),
        ("POST", "/reactivate", json!({})),
        ("PUT", "/roles/admin", json!({})),
        ("DELETE", "/roles/user", json!({})),
    ] {
        let call = world.call(method, &ann.path(below)).by(&admin()).saying(&body);
        let answer = call.send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (410, "erased"), "{method} {below}");
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
}

#[tokio::test]
async fn name_and_address_of_whoever_is_erased_are_free() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    erase(&world, &ann).await;
    let another = world.registered("ann").await;
    assert_ne!(another.id, ann.id);
}

#[tokio::test]
async fn nobody_is_erased_who_was_never_there() {
    let world = World::new().await;
    let nobody = Person::new(&Uuid::now_v7().to_string());
    assert_eq!(erase(&world, &nobody).await.problem(), "not-found");
    assert!(world.log.records().is_empty());
}

#[tokio::test]
async fn whoever_cannot_be_read_any_more_can_be_erased_and_nothing_else() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.store.has_lost_keys();
    let change = world.call("PATCH", &ann.path("")).by(&ann.claims()).saying(&json!({"bio": "Hi"}));
    let refused = change.send().await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (410, "erased"));
    let erased = erase(&world, &ann).await;
    assert_eq!((erased.status.as_u16(), erased.header("etag")), (204, "\"3\""));
    assert!(world.store.memory().claims().is_empty(), "name and address are free");
}
