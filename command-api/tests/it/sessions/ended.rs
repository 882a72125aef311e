//! Being put out: by oneself, from elsewhere, by admins.

use event_store::beside::Revoked;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{LOGOUT, SESSIONS, Session, goes_on, logged_in};
use crate::decision_world::{Call, Person, World, admin, of_device, of_user};

fn path(session: &Session) -> String {
    format!("{SESSIONS}/{}", session.id)
}

fn with_refresh_token(call: Call, session: &Session) -> Call {
    call.saying(&json!({"refresh_token": session.refresh_token}))
}

fn expired(person: &Person) -> Value {
    json!({"sub": person.id, "roles": ["user"], "exp": 1})
}

fn revoked(world: &World) -> Vec<Revoked> {
    world.store.memory().revocations().into_iter().map(|(what, _)| what).collect()
}

#[tokio::test]
async fn whoever_logs_out_ends_their_session_and_no_other_one() {
    let world = World::new().await;
    world.registered("ann").await;
    let (one, other) = (logged_in(&world, "ann").await, logged_in(&world, "ann").await);
    for _ in 0..2 {
        let answer = world.call("POST", LOGOUT).bearing(&one.access_token).send().await;
        assert_eq!((answer.status.as_u16(), &answer.body), (204, &Value::Null), "{answer:?}");
        assert!(!answer.header("consistency-token").is_empty());
    }
    assert_eq!(one.events(&world).await, ["logged-in", "logged-out"]);
    assert_eq!(revoked(&world), [Revoked::Session(one.id.0)]);
    assert!(!goes_on(&world, &one).await);
    assert!(goes_on(&world, &other).await);
}

#[tokio::test]
async fn the_refresh_token_is_enough_to_log_out() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let (one, other) = (logged_in(&world, "ann").await, logged_in(&world, "ann").await);
    for _ in 0..2 {
        let call = with_refresh_token(world.call("POST", LOGOUT), &one);
        assert_eq!(call.send().await.status, 204);
    }
    // Beside an access token it says which session is meant, also where that one has expired.
    let call = with_refresh_token(world.call("POST", LOGOUT).by(&expired(&ann)), &other);
    assert_eq!(call.send().await.status, 204);
    for session in [one, other] {
        assert_eq!(session.events(&world).await, ["logged-in", "logged-out"]);
    }
}

#[tokio::test]
async fn under_one_name_each_session_ends_that_is_logged_out_of() {
    let world = World::new().await;
    world.registered("ann").await;
    let (one, other) = (logged_in(&world, "ann").await, logged_in(&world, "ann").await);
    for session in [&one, &other] {
        let call = world.call("POST", LOGOUT).bearing(&session.access_token).named("k1");
        assert_eq!(call.send().await.status, 204);
        assert_eq!(session.events(&world).await, ["logged-in", "logged-out"]);
        assert!(!goes_on(&world, session).await);
    }
    // Nothing but the token in the body tells these two requests apart.
    let (one, other) = (logged_in(&world, "ann").await, logged_in(&world, "ann").await);
    for session in [&one, &other] {
        let call = with_refresh_token(world.call("POST", LOGOUT), session).named("k2");
        assert_eq!(call.send().await.status, 204);
        assert!(!goes_on(&world, session).await);
    }
}

#[tokio::test]
async fn whoever_names_no_session_is_told_so() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let nobody = world.call("POST", LOGOUT).send().await;
    assert_eq!((nobody.status.as_u16(), nobody.problem()), (401, "unauthenticated"));
    let without = world.call("POST", LOGOUT).by(&ann.claims()).send().await;
    assert_eq!((without.status.as_u16(), without.problem()), (400, "invalid-request"));
    assert_eq!(without.errors(), [("/refresh_token", "required")]);
    let forged = world.call("POST", LOGOUT).saying(&json!({"refresh_token": "bm9uZQ"}));
    let forged = forged.send().await;
    assert_eq!((forged.status.as_u16(), forged.problem()), (401, "invalid-refresh-token"));
}

