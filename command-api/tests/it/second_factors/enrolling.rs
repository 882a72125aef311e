//! Enrolling: what is handed out, when it counts and what it ends.

use std::collections::BTreeSet;

use event_store::EventStore as _;
use event_store::beside::Revoked;
use serde_json::json;
use uuid::Uuid;

use super::{
    PASSWORD, ask, confirm, enrolled, handed_out, log_in, refresh, told, with_code, without_code,
    world,
};
use crate::decision_world::{Person, admin, of_device};

#[tokio::test]
async fn what_is_handed_out_is_shown_once_and_changes_nothing_by_itself() {
    let world = world().await;
    let ann = world.registered("ann").await;
    let answer = ask(&world, &ann, PASSWORD).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.body["user_id"], ann.id);
    assert_eq!(answer.body["expires_in"], 900);
    let uri = answer.body["otpauth_uri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/millrace:ann?"), "{uri}");
    assert!(uri.contains(answer.body["secret"].as_str().unwrap()));
    let codes = answer.body["recovery_codes"].as_array().unwrap();
    let distinct: BTreeSet<_> = codes.iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), 10);

    let again = ask(&world, &ann, PASSWORD).send().await;
    for member in ["secret", "enrolment_token", "recovery_codes"] {
        assert_ne!(again.body[member], answer.body[member], "{member}");
    }
    assert!(world.store.second_factor(&ann.id).await.unwrap().is_none());
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
    assert_eq!(log_in(&world, &without_code("ann")).send().await.status, 200);
}

#[tokio::test]
async fn with_its_first_code_it_counts_and_all_sessions_end() {
    let world = world().await;
    let ann = world.registered("ann").await;
    let before = log_in(&world, &without_code("ann")).send().await;
    let handed_out = handed_out(&world, &ann).await;
    let code = handed_out.code(0);
    let answer = confirm(&world, &ann, &handed_out.token, &code).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"4\""), "{answer:?}");
    assert!(!answer.header("consistency-token").is_empty());

    let records = world.log.of(&ann.stream_id());
    let types: Vec<_> = records[2..].iter().map(|record| record.header("ce_type")).collect();
    assert_eq!(
        types,
        ["identity.user.second-factor-enrolled.v1", "identity.user.sessions-ended.v1"]
    );
    for record in &records[2..] {
        assert_eq!(record.header("ce_actor"), ann.id);
        let bytes = String::from_utf8_lossy(&record.value);
        for told in [&handed_out.secret, &code, &handed_out.recovery_codes[0]] {
            assert!(!bytes.contains(told.as_str()), "the log tells {told}");
        }
    }
    assert_eq!(told(&refresh(&world, &before).send().await), (401, "invalid-refresh-token"));
    let id = Uuid::parse_str(&ann.id).unwrap();
    let revoked: Vec<_> =
        world.store.memory().revocations().into_iter().map(|(what, _)| what).collect();
    assert_eq!(revoked, [Revoked::User { id, below_version: 4 }]);

    let refused = log_in(&world, &without_code("ann")).send().await;
    assert_eq!(told(&refused), (401, "second-factor-required"));
    assert_eq!(refused.errors(), [("/code", "required")]);
    assert!(refused.header("www-authenticate").starts_with("Bearer"), "{refused:?}");
    let used = log_in(&world, &with_code("ann", &code)).send().await;
    assert_eq!(told(&used), (401, "invalid-second-factor"));
    let next = log_in(&world, &with_code("ann", &handed_out.code(1))).send().await;
    assert_eq!(refresh(&world, &next).send().await.status, 200);
}

#[tokio::test]
async fn the_database_holds_neither_the_secret_nor_a_code() {
    let world = world().await;
    let (ann, handed_out) = enrolled(&world, "ann").await;
    let kept = world.store.second_factor(&ann.id).await.unwrap().unwrap();
    assert_eq!(kept.recovery_codes.len(), 10);
    let (secret, code) = (handed_out.secret.as_bytes(), handed_out.recovery_codes[0].as_bytes());
    let shows = |part: &[u8]| kept.sealed_secret.windows(part.len()).any(|bytes| bytes == part);
    assert!(!shows(&secret[..8]) && !shows(&code[..8]));
    let state = world.store.state(&ann.stream_id()).await.json;
    assert!(state.contains("\"second_factor\":true"), "{state}");
}

#[tokio::test]
async fn nobody_confirms_what_they_were_not_handed_out_or_cannot_show_a_code_of() {
    let world = world().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let handed_out = handed_out(&world, &ann).await;
    let code = handed_out.code(0);
    let (token, code) = (handed_out.token.as_str(), code.as_str());
    let of_token = ("/enrolment_token", "enrolment-token");
    let of_code = ("/code", "second-factor");
    let recovery = handed_out.recovery_codes[0].as_str();
    for (person, token, code, error) in [
        (&bob, token, code, of_token),
        (&ann, "bm9uZQ", code, of_token),
        (&ann, &token[1..], code, of_token),
        (&ann, token, "12345", of_code),
        (&ann, token, "", of_code),
        (&ann, token, recovery, of_code),
    ] {
        let answer = confirm(&world, person, token, code).send().await;
        assert_eq!(told(&answer), (400, "invalid-request"), "{token} {code}");
        assert_eq!(answer.errors(), [error], "{token} {code}");
    }
    assert!(world.store.second_factor(&ann.id).await.unwrap().is_none());
    assert_eq!(confirm(&world, &ann, token, code).send().await.status, 204);
}

