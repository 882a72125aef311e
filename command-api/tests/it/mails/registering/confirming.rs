//! Following the link of the mail: whoever knows the password becomes a user, once, and nobody else does.

use command_api::user::CONFIRM_REGISTRATION;
use event_store::EventStore as _;
use event_store::pending_registration::NewRegistration;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

use super::super::{PASSWORD, change_email, page, settled};
use super::{
    ANOTHER, CONFIRM, HOUR, REGISTER, confirm, confirm_with, confirming, last_token, log_in,
    must_be_wrong, must_tell_of_no_user, press, press_with, registered, registers, send_form,
    signed, tokens_to, told, wanted, world,
};
use crate::decision_world::Person;
use crate::world::now;

#[tokio::test]
async fn whoever_follows_the_mail_is_a_user_once() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "Ann@example.org").await;
    settled(&world, 1).await;
    let token = last_token(&world, "Ann@example.org");
    let looked = world.call("GET", &format!("{CONFIRM}?token={token}")).send().await;
    let (status, text) = page(&looked);
    assert_eq!(status, 200);
    for part in [
        "<form method=\"post\" action=\"confirm-registration\">",
        &format!("<input type=\"hidden\" name=\"token\" value=\"{token}\">"),
        "<input type=\"password\" name=\"password\" autocomplete=\"current-password\" required>",
        "<button type=\"submit\">Make my account</button>",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{part} is not in {text}");
    }
    assert!(world.log.records().is_empty() && world.store.memory().claims().is_empty());
    assert_eq!(log_in(&world, "ann").await, 401);

    let answer = confirming(&world, &token, PASSWORD).named("k1").send().await;
    let ann = Person::new(answer.body["id"].as_str().unwrap());
    let expected = json!({
        "id": ann.id, "username": "ann", "email": "Ann@example.org", "email_verified": true,
        "full_name": null, "bio": null, "image": null, "active": true, "roles": ["user"],
        "version": 2,
    });
    assert_eq!((answer.status.as_u16(), &answer.body), (201, &expected));
    assert_eq!(answer.header("location"), ann.path(""));
    assert_eq!(answer.header("etag"), "\"2\"");
    assert_eq!(world.offset(answer.header("consistency-token")), 1);
    let records = world.log.of(&ann.stream_id());
    let types: Vec<_> = records.iter().map(|record| record.header("ce_type")).collect();
    assert_eq!(types, ["identity.user.registered.v1", "identity.user.email-verified.v1"]);
    assert_eq!(log_in(&world, "ann").await, 200);

    // Once more, under the same name and none, and by the page: that there is a user is told, and nothing of her.
    let named = |password: &str| confirming(&world, &token, password).named("k1").send();
    let again = [
        named(PASSWORD).await,
        named(ANOTHER).await,
        confirm(&world, &token).await,
        confirm_with(&world, &token, ANOTHER).await,
    ];
    for again in again {
        assert_eq!((again.status.as_u16(), &again.body), (204, &Value::Null));
        must_tell_of_no_user(&again);
    }
    assert!(world.store.kept("anybody", "k1").await.is_none(), "its answer is kept");
    let pressed = press(&world, &token).await;
    assert!(matches!(page(&pressed), (200, text) if text.contains("You have an account")));
    must_tell_of_no_user(&pressed);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
    assert_eq!(world.mailer.sent().len(), 1, "the address needs no other mail");

    // As long as the address is theirs to which it went: else it is as if there never was anybody.
    let nobody = confirm(&world, &signed(&world, Uuid::now_v7(), now() + 60)).await;
    assert_eq!(told(&nobody), (400, "invalid-verification-token"));
    assert_eq!(change_email(&world, &ann, "ann@example.com").await.status, 200);
    let changed = confirm(&world, &token).await;
    assert_eq!((changed.status, &changed.body), (nobody.status, &nobody.body));
    must_tell_of_no_user(&changed);
    world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    let erased = confirm(&world, &token).await;
    assert_eq!((erased.status, &erased.body), (nobody.status, &nobody.body));
    must_tell_of_no_user(&erased);
}

#[tokio::test]
async fn a_used_link_tells_nothing_of_whoever_was_erased_with_the_address_that_it_went_to() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 1).await;
    let token = last_token(&world, "ann@example.org");
    let ann = confirm(&world, &token).await;
    let ann = Person::new(ann.body["id"].as_str().unwrap());
    world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    let erased = confirm(&world, &token).await;
    assert_eq!(told(&erased), (400, "invalid-verification-token"));
    must_tell_of_no_user(&erased);
}

#[tokio::test]
async fn whoever_presses_the_button_is_shown_that_they_have_an_account() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 1).await;
    let pressed = press(&world, &last_token(&world, "ann@example.org")).await;
    assert!(matches!(page(&pressed), (201, text) if text.contains("You have an account")));
    assert_eq!(log_in(&world, "ann").await, 200);
}

