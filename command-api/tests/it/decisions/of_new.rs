//! Decisions about things whose ids were made for them.

use axum::response::Response;
use command_api::decision::answer::Answer;
use command_api::decision::request::{Asked, Received};
use command_api::session::Sessions;
use domain::Timestamp;
use domain::session::{ClientMark, SessionId, StartSession};
use domain::user::UserId;
use event_store::EventStore as _;
use event_store::claim::ClaimKey;
use http::{HeaderMap, Method, StatusCode};
use lifecycle::http::RequestContext;
use problem_details::{Problem, ProblemType};
use serde_json::json;
use uuid::Uuid;

use crate::decision_world::World;

async fn start(world: &World, session: SessionId) -> Result<Response, Problem> {
    let (headers, method) = (HeaderMap::new(), Method::POST);
    let context = RequestContext::from_headers(&headers);
    let received =
        Received { method: &method, path: "/", headers: &headers, context: &context, body: b"" };
    let asked = Asked::read(received, "somebody", &ClaimKey::derive(b"a secret")).unwrap();
    let client = ClientMark::new("phone".to_owned()).unwrap();
    let user_id = UserId(Uuid::from_u128(7));
    let command = StartSession { user_id, session_epoch: 0, client, at: Timestamp(0) };
    let answer = |_: &_, version| Answer::showing(StatusCode::OK, version, &json!({}));
    world.commands.decide::<Sessions>(session.0, &asked.of_new(), command, answer).await
}

#[tokio::test]
async fn of_what_is_new_no_stream_is_looked_for() {
    let world = World::new().await;
    let session = SessionId(Uuid::now_v7());
    world.store.called();
    start(&world, session).await.unwrap();
    let called = world.store.called();
    assert!(called.contains(&"append") && !called.contains(&"load"), "{called:?}");
    assert_eq!(world.store.history(&session.stream_id()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn where_there_is_a_stream_all_the_same_it_is_what_is_decided_upon() {
    let world = World::new().await;
    let session = SessionId(Uuid::now_v7());
    start(&world, session).await.unwrap();
    let refused = start(&world, session).await.unwrap_err();
    assert_eq!(refused.kind(), ProblemType::StateConflict);
    assert!(world.store.called().contains(&"load"));
    assert_eq!(world.store.history(&session.stream_id()).await.unwrap().len(), 1);
}