#[tokio::test]
async fn what_was_handed_out_is_good_once_and_the_same_request_may_come_again() {
    let world = world().await;
    let ann = world.registered("ann").await;
    let handed_out = handed_out(&world, &ann).await;
    let code = handed_out.code(0);
    for _ in 0..2 {
        let call = confirm(&world, &ann, &handed_out.token, &code).named("k1");
        let answer = call.send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"4\""), "{answer:?}");
    }
    let again = confirm(&world, &ann, &handed_out.token, &handed_out.code(1)).send().await;
    assert_eq!(told(&again), (409, "state-conflict"));
    let asked = ask(&world, &ann, PASSWORD).send().await;
    assert_eq!(told(&asked), (409, "state-conflict"), "another one has to wait until it is gone");
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn of_two_that_were_handed_out_and_are_confirmed_at_once_one_counts() {
    let world = world().await;
    let ann = world.registered("ann").await;
    let (one, other) = (handed_out(&world, &ann).await, handed_out(&world, &ann).await);
    world.store.next_appends_meet(2);
    let body = json!({"enrolment_token": other.token, "code": other.code(0)});
    let by_other = world.call_other("POST", &ann.path("/second-factor/confirm")).saying(&body);
    let by_one = confirm(&world, &ann, &one.token, &one.code(0));
    let (by_one, by_other) = tokio::join!(by_one.send(), by_other.send());
    let counts = match (by_one.status.as_u16(), by_other.status.as_u16()) {
        (204, 409) => one,
        (409, 204) => other,
        statuses => panic!("{statuses:?}: {by_one:?} {by_other:?}"),
    };
    let answer = log_in(&world, &with_code("ann", &counts.recovery_codes[0])).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn after_the_password_was_changed_nothing_that_was_handed_out_before_counts() {
    let world = world().await;
    let ann = world.registered("ann").await;
    let handed_out = handed_out(&world, &ann).await;
    let body = json!({"current_password": PASSWORD, "new_password": "battery staple"});
    let change = world.call("PUT", &ann.path("/password")).by(&ann.claims()).saying(&body);
    assert_eq!(change.send().await.status, 204);
    let answer = confirm(&world, &ann, &handed_out.token, &handed_out.code(0)).send().await;
    assert_eq!(told(&answer), (409, "state-conflict"));
    assert!(world.store.second_factor(&ann.id).await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_is_handed_out_a_second_factor_of_somebody_else_or_without_the_password() {
    let world = world().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let path = ann.path("/second-factor");
    let body = json!({"current_password": PASSWORD});
    for claims in [bob.claims(), admin(), of_device(&ann.id)] {
        let answer = world.call("POST", &path).by(&claims).saying(&body).send().await;
        assert_eq!(told(&answer), (403, "forbidden"), "{claims}");
        assert!(answer.errors().is_empty(), "{answer:?}");
    }
    let answer = world.call("POST", &path).saying(&body).send().await;
    assert_eq!(told(&answer), (401, "unauthenticated"));
    assert_eq!(world.failures.counted(), 0);
    for _ in 0..3 {
        let answer = ask(&world, &ann, "wrong horse").send().await;
        assert_eq!(told(&answer), (403, "forbidden"));
        assert_eq!(answer.errors(), [("/current_password", "current-password")]);
    }
    let answer = ask(&world, &ann, PASSWORD).send().await;
    assert_eq!(told(&answer), (429, "too-many-attempts"));
}

#[tokio::test]
async fn there_must_be_somebody_to_have_one() {
    let world = world().await;
    let ann = world.registered("ann").await;
    let handed_out = handed_out(&world, &ann).await;
    let code = handed_out.code(0);
    world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    assert_eq!(told(&ask(&world, &ann, PASSWORD).send().await), (410, "erased"));
    let answer = confirm(&world, &ann, &handed_out.token, &code).send().await;
    assert_eq!(told(&answer), (410, "erased"));
    let nobody = Person::new(&Uuid::now_v7().to_string());
    assert_eq!(told(&ask(&world, &nobody, PASSWORD).send().await), (404, "not-found"));
}

#[tokio::test]
async fn nothing_is_left_of_it_once_its_user_is_erased() {
    let world = world().await;
    let (ann, _) = enrolled(&world, "ann").await;
    let erased = world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    assert_eq!(erased.status, 204);
    assert!(world.store.second_factor(&ann.id).await.unwrap().is_none());
}