#[tokio::test]
async fn whoever_does_not_know_the_password_is_no_user_by_the_mail_and_uses_nothing_up() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 1).await;
    let token = last_token(&world, "ann@example.org");
    for wrong in [ANOTHER, "", &"long ".repeat(1_000)] {
        must_be_wrong(&confirm_with(&world, &token, wrong).await);
    }
    world.failures.pass(HOUR);
    must_be_wrong(&confirming(&world, &token, ANOTHER).named("k1").send().await);
    let silent = world.call("POST", CONFIRM).saying(&json!({"token": token})).send().await;
    assert_eq!(told(&silent), (400, "invalid-request"));
    assert_eq!(silent.errors(), [("/password", "required")]);
    assert!(world.log.records().is_empty() && world.store.memory().claims().is_empty());
    assert_eq!(log_in(&world, "ann").await, 401);
    // Passwords are not compared under one name: it keeps no answer.
    assert_eq!(confirming(&world, &token, PASSWORD).named("k1").send().await.status, 201);
    assert_eq!(log_in(&world, "ann").await, 200);
}

#[tokio::test]
async fn whoever_guesses_the_password_of_a_registration_has_to_wait_and_keeps_nobody_else_waiting()
{
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "one@example.org").await;
    registers(&world, "ann", "two@example.org").await;
    settled(&world, 2).await;
    let token = last_token(&world, "one@example.org");
    for n in 1..=3 {
        let guess = confirming(&world, &token, ANOTHER).from(&format!("198.51.100.{n}"));
        must_be_wrong(&guess.send().await);
    }
    assert_eq!(world.failures.counted(), 3);
    // Wherever they are, and whether it is right or not.
    for password in [ANOTHER, PASSWORD] {
        let refused = confirming(&world, &token, password).from("198.51.100.4").send().await;
        assert_eq!(told(&refused), (429, "too-many-attempts"));
        assert_eq!(refused.header("retry-after"), "1");
    }
    let pressed = press(&world, &token).await;
    assert_eq!(page(&pressed).0, 429);
    assert_eq!(world.failures.counted(), 3, "who has to wait is not counted");
    // Neither another registration under the name, nor whoever has the name.
    let other = last_token(&world, "two@example.org");
    assert_eq!(confirm(&world, &other).await.status, 201);
    assert_eq!(log_in(&world, "ann").await, 200);
    world.failures.pass(Duration::from_secs(1));
    assert_eq!(told(&confirm(&world, &token).await), (409, "already-taken"));
    world.failures.is_away(true);
    assert_eq!(told(&confirm(&world, &token).await), (503, "database-unavailable"));
}

#[tokio::test]
async fn whoever_registers_with_somebodys_address_is_not_who_they_become_and_keeps_nobody_out() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 1).await;
    let own = last_token(&world, "ann@example.org");
    let mut body = wanted("eve", "ann@example.org");
    body["password"] = ANOTHER.into();
    assert_eq!(world.call("POST", REGISTER).saying(&body).send().await.status, 202);
    settled(&world, 2).await;
    let of_eve = last_token(&world, "ann@example.org");
    must_be_wrong(&confirm(&world, &of_eve).await);
    assert!(world.log.records().is_empty() && world.store.memory().claims().is_empty());
    let confirmed = confirm(&world, &own).await;
    assert_eq!((confirmed.status.as_u16(), &confirmed.body["username"]), (201, &json!("ann")));
    // Nobody else waits for the address any more.
    let refused = confirm_with(&world, &of_eve, ANOTHER).await;
    assert_eq!(told(&refused), (400, "invalid-verification-token"));
    assert!(refused.body["detail"].as_str().unwrap().contains("register again"), "{refused:?}");
}

#[tokio::test]
async fn a_mail_that_has_to_wait_for_the_one_before_leaves_later_with_a_link_of_its_own() {
    let world = world().await;
    world.starts_to_send_a_mail_every(Duration::from_secs(1));
    registers(&world, "eve", "ann@example.org").await;
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 2).await;
    assert_eq!(world.store.settled(), [Ok("sent"), Ok("sent")]);
    assert!(!world.store.put_off().is_empty(), "the second one has waited");
    let tokens = tokens_to(&world, "ann@example.org");
    let [of_eve, of_ann] = &tokens[..] else { panic!("{tokens:?}") };
    assert_ne!(of_eve, of_ann);
    let confirmed = confirm(&world, of_ann).await;
    assert_eq!((confirmed.status.as_u16(), &confirmed.body["username"]), (201, &json!("ann")));
    assert_eq!(told(&confirm(&world, of_eve).await), (400, "invalid-verification-token"));
}

