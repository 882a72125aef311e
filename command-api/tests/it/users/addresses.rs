//! Changing the address: what it takes, since whoever has the address may have another password.

use std::time::Duration;

use serde_json::{Value, json};

use crate::decision_world::{PASSWORD, Person, World, admin};
use crate::world::Answer;

async fn change(world: &World, person: &Person, claims: &Value, password: Option<&str>) -> Answer {
    let mut body = json!({"email": "another@example.com"});
    if let Some(password) = password {
        body["current_password"] = json!(password);
    }
    world.call("PUT", &person.path("/email")).by(claims).saying(&body).send().await
}

#[tokio::test]
async fn whoever_has_stolen_an_access_token_does_not_have_the_account() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let mut as_admin = ann.claims();
    as_admin["roles"] = json!(["user", "admin"]);
    let mut as_admin_alone = ann.claims();
    as_admin_alone["roles"] = json!(["admin"]);
    for claims in [ann.claims(), as_admin, as_admin_alone] {
        let answer = change(&world, &ann, &claims, None).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"));
        assert_eq!(answer.errors(), [("/current_password", "required")], "{claims}");
        let answer = change(&world, &ann, &claims, Some("wrong horse")).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (403, "forbidden"), "{claims}");
        assert_eq!(answer.errors(), [("/current_password", "current-password")]);
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
    // Who guesses waits, whoever they say they are.
    let answer = change(&world, &ann, &ann.claims(), Some(PASSWORD)).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (429, "too-many-attempts"));
    world.failures.pass(Duration::from_secs(1));
    let answer = change(&world, &ann, &ann.claims(), Some(PASSWORD)).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"4\""));
}

#[tokio::test]
async fn admins_change_the_addresses_of_others_and_say_no_password() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let answer = change(&world, &ann, &admin(), Some(PASSWORD)).await;
    assert_eq!(answer.errors(), [("/current_password", "known-members")]);
    assert_eq!(change(&world, &ann, &admin(), None).await.status, 200);
    assert_eq!(world.failures.counted(), 0);
}

#[tokio::test]
async fn while_failures_cannot_be_counted_nobody_guesses() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.failures.is_away(true);
    let answer = change(&world, &ann, &ann.claims(), Some(PASSWORD)).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "database-unavailable"));
    assert_eq!(change(&world, &ann, &admin(), None).await.status, 200, "that takes no password");
}

#[tokio::test]
async fn a_change_that_is_sent_again_is_answered_as_before_whatever_the_password_is_by_then() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let send = || {
        let body = json!({"email": "another@example.com", "current_password": PASSWORD});
        let call = world.call("PUT", &ann.path("/email")).by(&ann.claims()).named("k1");
        call.saying(&body).send()
    };
    assert_eq!(send().await.header("etag"), "\"4\"");
    let body = json!({"current_password": PASSWORD, "new_password": "battery staple"});
    let call = world.call("PUT", &ann.path("/password")).by(&ann.claims());
    assert_eq!(call.saying(&body).send().await.status, 204);
    let again = send().await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (200, "\"4\""), "{again:?}");
    assert_eq!(world.failures.counted(), 0);
}
