//! Staying in: refresh tokens, each good once, whatever becomes of answers.

use std::time::Duration;

use domain::session::SessionId;
use event_store::beside::Revoked;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{REFRESH, Session, goes_on, logged_in, refresh, told};
use crate::decision_world::{World, admin};

/// After which nobody who repeats a refresh is taken for a client that has lost its answer.
const TOO_LATE: Duration = Duration::from_secs(11);

fn is_revoked(world: &World, session: &Session) -> bool {
    let revoked = world.store.memory().revocations();
    revoked.iter().any(|(what, _)| *what == Revoked::Session(session.id.0))
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_one_and_an_access_token() {
    let world = World::new().await;
    world.registered("ann").await;
    let first = logged_in(&world, "ann").await;
    let answer = refresh(&world, &first.refresh_token).send().await;
    let second = Session::of(&answer);
    assert_eq!(second.id, first.id);
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_ne!(second.access_token, first.access_token);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.header("consistency-token").is_empty());
    let third = Session::of(&refresh(&world, &second.refresh_token).send().await);
    assert_eq!(world.refresh_tokens.read(&third.refresh_token), Some((first.id, 3)));
    assert_eq!(first.events(&world).await, ["logged-in", "refreshed", "refreshed"]);
}

#[tokio::test]
async fn a_hundred_at_once_over_two_instances_are_given_the_same_successor() {
    let world = World::new().await;
    world.registered("ann").await;
    let first = logged_in(&world, "ann").await;
    // Two are decided at the very same time, one by each instance.
    world.store.next_appends_meet(2);
    let mut racing = JoinSet::new();
    for n in 0..100 {
        let call = if n % 2 == 0 { World::call } else { World::call_other };
        let call = call(&world, "POST", REFRESH).with("user-agent", "an app");
        racing.spawn(call.saying(&json!({"refresh_token": first.refresh_token})).send());
    }
    // The login said nothing of its client: whoever exchanges first becomes the session's client.
    let answers = racing.join_all().await;
    let sessions: Vec<Session> = answers.iter().map(Session::of).collect();
    let next = &sessions[0].refresh_token;
    assert!(sessions.iter().all(|session| session.refresh_token == *next));
    assert_eq!(first.events(&world).await, ["logged-in", "refreshed"]);
    assert!(goes_on(&world, &sessions[0]).await);
    assert!(!is_revoked(&world, &first));
}

#[tokio::test]
async fn whoever_has_lost_the_answer_is_given_the_same_token_again() {
    let world = World::new().await;
    world.registered("ann").await;
    let first = logged_in(&world, "ann").await;
    world.store.does_not_tell_of_the_next_append();
    let lost = refresh(&world, &first.refresh_token).send().await;
    assert_eq!((lost.status.as_u16(), lost.problem()), (503, "unknown-outcome"));
    let again = Session::of(&refresh(&world, &first.refresh_token).send().await);
    assert_eq!(world.refresh_tokens.read(&again.refresh_token), Some((first.id, 2)));
    assert_eq!(first.events(&world).await, ["logged-in", "refreshed"]);
}

#[tokio::test]
async fn a_token_that_comes_again_too_late_ends_the_session_for_everybody() {
    let world = World::new().await;
    world.registered("ann").await;
    let first = logged_in(&world, "ann").await;
    let second = Session::of(&refresh(&world, &first.refresh_token).send().await);
    world.pass(TOO_LATE);
    assert!(!goes_on(&world, &first).await);
    assert_eq!(first.events(&world).await, ["logged-in", "refreshed", "reuse-detected"]);
    assert!(is_revoked(&world, &first), "its access tokens are taken");
    for session in [&first, &second] {
        assert!(!goes_on(&world, session).await);
    }
    assert_eq!(first.events(&world).await.len(), 3, "it has ended once");
    // Others of hers go on.
    let other = logged_in(&world, "ann").await;
    assert!(goes_on(&world, &other).await);
}