#[tokio::test]
async fn whoever_enters_another_password_on_the_page_is_told_so_by_a_page() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 1).await;
    let token = last_token(&world, "ann@example.org");
    for (form, reason) in [
        (format!("token={token}&password=battery+staple"), "/password is not the password"),
        (format!("token={token}"), "/password is required"),
    ] {
        let refused = send_form(&world, form).await;
        let (status, text) = page(&refused);
        assert!(status == 400 && text.contains("No account was made just now"), "{text}");
        assert!(text.contains(reason) && !text.contains(ANOTHER), "{text}");
    }
    assert!(world.log.records().is_empty());
    assert_eq!(page(&press(&world, &token).await).0, 201);
    // Of a used link the page tells what there is, whoever enters what.
    let pressed = press_with(&world, &token, ANOTHER).await;
    assert!(matches!(page(&pressed), (200, text) if text.contains("You have an account")));
}

#[tokio::test]
async fn of_two_who_follow_one_mail_at_once_both_are_told_that_there_is_a_user() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 1).await;
    let body = json!({"token": last_token(&world, "ann@example.org"), "password": PASSWORD});
    world.store.next_appends_meet(2);
    let one = world.call("POST", CONFIRM).saying(&body).send();
    let other = world.call_other("POST", CONFIRM).saying(&body).send();
    let (one, other) = tokio::join!(one, other);
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 204], "{one:?} {other:?}");
    must_tell_of_no_user(if one.status == 204 { &one } else { &other });
    assert_eq!(world.log.records().len(), 2, "one has registered");
}

#[tokio::test]
async fn of_a_name_that_is_taken_meanwhile_whoever_follows_the_mail_is_told() {
    let world = world().await;
    world.starts_to_send_mails();
    registers(&world, "ann", "one@example.org").await;
    registers(&world, "ann", "two@example.org").await;
    settled(&world, 2).await;
    assert_eq!(confirm(&world, &last_token(&world, "one@example.org")).await.status, 201);
    let token = last_token(&world, "two@example.org");
    let refused = confirm(&world, &token).await;
    assert_eq!(told(&refused), (409, "already-taken"));
    assert_eq!(refused.errors(), [("/username", "unique")]);
    let pressed = press(&world, &token).await;
    assert!(matches!(page(&pressed), (409, text) if text.contains("/username is somebody else")));
    // By another name they may, and then nothing waits for the address.
    registers(&world, "anna", "Two@example.org").await;
    settled(&world, 3).await;
    assert_eq!(told(&confirm(&world, &token).await), (409, "already-taken"));
    assert_eq!(confirm(&world, &last_token(&world, "Two@example.org")).await.status, 201);
    assert_eq!(told(&confirm(&world, &token).await), (400, "invalid-verification-token"));
}

#[tokio::test]
async fn of_an_address_that_is_taken_meanwhile_whoever_follows_the_mail_is_told() {
    let world = world().await;
    let bob = registered(&world, "bob").await;
    registers(&world, "ann", "ann@example.org").await;
    world.starts_to_send_mails();
    settled(&world, 2).await;
    assert_eq!(change_email(&world, &bob, "ann@example.org").await.status, 200);
    let refused = confirm(&world, &last_token(&world, "ann@example.org")).await;
    assert_eq!(told(&refused), (409, "already-taken"));
    assert_eq!(refused.errors(), [("/email", "unique")]);
}

#[tokio::test]
async fn a_token_that_is_forged_or_of_what_waits_no_more_makes_nobody_a_user() {
    let world = world().await;
    let keep = async |waits_for: Duration| {
        let (id, sealed) = (Uuid::now_v7(), b"another secret has sealed it".to_vec());
        let email = id.as_bytes().repeat(2).try_into().unwrap();
        let mail = CONFIRM_REGISTRATION;
        let registration = NewRegistration { id, email, sealed, mail, waits_for };
        world.store.keep_registration(registration).await.unwrap();
        id
    };
    let (lapsed, unreadable) = (keep(Duration::ZERO).await, keep(HOUR).await);
    for token in [
        signed(&world, lapsed, now() + 60),
        signed(&world, unreadable, now() + 60),
        signed(&world, unreadable, now() - 1),
        signed(&world, Uuid::now_v7(), now() + 60),
        "bm9uZQ".to_owned(),
        String::new(),
    ] {
        let answer = confirm(&world, &token).await;
        assert_eq!(told(&answer), (400, "invalid-verification-token"), "{token}");
        assert_eq!(page(&press(&world, &token).await).0, 400, "{token}");
    }
    let looked = world.call("GET", CONFIRM).send().await;
    assert!(matches!(page(&looked), (400, text) if !text.contains("<form")));
    world.starts_to_send_mails();
    settled(&world, 2).await;
    assert_eq!(world.store.settled(), [Ok("not-needed"), Ok("unknown")]);
    assert!(world.log.records().is_empty());
}
