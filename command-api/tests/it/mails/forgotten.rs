//! Having forgotten the password: whom a mail goes to, what its link leads to, and for how long it is good.

use std::collections::BTreeSet;
use std::time::Duration;

use command_api::user::RESET_PASSWORD;
use consistency_token::TokenKey;
use domain::user::UserId;
use event_store::EventStore as _;
use event_store::claim::ClaimOf;
use serde_json::json;
use uuid::Uuid;

use super::{
    PASSWORD, change_email, is_verified, page, post, put_off, sent, settled, shown, signed,
};
use crate::decision_world::{Person, Setup, World, admin};
use crate::world::{Answer, now};

const FORGOT: &str = "/api/v1/auth/forgot-password";
const RESET: &str = "/api/v1/auth/reset-password";

/// The password of those who register in tests, and the one that they choose then.
const BEFORE: &str = PASSWORD;
const AFTER: &str = "battery staple";

/// In tests mails are sent after this one, by which the address is to be verified.
const FIRST: usize = 1;

async fn forget(world: &World, email: &str) -> Answer {
    world.call("POST", FORGOT).saying(&json!({"email": email})).send().await
}

/// The token of the link in the last mail.
fn last_token(world: &World) -> String {
    super::last_token(world, RESET)
}

/// A token as the process signs it.
fn token_for(world: &World, person: &Person, session_epoch: u32, until: i64) -> String {
    token_by(&world.mail_link_key, person, session_epoch, until)
}

/// The same as whoever has the key signs it.
fn token_by(key: &TokenKey, person: &Person, session_epoch: u32, until: i64) -> String {
    let user = UserId::parse(&person.id).unwrap().0;
    let (email_number, until) = (1_u32, until * 1_000_000);
    let content = [
        user.as_bytes().as_slice(),
        &email_number.to_be_bytes(),
        &session_epoch.to_be_bytes(),
        &until.to_be_bytes(),
    ];
    key.for_texts("reset-password").sign(b"", &content.concat())
}

async fn reset(world: &World, token: &str, password: &str) -> Answer {
    let body = json!({"token": token, "new_password": password});
    world.call("POST", RESET).saying(&body).send().await
}

async fn send_form(world: &World, form: String) -> Answer {
    world.call("POST", RESET).saying_as("application/x-www-form-urlencoded", form).send().await
}

async fn log_in(world: &World, name: &str, password: &str) -> u16 {
    world.log_in(name, password).send().await.status.as_u16()
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.problem())
}

#[tokio::test]
async fn whoever_has_forgotten_their_password_has_another_one_by_a_mail() {
    let world = World::new().await;
    world.starts_to_send_mails();
    let ann = world.registered("ann").await;
    sent(&world, FIRST).await;
    let answer = forget(&world, "Ann@EXAMPLE.org").await;
    assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({"status": "accepted"})));
    sent(&world, FIRST + 1).await;
    assert_eq!(world.mailer.sent()[FIRST].to, "ann@example.org");
    let token = last_token(&world);
    let answer = reset(&world, &token, AFTER).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"4\""), "{answer:?}");
    assert_eq!(world.offset(answer.header("consistency-token")), 3);
    let last = world.log.of(&ann.stream_id()).pop().unwrap();
    assert_eq!(last.header("ce_type"), "identity.user.password-changed.v1");
    assert_eq!(last.header("ce_actor"), "anybody");
    assert_eq!(log_in(&world, "ann", BEFORE).await, 401);
    assert_eq!(log_in(&world, "ann", AFTER).await, 200);
    let again = reset(&world, &token, "another staple").await;
    assert_eq!(told(&again), (400, "invalid-verification-token"), "it is good once");
}

#[tokio::test]
async fn whoever_asks_is_told_nothing_of_who_there_is() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.registered("bob").await;
    world.call("POST", &ann.path("/deactivate")).by(&admin()).send().await;
    let all_of = |answer: Answer| (answer.status.as_u16(), answer.body, answer.headers);
    let expected = all_of(forget(&world, "nobody@example.org").await);
    assert_eq!(expected.0, 202);
    // One who may not come in, one who may, the same while a mail waits for them, and nobody.
    for email in ["ann@example.org", "bob@example.org", "BOB@example.org", "ann@example.com"] {
        let before = world.store.memory().mails();
        assert_eq!(all_of(forget(&world, email).await), expected, "{email}");
        assert_eq!(world.store.memory().mails(), before + 1, "{email}: as much is written");
    }
    for body in [json!({"email": "nobody"}), json!({}), json!({"email": "a@b.de", "a": 1})] {
        let answer = world.call("POST", FORGOT).saying(&body).send().await;
        assert_eq!(told(&answer), (400, "invalid-request"), "{body}");
    }
    world.store.is_away(true);
    for email in ["bob@example.org", "nobody@example.org"] {
        assert_eq!(told(&forget(&world, email).await), (503, "database-unavailable"), "{email}");
    }
}

