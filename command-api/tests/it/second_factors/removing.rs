//! Being rid of a second factor: by who has it, or by an admin.

use event_store::EventStore as _;
use serde_json::json;
use uuid::Uuid;

use super::{
    PASSWORD, enrol, enrolled, log_in, refresh, remove, told, with_code, without_code, world,
};
use crate::decision_world::{Person, admin, of_device};

#[tokio::test]
async fn who_has_a_code_is_rid_of_it_and_stays_in() {
    let world = world().await;
    for (name, by_app) in [("ann", true), ("bob", false)] {
        let (person, handed_out) = enrolled(&world, name).await;
        let [to_come_in, to_remove, ..] = &handed_out.recovery_codes[..] else { panic!("none") };
        let logged_in = log_in(&world, &with_code(name, to_come_in)).send().await;
        let code = if by_app { handed_out.code(1) } else { to_remove.clone() };
        let answer = remove(&world, &person, &json!({"code": code})).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"5\""), "{answer:?}");
        let last = world.log.of(&person.stream_id()).pop().unwrap();
        assert_eq!(last.header("ce_type"), "identity.user.second-factor-removed.v1");
        assert!(world.store.second_factor(&person.id).await.unwrap().is_none());
        assert_eq!(refresh(&world, &logged_in).send().await.status, 200);
        assert_eq!(log_in(&world, &without_code(name)).send().await.status, 200);
        // And may have another one.
        enrol(&world, &person).await;
    }
}

#[tokio::test]
async fn neither_an_access_token_nor_the_password_does() {
    let world = world().await;
    let (ann, handed_out) = enrolled(&world, "ann").await;
    let bob = world.registered("bob").await;
    let wrong = remove(&world, &ann, &json!({"code": "12345"})).send().await;
    assert_eq!(told(&wrong), (403, "forbidden"));
    assert_eq!(wrong.errors(), [("/code", "second-factor")]);
    assert_eq!(world.failures.counted(), 1);
    let (unknown, required) = (("/current_password", "known-members"), ("/code", "required"));
    for (body, errors) in [
        (json!({}), vec![required]),
        (json!({"current_password": PASSWORD}), vec![unknown, required]),
        (json!({"code": "1", "current_password": PASSWORD}), vec![unknown]),
    ] {
        let answer = remove(&world, &ann, &body).send().await;
        assert_eq!(told(&answer), (400, "invalid-request"), "{body}");
        assert_eq!(answer.errors(), errors, "{body}");
    }
    let body = json!({"code": handed_out.recovery_codes[0]});
    for claims in [bob.claims(), of_device(&ann.id)] {
        let call = world.call("DELETE", &ann.path("/second-factor")).by(&claims).saying(&body);
        assert_eq!(told(&call.send().await), (403, "forbidden"), "{claims}");
    }
    let nobody = world.call("DELETE", &ann.path("/second-factor")).saying(&body).send().await;
    assert_eq!(told(&nobody), (401, "unauthenticated"));
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn wrong_codes_wait_here_as_at_login() {
    let world = world().await;
    let (ann, handed_out) = enrolled(&world, "ann").await;
    for _ in 0..3 {
        assert_eq!(remove(&world, &ann, &json!({"code": "12345"})).send().await.status, 403);
    }
    let code = &handed_out.recovery_codes[0];
    let waits = remove(&world, &ann, &json!({"code": code})).send().await;
    assert_eq!(told(&waits), (429, "too-many-attempts"));
    let waits = log_in(&world, &with_code("ann", code)).from("198.51.100.7").send().await;
    assert_eq!(told(&waits), (429, "too-many-attempts"));
}

#[tokio::test]
async fn an_admin_takes_it_from_whoever_has_lost_it_and_from_themselves_as_everybody_does() {
    let world = world().await;
    let (ann, _) = enrolled(&world, "ann").await;
    let by_admin = || world.call("DELETE", &ann.path("/second-factor")).by(&admin());
    let saying = by_admin().saying(&json!({"current_password": PASSWORD})).send().await;
    assert_eq!(told(&saying), (400, "invalid-request"));
    assert_eq!(by_admin().send().await.status, 204);
    assert_eq!(log_in(&world, &without_code("ann")).send().await.status, 200);

    let (bob, _) = enrolled(&world, "bob").await;
    let mut claims = admin();
    claims["sub"] = json!(bob.id);
    let own = world.call("DELETE", &bob.path("/second-factor")).by(&claims).saying(&json!({}));
    assert_eq!(own.send().await.errors(), [("/code", "required")]);
}

#[tokio::test]
async fn of_whoever_has_none_nothing_is_taken() {
    let world = world().await;
    let ann = world.registered("ann").await;
    let body = json!({"code": "12345"});
    let answer = remove(&world, &ann, &body).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"2\""), "{answer:?}");
    assert_eq!(world.failures.counted(), 0);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
    let nobody = Person::new(&Uuid::now_v7().to_string());
    assert_eq!(told(&remove(&world, &nobody, &body).send().await), (404, "not-found"));
}

#[tokio::test]
async fn a_removal_that_is_sent_again_is_answered_as_before() {
    let world = world().await;
    let (ann, handed_out) = enrolled(&world, "ann").await;
    let body = json!({"code": handed_out.recovery_codes[0]});
    for _ in 0..2 {
        let answer = remove(&world, &ann, &body).named("k1").send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"5\""), "{answer:?}");
    }
    assert_eq!(world.failures.counted(), 0);
}

#[tokio::test]
async fn under_one_name_no_removal_is_answered_that_takes_nothing_away() {
    let world = world().await;
    let (ann, first) = enrolled(&world, "ann").await;
    let send = |code: &str| remove(&world, &ann, &json!({"code": code})).named("k1").send();
    assert_eq!(send(&first.recovery_codes[0]).await.status, 204);
    let second = enrol(&world, &ann).await;
    for code in &first.recovery_codes[..2] {
        assert_eq!(told(&send(code).await), (403, "forbidden"), "it is none of this one");
    }
    assert!(world.store.second_factor(&ann.id).await.unwrap().is_some());
    assert_eq!(send(&second.recovery_codes[0]).await.status, 204);
    assert!(world.store.second_factor(&ann.id).await.unwrap().is_none());
}
