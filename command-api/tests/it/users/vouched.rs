//! Whoever is registered by an operator, who knows that the address is theirs.

use std::collections::BTreeSet;
use std::time::Duration;

use command_api::decision::answer::Answer;
use command_api::decision::request::{Asked, Received};
use command_api::user::Users;
use domain::role::Role;
use domain::user::{Email, RegisterUser, RegisterVerifiedUser, Username};
use event_store::claim::ClaimKey;
use http::{HeaderMap, Method};
use lifecycle::http::RequestContext;
use serde_json::json;
use uuid::Uuid;

use crate::decision_world::{Person, Setup, World, registration};

/// Somebody who is registered under this name, with an address that is known to be theirs.
async fn vouched(world: &World, name: &str) -> Person {
    let command = RegisterVerifiedUser(RegisterUser {
        username: Username::parse(name).unwrap(),
        email: Email::parse(format!("{name}@example.org")).unwrap(),
        full_name: None,
        bio: None,
        image: None,
        roles: BTreeSet::from([Role::User, Role::Admin]),
    });
    let (id, method, headers) = (Uuid::now_v7(), Method::POST, HeaderMap::new());
    let context = RequestContext::from_headers(&headers);
    let received =
        Received { method: &method, path: "/", headers: &headers, context: &context, body: b"" };
    let asked = Asked::read(received, "operator", &ClaimKey::derive(b"a secret")).unwrap();
    let answer = |_: &_, _| Answer::empty();
    let decided = world.commands.decide::<Users>(id, &asked, command, answer).await;
    let status = decided.map_or_else(|problem| problem.kind().status(), |answer| answer.status());
    assert_eq!(status, 204);
    Person::new(&id.to_string())
}

#[tokio::test]
async fn an_address_that_an_operator_vouches_for_is_verified_and_kept() {
    let term = Duration::ZERO;
    let world = World::of(Setup { claim_term: term, ..Setup::default() }).await;
    let root = vouched(&world, "root").await;
    let records = world.log.of(&root.stream_id());
    let types: Vec<_> = records.iter().map(|record| record.header("ce_type")).collect();
    assert_eq!(types, ["identity.user.registered.v1", "identity.user.email-verified.v1"]);
    let shown = world.call("PATCH", &root.path("")).by(&root.claims()).saying(&json!({}));
    assert_eq!(shown.send().await.body["email_verified"], true);

    let mut body = registration("eve");
    body["email"] = json!("Root@example.org");
    let answer = world.call("POST", "/api/v1/auth/register").saying(&body).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "already-taken"));
}
