//! Decisions that the log does not have yet: made, told as pending, and in the log later.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::decision_world::{Call, Setup, World, eventually, registration};
use crate::world::Answer;

fn register(world: &World) -> Call {
    world.call("POST", "/api/v1/auth/register").saying(&registration("ann"))
}

/// Where the answer says that the decision is asked for, which it must.
fn must_be_pending(answer: &Answer) -> &str {
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.body["id"].as_str().unwrap();
    assert_eq!(answer.body["status"], "pending");
    let path = answer.header("location");
    assert_eq!(path, format!("/api/v1/decisions/{id}"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("consistency-token"), "", "there is nothing to be read yet");
    path
}

/// What is answered once the log has the decision.
async fn done(world: &World, path: &str) -> Answer {
    let mut told = None;
    eventually("the decision is done", async || {
        let answer = world.call("GET", path).send().await;
        let is_done = answer.status == 200;
        if !is_done {
            assert_eq!(must_be_pending(&answer), path);
        }
        told = Some(answer);
        is_done
    })
    .await;
    told.unwrap()
}

#[tokio::test]
async fn a_decision_is_made_while_the_log_is_away_and_told_by_its_own_address() {
    let world = World::new().await;
    world.log.is_away(true);
    let answer = register(&world).send().await;
    let path = must_be_pending(&answer);
    let location = answer.body["location"].as_str().unwrap();
    assert!(location.starts_with("/api/v1/users/"), "{location}");
    assert_eq!(must_be_pending(&world.call("GET", path).send().await), path);
    assert!(world.log.records().is_empty());

    world.log.is_away(false);
    let done = done(&world, path).await;
    assert_eq!(done.body, json!({"id": answer.body["id"], "status": "done"}));
    assert_eq!(world.offset(done.header("consistency-token")), 1);
    let records = world.log.records();
    let versions: Vec<_> = records.iter().map(|record| record.version).collect();
    assert_eq!(versions, [1, 2], "once each");
    assert_eq!(answer.body["id"], records[1].event_id.to_string());
}

#[tokio::test]
async fn decisions_on_one_another_are_made_while_the_log_is_away() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.log.is_away(true);
    let mut paths = Vec::new();
    for bio in ["One", "Two", "Three"] {
        let patch = world.call("PATCH", &ann.path("")).by(&ann.claims());
        let answer = patch.saying(&json!({"bio": bio})).send().await;
        paths.push(must_be_pending(&answer).to_owned());
    }
    world.log.is_away(false);
    for path in &paths {
        done(&world, path).await;
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_request_that_comes_again_is_pending_until_the_log_has_its_decision() {
    let world = World::new().await;
    world.log.is_away(true);
    let first = register(&world).named("k1").send().await;
    let again = register(&world).named("k1").send().await;
    assert_eq!(must_be_pending(&again), must_be_pending(&first));
    world.log.is_away(false);
    done(&world, must_be_pending(&first)).await;
    let answer = register(&world).named("k1").send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (201, "\"2\""));
    assert_eq!(answer.header("location"), first.body["location"].as_str().unwrap());
    // What the log has is told at once, whether or not it takes more.
    world.log.is_away(true);
    let once_more = register(&world).named("k1").with("prefer", "wait=0").send().await;
    assert_eq!((once_more.status, &once_more.body), (answer.status, &answer.body));
    assert_eq!(once_more.header("consistency-token"), answer.header("consistency-token"));
}

#[tokio::test]
async fn what_the_log_has_taken_without_saying_so_is_sent_again_as_it_is() {
    let world = World::new().await;
    world.log.loses_acknowledgements(3);
    let answer = register(&world).send().await;
    assert_eq!(answer.status, 201);
    let records = world.log.records();
    let versions: Vec<_> = records.iter().map(|record| record.version).collect();
    assert_eq!(versions, [1, 1, 1, 1, 2]);
    assert!(records[..4].iter().all(|record| record.event_id == records[0].event_id));
    assert!(records[..4].iter().all(|record| record.value == records[0].value));
    assert_eq!(world.offset(answer.header("consistency-token")), 4);
}

#[tokio::test]
async fn an_answer_waits_no_longer_than_it_may() {
    let wait = Duration::from_millis(50);
    let world = World::of(Setup { wait, ..Setup::default() }).await;
    world.log.is_silent(true);
    let answer = register(&world).send().await;
    let path = must_be_pending(&answer);
    assert_eq!(answer.header("preference-applied"), "");
    // Nor does a preference for longer make it.
    let again = world.call("POST", "/api/v1/auth/register").with("prefer", "wait=3600");
    must_be_pending(&again.saying(&registration("bob")).send().await);
    world.log.is_silent(false);
    done(&world, path).await;
}

#[tokio::test]
async fn whoever_would_rather_not_wait_is_answered_before_the_log_has_it() {
    let world = World::new().await;
    world.log.is_silent(true);
    let answer = register(&world).with("prefer", "respond-async").send().await;
    let path = must_be_pending(&answer);
    assert_eq!(answer.header("preference-applied"), "respond-async");
    let bob = world.call("POST", "/api/v1/auth/register").with("prefer", "wait=0");
    let answer = bob.saying(&registration("bob")).send().await;
    must_be_pending(&answer);
    assert_eq!(answer.header("preference-applied"), "");
    world.log.is_silent(false);
    done(&world, path).await;
    done(&world, must_be_pending(&answer)).await;
    assert_eq!(world.log.records().len(), 4);
}

#[tokio::test]
async fn whoever_would_wait_a_while_before_that_is_answered_with_the_thing() {
    let world = World::new().await;
    let answer = register(&world).with("prefer", "respond-async, wait=10").send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (201, "\"2\""));
    assert_eq!(answer.header("preference-applied"), "");
}

#[tokio::test]
async fn a_decision_that_nobody_made_is_not_found() {
    let world = World::new().await;
    for id in [Uuid::now_v7().to_string(), "1".to_owned()] {
        let answer = world.call("GET", &format!("/api/v1/decisions/{id}")).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found"), "{id}");
    }
}