#[tokio::test]
async fn nobody_is_sent_a_mail_who_is_kept_out_or_was_erased() {
    let world = World::new().await;
    let (ann, eve) = (world.registered("ann").await, world.registered("eve").await);
    world.call("POST", &ann.path("/deactivate")).by(&admin()).send().await;
    world.call("DELETE", &eve.path("")).by(&eve.claims()).send().await;
    for email in ["ann@example.org", "eve@example.org", "nobody@example.org"] {
        assert_eq!(forget(&world, email).await.status, 202);
    }
    world.starts_to_send_mails();
    // Of Ann, the one that verifies the address, and this one.
    settled(&world, 2).await;
    let subjects: Vec<_> = world.mailer.tried().into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Confirm your e-mail address"]);
}

#[tokio::test]
async fn a_mail_goes_to_whoever_has_the_address_now() {
    let world = World::of(Setup { claim_term: Duration::ZERO, ..Setup::default() }).await;
    let (ann, eve) = (world.registered("ann").await, world.registered("eve").await);
    // Ann has not shown in time that it is hers, and Eve has.
    assert_eq!(change_email(&world, &eve, "ann@example.org").await.status, 200);
    assert_eq!(post(&world, &signed(&world, &eve, 2, now() + 60)).await.status, 204);
    let token = token_for(&world, &ann, 0, now() + 60);
    assert_eq!(told(&reset(&world, &token, AFTER).await), (409, "state-conflict"));
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    world.starts_to_send_mails();
    sent(&world, 1).await;
    assert_eq!(reset(&world, &last_token(&world), AFTER).await.status, 204);
    let logged_in = [log_in(&world, "ann", BEFORE).await, log_in(&world, "eve", AFTER).await];
    assert_eq!(logged_in, [200, 200]);
}

#[tokio::test]
async fn an_address_that_was_not_confirmed_in_time_is_nobodys() {
    let world = World::of(Setup { claim_term: Duration::ZERO, ..Setup::default() }).await;
    world.registered("ann").await;
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    world.starts_to_send_mails();
    settled(&world, FIRST).await;
    let subjects: Vec<_> = world.mailer.tried().into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Confirm your e-mail address"]);
}

#[tokio::test]
async fn another_address_counts_once_it_was_shown_to_be_theirs() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    assert_eq!(change_email(&world, &ann, "ann@example.com").await.status, 200);
    assert_eq!(forget(&world, "ann@example.com").await.status, 202);
    world.starts_to_send_mails();
    // Both that verify an address, of which the first is not needed any more, and this one.
    settled(&world, 3).await;
    assert_eq!(world.mailer.tried().len(), 1);
    assert_eq!(post(&world, &signed(&world, &ann, 2, now() + 60)).await.status, 204);
    assert_eq!(forget(&world, "ann@example.com").await.status, 202);
    sent(&world, 2).await;
    assert_eq!(reset(&world, &last_token(&world), AFTER).await.status, 204);
}

#[tokio::test]
async fn of_mails_that_are_asked_for_again_and_again_one_waits_and_is_sent() {
    let world = World::new().await;
    world.registered("ann").await;
    for _ in 0..5 {
        assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    }
    world.starts_to_send_mails();
    settled(&world, FIRST + 1).await;
    assert_eq!(world.store.settled(), [Ok("sent"), Ok("sent")]);
    // Once it is sent, another one may be asked for.
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    sent(&world, FIRST + 2).await;
    let ids: BTreeSet<_> = world.mailer.tried().into_iter().map(|mail| mail.id).collect();
    assert_eq!(ids.len(), FIRST + 2, "each is another one");
}

#[tokio::test]
async fn nobody_is_sent_more_than_five_in_a_day() {
    let world = World::new().await;
    world.starts_to_send_mails();
    world.registered("ann").await;
    sent(&world, FIRST).await;
    for n in 1..=5 {
        assert_eq!(forget(&world, "ann@example.org").await.status, 202);
        settled(&world, FIRST + n).await;
    }
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    settled(&world, FIRST + 6).await;
    assert_eq!(world.store.settled().pop(), Some(Ok("too-many")));
    assert_eq!(world.mailer.sent().len(), FIRST + 5);
}

