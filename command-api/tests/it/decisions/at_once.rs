//! Decisions that are answered as soon as they are made, whatever becomes of the log.

use axum::response::Response;
use command_api::decision::answer::Answer;
use command_api::decision::request::{Asked, Received};
use command_api::user::Users;
use consistency_token::{Entry, Token};
use domain::user::DeactivateUser;
use event_store::claim::ClaimKey;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lifecycle::http::RequestContext;
use serde_json::json;

use crate::decision_world::{Person, World, eventually};

/// Who asks.
const SOMEBODY: &str = "somebody";

/// Deactivates them as a handler does that answers at once.
async fn deactivate(
    world: &World,
    person: &Person,
    headers: &[(&'static str, &'static str)],
    to_ask: impl Fn(Asked<'_>) -> Asked<'_>,
) -> Response {
    let header = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let (headers, method) = (headers.iter().map(header).collect::<HeaderMap>(), Method::POST);
    let context = RequestContext::from_headers(&headers);
    let received =
        Received { method: &method, path: "/", headers: &headers, context: &context, body: b"" };
    let asked = to_ask(Asked::read(received, SOMEBODY, &ClaimKey::derive(b"a secret")).unwrap());
    let answer =
        |_: &_, version| Answer::showing(StatusCode::OK, version, &json!({"version": version}));
    let id = person.id.parse().unwrap();
    world.commands.decide::<Users>(id, &asked, DeactivateUser, answer).await.unwrap()
}

/// The answer is the decision's own, of this version, and its token names the event.
fn must_be_answered(world: &World, person: &Person, response: &Response, version: u64) {
    assert_eq!(response.status(), 200, "{response:?}");
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!(header("etag"), format!("\"{version}\""));
    assert!(!response.headers().contains_key("preference-applied"));
    let token = Token::decode(header("consistency-token"), &world.token_key).unwrap();
    let stream_id = person.stream_id();
    assert_eq!(token.entries().collect::<Vec<_>>(), [Entry::Stream { id: &stream_id, version }]);
}

#[tokio::test]
async fn whoever_is_answered_at_once_waits_for_no_log() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    world.log.is_silent(true);
    let answer = deactivate(&world, &ann, &[], |asked| asked.at_once()).await;
    must_be_answered(&world, &ann, &answer, 3);
    // Nor does a preference change that.
    let prefer = [("prefer", "respond-async, wait=10")];
    let answer = deactivate(&world, &bob, &prefer, |asked| asked.at_once()).await;
    must_be_answered(&world, &bob, &answer, 3);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);

    world.log.is_silent(false);
    for person in [ann, bob] {
        eventually("the log has it", async || world.log.versions(&person.stream_id()) == [1, 2, 3])
            .await;
    }
}

#[tokio::test]
async fn whoever_is_answered_at_once_is_told_nothing_of_a_log_that_is_away() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.log.is_away(true);
    for _ in 0..2 {
        // The second time nothing changes any more.
        let answer = deactivate(&world, &ann, &[], |asked| asked.at_once()).await;
        must_be_answered(&world, &ann, &answer, 3);
    }
}

#[tokio::test]
async fn a_request_that_comes_again_is_answered_at_once_too() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.log.is_away(true);
    let named = [("idempotency-key", "k1")];
    for _ in 0..2 {
        let answer = deactivate(&world, &ann, &named, |asked| asked.at_once()).await;
        must_be_answered(&world, &ann, &answer, 3);
    }
    assert!(world.store.kept(SOMEBODY, "k1").await.is_some());
}

#[tokio::test]
async fn of_a_request_without_its_name_no_answer_is_kept() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let named = [("idempotency-key", "k1")];
    let answer = deactivate(&world, &ann, &named, |asked| asked.without_name()).await;
    assert_eq!(answer.status(), 200);
    assert!(world.store.kept(SOMEBODY, "k1").await.is_none());
    // Under its name it is another request, which changes nothing.
    let answer = deactivate(&world, &ann, &named, |asked| asked).await;
    assert_eq!(answer.headers()["etag"], "\"3\"");
    assert!(world.store.kept(SOMEBODY, "k1").await.is_some());
}
