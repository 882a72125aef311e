//! Access tokens that are taken no more because of a decision.

use command_api::decision::Refusal;
use command_api::decision::aggregate::Impersonal;
use command_api::decision::answer::Answer;
use command_api::decision::request::{Asked, Received};
use domain::decision::{Command, Decided};
use event_schema::decode::KnownId;
use event_schema::schema::{Family, Schema, UserSchema};
use event_store::beside::Revoked;
use event_store::claim::ClaimKey;
use http::{HeaderMap, Method};
use lifecycle::http::RequestContext;
use problem_details::Problem;
use serde_json::json;
use uuid::Uuid;

use crate::decision_world::{REVOCATIONS_HOLD, World, admin};

/// What was revoked, in its order.
fn revoked(world: &World) -> Vec<Revoked> {
    let revoked = world.store.memory().revocations();
    assert!(revoked.iter().all(|(_, holds_for)| *holds_for == REVOCATIONS_HOLD), "{revoked:?}");
    revoked.into_iter().map(|(what, _)| what).collect()
}

#[tokio::test]
async fn whoever_may_less_than_before_has_access_tokens_that_are_taken_no_more() {
    let world = World::new().await;
    let (ann, _bob) = (world.registered("ann").await, world.registered("bob").await);
    let ann_s = |below_version| Revoked::User { id: ann.id.parse().unwrap(), below_version };
    let mut expected = Vec::new();
    for (method, below, body, revokes) in [
        ("PATCH", "", json!({"bio": "Hi"}), None),
        ("POST", "/deactivate", json!({}), Some(4)),
        // Changes nothing.
        ("POST", "/deactivate", json!({}), None),
        ("POST", "/reactivate", json!({}), None),
        ("PUT", "/roles/approver", json!({}), None),
        ("DELETE", "/roles/approver", json!({}), Some(7)),
        ("DELETE", "", json!({}), Some(8)),
    ] {
        let answer = world.call(method, &ann.path(below)).by(&admin()).saying(&body).send().await;
        assert!(answer.status.is_success(), "{method} {below}: {answer:?}");
        expected.extend(revokes.map(ann_s));
        assert_eq!(revoked(&world), expected, "{method} {below}");
    }
}

/// Something that tells of no person, and whose end is the end of access tokens.
struct Visit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visited {
    Began,
    Ended,
}

/// Makes something happen.
#[derive(Debug, Clone, Copy)]
struct Make(Visited);

enum Never {}

impl Command for Make {
    type State = u32;
    type Event = Visited;
    type Error = Never;

    fn decide(self, _: Option<&u32>) -> Result<Vec<Visited>, Never> {
        Ok(vec![self.0])
    }
}

impl Refusal for Never {
    fn refuse(self) -> Problem {
        match self {}
    }
}

impl Impersonal for Visit {
    const KIND: &'static str = "visit";
    const FAMILY: Family = Family::User;
    const REVISION: i32 = 1;

    type State = u32;
    type Event = Visited;

    fn evolve(state: Option<u32>, _: Visited) -> Option<u32> {
        Some(state.unwrap_or_default() + 1)
    }

    fn schema(_: &Visited) -> Schema {
        Schema::User(UserSchema::DeactivatedV1)
    }

    fn encode(decided: &Decided<Visited>, _: u32) -> Option<Vec<u8>> {
        Some(vec![u8::from(decided.event == Visited::Ended)])
    }

    fn decode(_: &[KnownId], value: &[u8]) -> Option<Visited> {
        Some(if value == [1] { Visited::Ended } else { Visited::Began })
    }

    fn write_state(state: &u32) -> String {
        state.to_string()
    }

    fn read_state(text: &str) -> Option<u32> {
        text.parse().ok()
    }

    fn what_changed(_: &Visited) -> Vec<&'static str> {
        Vec::new()
    }

    fn revokes(event: &Visited, id: Uuid, version: u64) -> Option<Revoked> {
        match event {
            Visited::Began => None,
            Visited::Ended => Some(Revoked::User { id, below_version: version }),
        }
    }
}

#[tokio::test]
async fn what_tells_of_no_person_may_revoke_too() {
    let (world, id) = (World::new().await, Uuid::now_v7());
    let (method, headers) = (Method::POST, HeaderMap::new());
    let context = RequestContext::from_headers(&headers);
    let path = "/api/v1/visits";
    let received =
        Received { method: &method, path, headers: &headers, context: &context, body: b"" };
    let asked = Asked::read(received, "somebody", &ClaimKey::derive(b"a secret")).unwrap();
    for (event, expected) in
        [(Visited::Began, vec![]), (Visited::Ended, vec![Revoked::User { id, below_version: 2 }])]
    {
        let answer = |_: &u32, _| Answer::empty();
        world.commands.decide::<Visit>(id, &asked, Make(event), answer).await.unwrap();
        assert_eq!(revoked(&world), expected, "{event:?}");
    }
}
