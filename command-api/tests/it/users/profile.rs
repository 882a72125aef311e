//! Changing a profile and an address.

use serde_json::{Value, json};

use crate::decision_world::{Person, World};
use crate::world::Answer;

async fn say(world: &World, person: &Person, method: &str, below: &str, body: Value) -> Answer {
    world.call(method, &person.path(below)).by(&person.claims()).saying(&body).send().await
}

/// What somebody says who has another address.
fn address(email: &str) -> Value {
    json!({"email": email, "current_password": "correct horse"})
}

fn told(answer: &Answer) -> (&Value, &Value, &Value) {
    let body = &answer.body;
    (&body["full_name"], &body["bio"], &body["image"])
}

#[tokio::test]
async fn a_whole_profile_clears_what_it_leaves_out_and_a_part_keeps_it() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let image = json!("https://example.org/ann.png");
    let whole = json!({"full_name": "Ann", "bio": "Hi\nthere", "image": image});
    let answer = say(&world, &ann, "PUT", "", whole).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"3\""));
    assert_eq!(answer.header("location"), ann.path(""));
    assert_eq!(told(&answer), (&json!("Ann"), &json!("Hi\nthere"), &image));
    assert_eq!(world.offset(answer.header("consistency-token")), 2);

    let answer = say(&world, &ann, "PATCH", "", json!({"bio": "Ho"})).await;
    assert_eq!((answer.header("etag"), &answer.body["version"]), ("\"4\"", &json!(4)));
    assert_eq!(told(&answer), (&json!("Ann"), &json!("Ho"), &image));

    let answer = say(&world, &ann, "PATCH", "", json!({"full_name": null})).await;
    assert_eq!(told(&answer), (&Value::Null, &json!("Ho"), &image));

    let answer = say(&world, &ann, "PUT", "", json!({"full_name": "Anna"})).await;
    assert_eq!(told(&answer), (&json!("Anna"), &Value::Null, &Value::Null));
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_answered_with_what_is_there() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let changed = say(&world, &ann, "PATCH", "", json!({"bio": "Hi"})).await;
    for (method, below, body) in [
        ("PATCH", "", json!({})),
        ("PATCH", "", json!({"bio": "Hi"})),
        ("PATCH", "", json!({"full_name": null})),
        ("PUT", "", json!({"bio": "Hi", "image": null})),
        ("PUT", "/email", address("ann@example.org")),
    ] {
        let answer = say(&world, &ann, method, below, body.clone()).await;
        assert_eq!(answer.status, 200, "{method} {body}");
        assert_eq!(answer.body, changed.body, "{method} {body}");
        for header in ["etag", "location", "consistency-token"] {
            assert_eq!(answer.header(header), changed.header(header), "{method} {body}");
        }
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
}

#[tokio::test]
async fn a_change_that_changes_nothing_waits_for_no_log() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.log.is_away(true);
    let answer = say(&world, &ann, "PATCH", "", json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"2\""));
    assert_eq!(world.offset(answer.header("consistency-token")), 1);
}

#[tokio::test]
async fn every_fault_of_a_change_is_named() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let rows = [
        ("PATCH", "", json!({"username": "anna"}), ("/username", "known-members")),
        ("PUT", "", json!({"email": "a@example.org"}), ("/email", "known-members")),
        ("PATCH", "", json!({"roles": ["admin"]}), ("/roles", "known-members")),
        ("PUT", "", json!({"bio": ""}), ("/bio", "min-characters")),
        ("PUT", "/email", json!({"current_password": "a"}), ("/email", "required")),
        ("PUT", "/email", json!({"email": "a@example.org"}), ("/current_password", "required")),
        ("PUT", "/email", json!({"email": null, "current_password": "a"}), ("/email", "string")),
        (
            "PUT",
            "/email",
            json!({"email": "a@example.org", "current_password": "a", "force": true}),
            ("/force", "known-members"),
        ),
        ("POST", "/email-verification", json!({"to": "b@example.org"}), ("/to", "known-members")),
    ];
    for (method, below, body, error) in rows {
        let answer = say(&world, &ann, method, below, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.errors()),
            (400, vec![error]),
            "{method} {body}"
        );
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
}

#[tokio::test]
async fn another_address_is_not_verified_and_the_one_before_is_free() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.registered("bob").await;
    let answer = say(&world, &ann, "PUT", "/email", address("BOB@example.org")).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "already-taken"));
    assert_eq!(answer.errors(), [("/email", "unique")]);
    let answer = say(&world, &ann, "PUT", "/email", address("Ann@Example.org")).await;
    assert_eq!(answer.status, 200, "her own in another case");
    let answer = say(&world, &ann, "PUT", "/email", address("ann@example.com")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["email"], "ann@example.com");
    assert_eq!((&answer.body["email_verified"], answer.header("etag")), (&json!(false), "\"6\""));
    let anna = json!({"username": "anna", "email": "ann@example.org", "password": "correct horse"});
    let answer = world.call("POST", "/api/v1/auth/register").saying(&anna).send().await;
    assert_eq!(answer.status, 201);
}