#[tokio::test]
async fn a_mail_that_could_not_be_sent_in_time_is_not_sent_and_keeps_no_other_one_back() {
    let world = World::new().await;
    world.registered("ann").await;
    let digest = world.commands.deciding().claim_key.digest("email", "ann@example.org");
    let long_ago = (now().cast_unsigned() - 901) * 1_000;
    let id = uuid::Builder::from_unix_timestamp_millis(long_ago, &[0; 10]).into_uuid();
    let quarter = Duration::from_secs(900);
    let value = ClaimOf { kind: "email", digest };
    let kept = world.store.keep_mail_for_holder(id, RESET_PASSWORD, value, quarter).await;
    kept.unwrap();
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    world.starts_to_send_mails();
    settled(&world, FIRST + 2).await;
    let count = |outcome| world.store.settled().iter().filter(|of| **of == Ok(outcome)).count();
    assert_eq!((count("sent"), count("lapsed")), (FIRST + 1, 1));
    assert!(world.mailer.tried().iter().all(|mail| mail.id != id));
}

#[tokio::test]
async fn whoever_has_another_password_already_needs_no_mail() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    let body = json!({"current_password": BEFORE, "new_password": AFTER});
    let call = world.call("PUT", &ann.path("/password")).by(&ann.claims());
    assert_eq!(call.saying(&body).send().await.status, 204);
    world.starts_to_send_mails();
    settled(&world, FIRST).await;
    let subjects: Vec<_> = world.mailer.tried().into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["Confirm your e-mail address"]);
}

#[tokio::test]
async fn mails_of_a_kind_to_one_person_are_apart_and_those_of_another_kind_do_not_wait() {
    let world = World::new().await;
    let hour = Duration::from_secs(3_600);
    world.starts_to_send_a_mail_every(hour);
    world.registered("ann").await;
    settled(&world, FIRST).await;
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    settled(&world, FIRST + 1).await;
    assert_eq!(forget(&world, "ann@example.org").await.status, 202);
    put_off(&world, 1).await;
    assert_eq!(world.mailer.tried().len(), FIRST + 1);
}

#[tokio::test]
async fn a_token_is_good_for_nothing_once_something_was_changed() {
    let world = World::new().await;
    let refused = async |person: &Person, token: &str| {
        let answer = reset(&world, token, AFTER).await;
        assert_eq!(told(&answer), (400, "invalid-verification-token"), "{person:?}");
    };
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let (eve, joe) = (world.registered("eve").await, world.registered("joe").await);

    // The password.
    let body = json!({"current_password": BEFORE, "new_password": AFTER});
    let call = world.call("PUT", &ann.path("/password")).by(&ann.claims());
    assert_eq!(call.saying(&body).send().await.status, 204);
    refused(&ann, &token_for(&world, &ann, 0, now() + 60)).await;
    // The address.
    assert_eq!(change_email(&world, &bob, "bob@example.com").await.status, 200);
    refused(&bob, &token_for(&world, &bob, 0, now() + 60)).await;
    // Whether they may come in.
    for path in ["/deactivate", "/reactivate"] {
        let answer = world.call("POST", &eve.path(path)).by(&admin()).send().await;
        assert_eq!(answer.status, 200);
    }
    refused(&eve, &token_for(&world, &eve, 0, now() + 60)).await;
    // Time.
    refused(&joe, &token_for(&world, &joe, 0, now() - 1)).await;
    assert_eq!(reset(&world, &token_for(&world, &joe, 0, now() + 60), AFTER).await.status, 204);
}

#[tokio::test]
async fn a_token_that_is_forged_or_for_something_else_is_good_for_nothing() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let good = token_for(&world, &ann, 0, now() + 60);
    let of_bob = token_for(&world, &bob, 0, now() + 60);
    let forged = format!("{}{}", &good[..24], &of_bob[24..]);
    let verifying = signed(&world, &ann, 1, now() + 60);
    let by_query_api = token_by(&world.token_key, &ann, 0, now() + 60);
    for token in [&*forged, &*verifying, &*by_query_api, &good[1..], "bm9uZQ", ""] {
        let answer = reset(&world, token, AFTER).await;
        assert_eq!(told(&answer), (400, "invalid-verification-token"), "{token}");
        let followed = world.call("GET", &format!("{RESET}?token={token}")).send().await;
        let (status, text) = page(&followed);
        assert!(status == 400 && !text.contains("<form"), "{token}: {text}");
    }
    let nobody = Person::new(&Uuid::now_v7().to_string());
    let answer = reset(&world, &token_for(&world, &nobody, 0, now() + 60), AFTER).await;
    assert_eq!(told(&answer), (404, "not-found"));
    assert_eq!(world.log.records().len(), 4);
}

