//! Whose address is verified by which token.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{
    VERIFY, change_email, follow, is_verified, page, post, press, sent, shown, signed, signed_by,
    token_to,
};
use crate::decision_world::{Person, Setup, World};
use crate::world::now;

#[tokio::test]
async fn a_program_posts_the_token_and_the_address_is_verified() {
    let world = World::new().await;
    world.starts_to_send_mails();
    let ann = world.registered("ann").await;
    sent(&world, 1).await;
    let answer = post(&world, &token_to(&world, "ann@example.org")).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"3\""));
    assert_eq!(world.offset(answer.header("consistency-token")), 2);
    assert_eq!(is_verified(&shown(&world, &ann).await), true);
    let again = post(&world, &token_to(&world, "ann@example.org")).await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (204, "\"3\""));
    let last = world.log.of(&ann.stream_id()).pop().unwrap();
    assert_eq!((last.version, last.header("ce_actor")), (3, "anybody"));
    assert_eq!(last.header("ce_type"), "identity.user.email-verified.v1");
}

#[tokio::test]
async fn a_token_that_went_to_an_earlier_address_shows_nothing() {
    let world = World::new().await;
    world.starts_to_send_mails();
    let ann = world.registered("ann").await;
    sent(&world, 1).await;
    let earlier = token_to(&world, "ann@example.org");
    assert_eq!(change_email(&world, &ann, "ann@example.com").await.status, 200);
    sent(&world, 2).await;
    let answer = post(&world, &earlier).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "state-conflict"));
    let pressed = press(&world, &earlier).await;
    assert!(matches!(page(&pressed), (409, text) if text.contains("was changed after this mail")));
    assert_eq!(is_verified(&shown(&world, &ann).await), false);
    // Nor does it when the address is the earlier one again.
    assert_eq!(change_email(&world, &ann, "ann@example.org").await.status, 200);
    assert_eq!(post(&world, &earlier).await.status, 409);
    sent(&world, 3).await;
    assert_eq!(post(&world, &token_to(&world, "ann@example.org")).await.status, 204);
}

#[tokio::test]
async fn a_token_that_is_forged_or_has_lapsed_shows_nothing() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let good = signed(&world, &ann, 1, now() + 60);
    let of_bob = signed(&world, &bob, 1, now() + 60);
    // Hers, signed as his was.
    let forged = format!("{}{}", &good[..24], &of_bob[24..]);
    let cursor = world.mail_link_key.for_texts("cursor").sign(b"", b"another kind of text");
    let by_query_api = signed_by(&world.token_key, &ann, 1, now() + 60);
    let lapsed = signed(&world, &ann, 1, now() - 1);
    for token in [&*forged, &*lapsed, &*cursor, &*by_query_api, &good[1..], "bm9uZQ", ""] {
        let answer = post(&world, token).await;
        let told = (answer.status.as_u16(), answer.problem());
        assert_eq!(told, (400, "invalid-verification-token"), "{token}");
        for answer in [follow(&world, token).await, press(&world, token).await] {
            let (status, text) = page(&answer);
            assert!(status == 400 && text.contains("ask for another mail"), "{token}: {text}");
            assert!(!text.contains("<form"), "{token}");
        }
    }
    let answer = world.call("GET", VERIFY).send().await;
    assert_eq!(page(&answer).0, 400);
    let answer = world.call("POST", VERIFY).saying(&json!({})).send().await;
    assert_eq!(
        (answer.problem(), answer.errors()),
        ("invalid-request", vec![("/token", "required")])
    );
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
    assert_eq!(post(&world, &good).await.status, 204, "it is the others that are wrong");
}

#[tokio::test]
async fn a_token_of_nobody_or_of_somebody_erased_shows_nothing() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    let answer = post(&world, &signed(&world, &ann, 1, now() + 60)).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (410, "erased"));
    let nobody = Person::new(&Uuid::now_v7().to_string());
    let answer = post(&world, &signed(&world, &nobody, 1, now() + 60)).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found"));
}

#[tokio::test]
async fn an_address_that_was_confirmed_is_kept_and_one_that_lapsed_is_whoever_takes_it() {
    let world = World::of(Setup { claim_term: Duration::ZERO, ..Setup::default() }).await;
    let ann = world.registered("ann").await;
    let bob = world.registered("bob").await;
    assert_eq!(post(&world, &signed(&world, &ann, 1, now() + 60)).await.status, 204);
    let answer = change_email(&world, &bob, "ann@example.org").await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "already-taken"));

    let eve = world.registered("eve").await;
    assert_eq!(change_email(&world, &eve, "bob@example.org").await.status, 200);
    let answer = post(&world, &signed(&world, &bob, 1, now() + 60)).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "state-conflict"));
    assert_eq!(is_verified(&shown(&world, &bob).await), false);
}
