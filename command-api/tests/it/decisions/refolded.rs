//! A program that folds otherwise than the one before it: states are folded anew when they are touched, and kept.

use axum::body::Body;
use axum::response::Response;
use command_api::decision::Refusal;
use command_api::decision::aggregate::Impersonal;
use command_api::decision::answer::Answer;
use command_api::decision::request::{Asked, Received};
use domain::decision::{Command, Decided};
use event_schema::decode::KnownId;
use event_schema::schema::{Family, Schema, UserSchema};
use event_store::claim::ClaimKey;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use lifecycle::http::RequestContext;
use problem_details::Problem;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decision_world::World;

/// Something to which numbers are added. The program of revision 1 counts them, that of 2 adds them up.
struct Tally<const REVISION: i32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Added(u32);

/// Adds a number, unless it is 0.
#[derive(Debug, Clone, Copy)]
struct Add(u32);

enum Never {}

impl Command for Add {
    type State = u32;
    type Event = Added;
    type Error = Never;

    fn decide(self, _: Option<&u32>) -> Result<Vec<Added>, Never> {
        Ok(if self.0 == 0 { Vec::new() } else { vec![Added(self.0)] })
    }
}

impl Refusal for Never {
    fn refuse(self) -> Problem {
        match self {}
    }
}

impl<const REVISION: i32> Impersonal for Tally<REVISION> {
    const KIND: &'static str = "tally";
    const FAMILY: Family = Family::User;
    const REVISION: i32 = REVISION;

    type State = u32;
    type Event = Added;

    fn evolve(state: Option<u32>, Added(number): Added) -> Option<u32> {
        let before = state.unwrap_or_default();
        Some(before + if REVISION == 1 { 1 } else { number })
    }

    fn schema(_: &Added) -> Schema {
        Schema::User(UserSchema::DeactivatedV1)
    }

    fn encode(decided: &Decided<Added>, _: u32) -> Option<Vec<u8>> {
        Some(decided.event.0.to_be_bytes().to_vec())
    }

    fn decode(_: &[KnownId], value: &[u8]) -> Option<Added> {
        Some(Added(u32::from_be_bytes(value.try_into().ok()?)))
    }

    fn write_state(state: &u32) -> String {
        state.to_string()
    }

    fn read_state(text: &str) -> Option<u32> {
        text.parse().ok()
    }

    fn what_changed(_: &Added) -> Vec<&'static str> {
        vec!["total"]
    }
}

/// Adds a number as the program of the revision does; the total and the version that it answers.
async fn add<const REVISION: i32>(world: &World, id: Uuid, number: u32) -> (Value, Value) {
    let (method, headers) = (Method::POST, HeaderMap::new());
    let context = RequestContext::from_headers(&headers);
    let path = "/api/v1/tallies";
    let received =
        Received { method: &method, path, headers: &headers, context: &context, body: b"" };
    let asked = Asked::read(received, "somebody", &ClaimKey::derive(b"a secret"))
        .unwrap_or_else(|problem| panic!("{}", problem.detail()));
    let answer = |total: &u32, version| {
        Answer::showing(StatusCode::OK, version, &json!({"total": total, "version": version}))
    };
    let decided = world.commands.decide::<Tally<REVISION>>(id, &asked, Add(number), answer).await;
    let answer = body(decided.unwrap_or_else(|problem| panic!("{}", problem.detail()))).await;
    (answer["total"].clone(), answer["version"].clone())
}

async fn body(response: Response<Body>) -> Value {
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

async fn stored(world: &World, id: Uuid) -> (String, i32) {
    let state = world.store.state(&format!("tally-{id}")).await;
    (state.json, state.revision)
}

#[tokio::test]
async fn the_first_command_after_a_deployment_sees_what_today_s_program_folds() {
    let world = World::new().await;
    let id = Uuid::now_v7();
    assert_eq!(add::<1>(&world, id, 3).await, (json!(1), json!(1)));
    assert_eq!(add::<1>(&world, id, 4).await, (json!(2), json!(2)));
    assert_eq!(stored(&world, id).await, ("2".to_owned(), 1));

    // A command that changes nothing sees it, and what it has seen is kept.
    assert_eq!(add::<2>(&world, id, 0).await, (json!(7), json!(2)));
    assert_eq!(stored(&world, id).await, ("7".to_owned(), 2));
    assert_eq!(add::<2>(&world, id, 5).await, (json!(12), json!(3)));
    assert_eq!(stored(&world, id).await, ("12".to_owned(), 2));

    // While both run, and after the new one was taken back: the older one takes nothing back but by deciding.
    assert_eq!(add::<1>(&world, id, 0).await, (json!(3), json!(3)));
    assert_eq!(stored(&world, id).await, ("12".to_owned(), 2));
    assert_eq!(add::<1>(&world, id, 9).await, (json!(4), json!(4)));
    assert_eq!(add::<2>(&world, id, 1).await, (json!(22), json!(5)));
    assert_eq!(world.log.versions(&format!("tally-{id}")), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_user_is_folded_anew_from_sealed_events() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let patch = |bio: &str| {
        let call = world.call("PATCH", &ann.path("")).by(&ann.claims());
        call.saying(&json!({"bio": bio})).send()
    };
    let before = patch("Hi").await;
    world.store.has_old_states();
    let same = patch("Hi").await;
    assert_eq!((same.status, &same.body), (before.status, &before.body));
    let changed = patch("Ho").await;
    assert_eq!((changed.status.as_u16(), &changed.body["bio"]), (200, &json!("Ho")));
    assert_eq!(changed.body["email"], "ann@example.org");
    assert_eq!(world.store.state(&ann.stream_id()).await.revision, domain::user::STATE_REVISION);

    // Of whoever was erased, the events cannot be read any more and are not needed to be.
    let erase = || world.call("DELETE", &ann.path("")).by(&ann.claims()).send();
    assert_eq!(erase().await.status, 204);
    assert_eq!(erase().await.status, 204);
    assert_eq!(patch("Hi").await.problem(), "erased");
}