#[tokio::test]
async fn a_token_that_another_client_brings_again_was_stolen() {
    let world = World::new().await;
    world.registered("ann").await;
    let first = logged_in(&world, "ann").await;
    let by = |agent| refresh(&world, &first.refresh_token).with("user-agent", agent).send();
    assert_eq!(by("an app").await.status, 200);
    assert_eq!(by("an app").await.status, 200);
    let thief = by("another").await;
    assert_eq!((thief.status.as_u16(), thief.problem()), (401, "invalid-refresh-token"));
    assert_eq!(first.events(&world).await, ["logged-in", "refreshed", "reuse-detected"]);
}

#[tokio::test]
async fn an_access_token_has_the_roles_that_its_user_has_when_it_is_made() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let first = logged_in(&world, "ann").await;
    let role = ann.path("/roles/approver");
    let mut token = first.refresh_token.clone();
    for (method, has_role, version) in [("PUT", true, 3), ("DELETE", false, 4)] {
        assert_eq!(world.call(method, &role).by(&admin()).send().await.status, 200);
        let session = Session::of(&refresh(&world, &token).send().await);
        let caller = world.caller(&session.access_token);
        assert_eq!(caller.roles.contains(access::Role::Approver), has_role, "{method}");
        assert_eq!(caller.revocable.unwrap().user_version, version, "{method}");
        token = session.refresh_token;
    }
}

#[tokio::test]
async fn whoever_may_not_come_in_any_more_does_not_stay_in() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let (of_ann, of_bob) = (logged_in(&world, "ann").await, logged_in(&world, "bob").await);
    let decide = |method, path: String| world.call(method, &path).by(&admin()).send();
    assert_eq!(decide("POST", ann.path("/deactivate")).await.status, 200);
    assert!(!goes_on(&world, &of_ann).await);
    assert_eq!(decide("POST", ann.path("/reactivate")).await.status, 200);
    assert!(!goes_on(&world, &of_ann).await, "a session of before is over");
    let anew = logged_in(&world, "ann").await;
    assert!(goes_on(&world, &anew).await);
    assert_eq!(decide("DELETE", bob.path("")).await.status, 204);
    assert!(!goes_on(&world, &of_bob).await);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_refresh_token_the_answer_is_the_same() {
    let world = World::new().await;
    world.registered("ann").await;
    let first = logged_in(&world, "ann").await;
    let ended = logged_in(&world, "ann").await;
    let logout = world.call("POST", super::LOGOUT);
    let body = json!({"refresh_token": ended.refresh_token});
    assert_eq!(logout.saying(&body).send().await.status, 204);
    let write = |id, generation| world.refresh_tokens.write(id, generation);
    let forged = {
        let mut token = first.refresh_token.clone().into_bytes();
        token[30] ^= 1;
        String::from_utf8(token).unwrap()
    };
    let mut refused = Vec::new();
    for (case, token) in [
        ("nothing", String::new()),
        ("forged", forged),
        ("another text", "bm9uZQ".to_owned()),
        ("long", "A".repeat(20_000)),
        ("an access token", first.access_token.clone()),
        ("of no session", write(SessionId(Uuid::now_v7()), 1)),
        ("of no generation yet", write(first.id, 2)),
        ("of generation 0", write(first.id, 0)),
        ("of the last generation", write(first.id, u32::MAX)),
        ("of an ended session", ended.refresh_token.clone()),
    ] {
        let answer = refresh(&world, &token).send().await;
        assert_eq!(answer.problem(), "invalid-refresh-token", "{case}");
        refused.push(told(&answer));
    }
    assert_eq!(first.events(&world).await, ["logged-in"], "a guess changes nothing");
    Session::of(&refresh(&world, &first.refresh_token).send().await);
    world.pass(TOO_LATE);
    refused.push(told(&refresh(&world, &first.refresh_token).send().await));
    assert_eq!(first.events(&world).await.last().unwrap(), "reuse-detected");
    assert!(refused.iter().all(|answer| *answer == refused[0]), "{refused:?}");
    assert_eq!(refused[0].0, 401);
}

#[tokio::test]
async fn where_nothing_can_be_decided_a_refresh_token_stays_good() {
    let world = World::new().await;
    world.registered("ann").await;
    let session = logged_in(&world, "ann").await;
    world.store.is_away(true);
    let answer = refresh(&world, &session.refresh_token).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "database-unavailable"));
    world.store.is_away(false);
    assert!(goes_on(&world, &session).await);
}
