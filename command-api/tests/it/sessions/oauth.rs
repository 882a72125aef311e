//! The same by the forms of OAuth clients.

use serde_json::{Value, json};

use super::{Session, logged_in};
use crate::decision_world::{Call, World, admin};
use crate::world::Answer;

const TOKEN: &str = "/api/v1/auth/token";
const FORM: &str = "application/x-www-form-urlencoded";

fn form(world: &World, body: &str) -> Call {
    world.call("POST", TOKEN).saying_as(FORM, body.to_owned())
}

/// Status, type and what OAuth calls it.
fn refused(answer: &Answer) -> (u16, &str, &Value) {
    (answer.status.as_u16(), answer.problem(), &answer.body["error"])
}

#[tokio::test]
async fn a_client_logs_in_and_stays_in_by_forms() {
    let world = World::new().await;
    world.registered("ann").await;
    for username in ["ann", "Ann%40example.org"] {
        let body = format!("grant_type=password&username={username}&password=correct+horse&scope=");
        let answer = form(&world, &body).send().await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let session = Session::of(&answer);
        let body = format!("grant_type=refresh_token&refresh_token={}", session.refresh_token);
        let next = Session::of(&form(&world, &body).send().await);
        assert_eq!(next.id, session.id);
        // By either way of asking it is the same session.
        assert!(super::goes_on(&world, &next).await);
    }
}

#[tokio::test]
async fn the_older_path_means_the_same_and_names_the_canonical_one() {
    let world = World::new().await;
    world.registered("ann").await;
    let body = "grant_type=password&username=ann&password=correct+horse";
    let by_alias =
        |body: &str| world.call("POST", "/token").saying_as(FORM, body.to_owned()).send();
    for (answer, status) in [(by_alias(body).await, 200), (by_alias("").await, 400)] {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("link"), format!("<{TOKEN}>; rel=\"canonical\""));
    }
}

#[tokio::test]
async fn what_is_good_for_nothing_is_an_invalid_grant() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let session = logged_in(&world, "ann").await;
    let refresh = format!("grant_type=refresh_token&refresh_token={}", session.refresh_token);
    assert_eq!(world.call("POST", &ann.path("/deactivate")).by(&admin()).send().await.status, 200);
    for body in [
        "grant_type=password&username=ann&password=wrong+horse",
        "grant_type=password&username=nobody&password=correct+horse",
        "grant_type=password&username=ann&password=correct+horse",
        "grant_type=refresh_token&refresh_token=bm9uZQ",
        &refresh,
    ] {
        let answer = form(&world, body).send().await;
        assert_eq!(refused(&answer), (400, "invalid-grant", &json!("invalid_grant")), "{body}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn what_is_no_grant_is_an_invalid_request() {
    let world = World::new().await;
    let invalid = json!("invalid_request");
    for (body, pointer) in [
        ("", "/grant_type"),
        ("grant_type=password&password=x", "/username"),
        ("grant_type=password&username=a&password=x&password=y", "/password"),
        ("grant_type=refresh_token", "/refresh_token"),
    ] {
        let answer = form(&world, body).send().await;
        assert_eq!(refused(&answer), (400, "invalid-request", &invalid), "{body}");
        assert_eq!(answer.errors()[0].0, pointer, "{body}");
    }
    let other = form(&world, "grant_type=client_credentials").send().await;
    let unsupported = json!("unsupported_grant_type");
    assert_eq!(refused(&other), (400, "unsupported-grant-type", &unsupported));
    let json = world.call("POST", TOKEN).saying(&json!({"grant_type": "password"})).send().await;
    assert_eq!(refused(&json), (415, "unsupported-media-type", &invalid));
}

#[tokio::test]
async fn forms_are_throttled_with_all_other_attempts() {
    let world = World::new().await;
    for _ in 0..3 {
        let body = "grant_type=password&username=ann&password=wrong+horse";
        assert_eq!(form(&world, body).send().await.status, 400);
    }
    let answer = super::login(&world, "ann").send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (429, "too-many-attempts"));
}

#[tokio::test]
async fn a_page_of_another_site_logs_nobody_in_and_holds_nobody_back() {
    let world = World::new().await;
    world.registered("ann").await;
    let body = "grant_type=password&username=ann&password=wrong+horse";
    for (header, value) in
        [("sec-fetch-site", "cross-site"), ("origin", "https://elsewhere.example")]
    {
        for path in [TOKEN, "/token"] {
            let form = world.call("POST", path).saying_as(FORM, body.to_owned());
            let answer = form.with(header, value).send().await;
            assert_eq!(refused(&answer), (403, "forbidden", &json!("invalid_request")), "{path}");
        }
    }
    assert_eq!(world.failures.counted(), 0);
}
