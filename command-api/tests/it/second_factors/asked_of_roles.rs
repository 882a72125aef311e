//! Roles that ask for a second factor: who has none comes in once they have enrolled it.

use serde_json::json;

use super::{HandedOut, confirm, log_in, refresh, told, with_code, without_code, world_asking};
use crate::decision_world::{Person, World, admin};
use crate::world::Answer;

async fn grant(world: &World, person: &Person, role: &str) {
    let path = person.path(&format!("/roles/{role}"));
    assert_eq!(world.call("PUT", &path).by(&admin()).send().await.status, 200);
}

/// Whether the access token that was given has a role.
fn has(world: &World, logged_in: &Answer, role: access::Role) -> bool {
    let token = logged_in.body["access_token"].as_str().unwrap();
    world.caller(token).roles.contains(role)
}

/// Somebody who is to have a second factor has enrolled one by what logging in has handed out.
async fn enrolled_at_login(world: &World, person: &Person, name: &str) -> HandedOut {
    let answer = log_in(world, &without_code(name)).send().await;
    assert_eq!(told(&answer), (403, "second-factor-not-enrolled"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.body["enrolment"]["user_id"], person.id);
    for member in ["access_token", "refresh_token"] {
        assert!(answer.body.get(member).is_none(), "{member} is given");
    }
    let handed_out = HandedOut::of(&answer.body["enrolment"]);
    let confirmed = confirm(world, person, &handed_out.token, &handed_out.code(0)).send().await;
    assert_eq!(confirmed.status, 204, "{confirmed:?}");
    handed_out
}

#[tokio::test]
async fn who_has_to_have_one_enrols_it_at_login_and_comes_in_with_its_codes() {
    let world = world_asking(Some("admin,approver")).await;
    let ann = world.registered("ann").await;
    assert_eq!(log_in(&world, &without_code("ann")).send().await.status, 200, "as a user she may");
    grant(&world, &ann, "admin").await;
    let handed_out = enrolled_at_login(&world, &ann, "ann").await;
    let refused = log_in(&world, &without_code("ann")).send().await;
    assert_eq!(told(&refused), (401, "second-factor-required"));
    let answer = log_in(&world, &with_code("ann", &handed_out.code(1))).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(has(&world, &answer, access::Role::Admin));
}

#[tokio::test]
async fn whoever_does_not_know_the_password_is_handed_out_nothing() {
    let world = world_asking(Some("user")).await;
    let ann = world.registered("ann").await;
    let wrong = json!({"username": "ann", "password": "wrong horse"});
    let answer = log_in(&world, &wrong).send().await;
    assert_eq!(told(&answer), (401, "login-failed"));
    assert!(answer.body.get("enrolment").is_none());
    let decide = |what: &str| world.call("POST", &ann.path(what)).by(&admin()).send();
    assert_eq!(decide("/deactivate").await.status, 200);
    assert_eq!(told(&log_in(&world, &without_code("ann")).send().await), (403, "deactivated"));
}

#[tokio::test]
async fn nobody_comes_by_a_role_that_asks_for_one_in_a_session_that_began_without() {
    let world = world_asking(Some("approver")).await;
    let ann = world.registered("ann").await;
    let before = log_in(&world, &without_code("ann")).send().await;
    assert!(!has(&world, &before, access::Role::Approver));
    grant(&world, &ann, "approver").await;
    assert_eq!(told(&refresh(&world, &before).send().await), (401, "invalid-refresh-token"));
    // Nor once somebody else has enrolled one: whoever has that session may be a stranger.
    let handed_out = enrolled_at_login(&world, &ann, "ann").await;
    assert_eq!(told(&refresh(&world, &before).send().await), (401, "invalid-refresh-token"));
    let answer = log_in(&world, &with_code("ann", &handed_out.recovery_codes[0])).send().await;
    let next = refresh(&world, &answer).send().await;
    assert!(has(&world, &next, access::Role::Approver));
}

#[tokio::test]
async fn who_has_it_no_more_is_out_until_they_have_another_one() {
    let world = world_asking(Some("user")).await;
    let ann = world.registered("ann").await;
    let handed_out = enrolled_at_login(&world, &ann, "ann").await;
    let answer = log_in(&world, &with_code("ann", &handed_out.recovery_codes[0])).send().await;
    let removed = world.call("DELETE", &ann.path("/second-factor")).by(&admin()).send().await;
    assert_eq!(removed.status, 204);
    assert_eq!(told(&refresh(&world, &answer).send().await), (401, "invalid-refresh-token"));
    enrolled_at_login(&world, &ann, "ann").await;
}

#[tokio::test]
async fn oauth_clients_are_told_in_their_way() {
    let world = world_asking(Some("user")).await;
    world.registered("ann").await;
    let body = "grant_type=password&username=ann&password=correct+horse".to_owned();
    let call = world.call("POST", "/api/v1/auth/token");
    let answer = call.saying_as("application/x-www-form-urlencoded", body).send().await;
    assert_eq!(told(&answer), (400, "invalid-grant"));
    assert_eq!(answer.body["error"], "invalid_grant");
    assert!(answer.body.get("enrolment").is_none(), "{answer:?}");
}