#[tokio::test]
async fn the_new_password_keeps_to_the_rules_and_the_token_is_not_used_up_by_one_that_does_not() {
    let world = World::new().await;
    let ann = world.registered("annabelle").await;
    let token = token_for(&world, &ann, 0, now() + 60);
    for (password, rule) in [("hunter2", "min-characters"), ("Annabelle", "common")] {
        let answer = reset(&world, &token, password).await;
        assert_eq!(told(&answer), (400, "invalid-request"), "{password}");
        assert_eq!(answer.errors(), [("/new_password", rule)]);
    }
    assert_eq!(reset(&world, &token, AFTER).await.status, 204);
}

#[tokio::test]
async fn of_two_who_use_one_token_at_once_one_succeeds() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let token = token_for(&world, &ann, 0, now() + 60);
    world.store.next_appends_meet(2);
    let body = |password: &str| json!({"token": token, "new_password": password});
    let one = world.call("POST", RESET).saying(&body(AFTER)).send();
    let other = world.call_other("POST", RESET).saying(&body("another staple")).send();
    let (one, other) = tokio::join!(one, other);
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400]);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn under_one_name_each_reset_counts_and_none_is_answered_that_does_not() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let send = |token: &str, password: &str| {
        let body = json!({"token": token, "new_password": password});
        world.call("POST", RESET).named("k1").saying(&body).send()
    };
    let token = token_for(&world, &ann, 0, now() + 60);
    let answer = send(&token, AFTER).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"4\""), "{answer:?}");
    assert!(world.store.kept("anybody", "k1").await.is_none());
    // Nobody is told that another password is theirs from now on, nor that this one is once more.
    for password in ["another staple", AFTER] {
        let again = send(&token, password).await;
        assert_eq!(told(&again), (400, "invalid-verification-token"), "{password}");
    }
    assert_eq!(log_in(&world, "ann", "another staple").await, 401);
    assert_eq!(log_in(&world, "ann", AFTER).await, 200);
    let answer = send(&token_for(&world, &ann, 1, now() + 60), "another staple").await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, "\"5\""), "{answer:?}");
    assert_eq!(log_in(&world, "ann", "another staple").await, 200);
}

#[tokio::test]
async fn the_link_leads_to_a_page_that_changes_nothing_until_a_password_is_sent() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let token = token_for(&world, &ann, 0, now() + 60);
    let before = world.store.password_hash(&ann.id).await.unwrap();
    for method in ["GET", "HEAD"] {
        let followed = world.call(method, &format!("{RESET}?token={token}")).send().await;
        assert_eq!(page(&followed).0, 200, "{method}");
    }
    let followed = world.call("GET", &format!("{RESET}?token={token}")).send().await;
    for part in [
        "<form method=\"post\" action=\"reset-password\">",
        &format!("<input type=\"hidden\" name=\"token\" value=\"{token}\">"),
        "name=\"new_password\"",
    ] {
        assert_eq!(page(&followed).1.matches(part).count(), 1, "{part}");
    }
    assert_eq!(world.store.password_hash(&ann.id).await.unwrap(), before);
    let refused = send_form(&world, format!("token={token}&new_password=password1")).await;
    let (status, text) = page(&refused);
    assert!(status == 400 && text.contains("/new_password must not be one that"), "{text}");
    let done = send_form(&world, format!("token={token}&new_password=battery+staple")).await;
    assert!(matches!(page(&done), (200, text) if text.contains("You have a new password")));
    assert_eq!(log_in(&world, "ann", AFTER).await, 200);
    let again = send_form(&world, format!("token={token}&new_password=another+staple")).await;
    let (status, text) = page(&again);
    assert!(status == 400 && text.contains("ask for another mail"), "{text}");
    assert!(text.contains("<h1>No password was changed just now</h1>"), "pressed twice: {text}");
    for form in [String::new(), format!("token={token}"), "new_password=battery+staple".into()] {
        assert_eq!(page(&send_form(&world, form).await).0, 400);
    }
    assert_eq!(is_verified(&shown(&world, &ann).await), true, "the mail has reached her");
}