#[tokio::test]
async fn a_session_is_ended_from_another_one() {
    let world = World::new().await;
    world.registered("ann").await;
    let (lost, present) = (logged_in(&world, "ann").await, logged_in(&world, "ann").await);
    for _ in 0..2 {
        let call = world.call("DELETE", &path(&lost)).bearing(&present.access_token);
        assert_eq!(call.send().await.status, 204);
    }
    assert_eq!(lost.events(&world).await, ["logged-in", "revoked"]);
    assert!(!goes_on(&world, &lost).await);
    assert!(goes_on(&world, &present).await);
}

#[tokio::test]
async fn a_session_of_another_is_none_to_everybody_but_admins() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let session = logged_in(&world, "ann").await;
    let nobody_s = format!("{SESSIONS}/{}", Uuid::now_v7());
    let mut bound = ann.claims();
    bound["device_id"] = json!("device-1");
    let other_spelling = format!("{SESSIONS}/{}", session.id.to_string().to_uppercase());
    for (claims, path, status, problem) in [
        (bob.claims(), path(&session), 404, "not-found"),
        (bob.claims(), nobody_s.clone(), 404, "not-found"),
        (admin(), nobody_s, 404, "not-found"),
        (admin(), format!("{SESSIONS}/me"), 404, "not-found"),
        (admin(), other_spelling, 404, "not-found"),
        (of_device(&ann.id), path(&session), 403, "forbidden"),
        (bound, path(&session), 403, "forbidden"),
        (expired(&ann), path(&session), 401, "unauthenticated"),
    ] {
        let answer = world.call("DELETE", &path).by(&claims).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{claims}");
    }
    assert_eq!(session.events(&world).await, ["logged-in"]);
    let answer = world.call("DELETE", &path(&session)).by(&admin()).send().await;
    assert_eq!(answer.status, 204);
    assert_eq!(session.events(&world).await, ["logged-in", "revoked"]);
}

#[tokio::test]
async fn all_sessions_of_somebody_end_at_once() {
    let world = World::new().await;
    let (ann, _bob) = (world.registered("ann").await, world.registered("bob").await);
    let of_bob = logged_in(&world, "bob").await;
    // She registered by two events.
    for (end, version) in [
        (world.call("DELETE", SESSIONS).by(&ann.claims()), 3),
        (world.call("DELETE", &ann.path("/sessions")).by(&ann.claims()), 4),
        (world.call("DELETE", &ann.path("/sessions")).by(&admin()), 5),
    ] {
        let sessions = [logged_in(&world, "ann").await, logged_in(&world, "ann").await];
        let before = revoked(&world).len();
        let answer = end.send().await;
        assert_eq!(answer.status, 204, "{answer:?}");
        let hers = Revoked::User { id: ann.id.parse().unwrap(), below_version: version };
        assert_eq!(revoked(&world).split_off(before), [hers]);
        for session in sessions {
            assert!(!goes_on(&world, &session).await);
        }
    }
    assert!(goes_on(&world, &of_bob).await);
    let anew = logged_in(&world, "ann").await;
    assert!(goes_on(&world, &anew).await);
}

#[tokio::test]
async fn a_request_that_comes_again_ends_no_session_that_began_after_it() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let end = || world.call("DELETE", SESSIONS).by(&ann.claims()).named("k1").send();
    assert_eq!(end().await.status, 204);
    let session = logged_in(&world, "ann").await;
    assert_eq!(end().await.status, 204);
    assert!(goes_on(&world, &session).await);
}

#[tokio::test]
async fn nobody_ends_the_sessions_of_another_who_is_no_admin() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let session = logged_in(&world, "ann").await;
    let nobody = Uuid::now_v7().to_string();
    for (claims, path, status, problem) in [
        (bob.claims(), ann.path("/sessions"), 403, "forbidden"),
        (of_device(&ann.id), ann.path("/sessions"), 403, "forbidden"),
        (of_device(&ann.id), SESSIONS.to_owned(), 403, "forbidden"),
        (of_user(&nobody), SESSIONS.to_owned(), 404, "not-found"),
        (of_user("ann"), SESSIONS.to_owned(), 404, "not-found"),
        (admin(), format!("/api/v1/users/{nobody}/sessions"), 404, "not-found"),
        (expired(&ann), SESSIONS.to_owned(), 401, "unauthenticated"),
    ] {
        let answer = world.call("DELETE", &path).by(&claims).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{claims}");
    }
    assert!(goes_on(&world, &session).await);
}
