//! Mails that tell somebody what was done to their account.

use std::time::Duration;

use serde_json::json;

use super::{PASSWORD, change_email, post, sent, settled, signed};
use crate::decision_world::{Person, World, admin};
use crate::second_factors::{self, enrol, remove};
use crate::world::now;

const ANOTHER: &str = "battery staple";

/// Somebody who has shown that their address is theirs, of which nobody was told anything yet.
async fn verified(world: &World, name: &str) -> Person {
    let person = world.registered(name).await;
    assert_eq!(post(world, &signed(world, &person, 1, now() + 60)).await.status, 204);
    person
}

async fn change_password(world: &World, person: &Person) {
    let body = json!({"current_password": PASSWORD, "new_password": ANOTHER});
    let call = world.call("PUT", &person.path("/password")).by(&person.claims());
    assert_eq!(call.saying(&body).send().await.status, 204);
}

/// Whom which mails were sent to, in some order.
fn told(world: &World) -> Vec<(String, String)> {
    let mails = world.mailer.sent().into_iter();
    let mut told: Vec<_> = mails.map(|mail| (mail.to, mail.subject)).collect();
    told.sort_unstable();
    told
}

fn mail(to: &str, subject: &str) -> (String, String) {
    (to.to_owned(), subject.to_owned())
}

#[tokio::test]
async fn whoever_has_another_password_is_told_so() {
    let world = World::new().await;
    let ann = verified(&world, "ann").await;
    change_password(&world, &ann).await;
    world.starts_to_send_mails();
    sent(&world, 1).await;
    assert_eq!(told(&world), [mail("ann@example.org", "Your password was changed")]);
    assert!(world.store.settled().contains(&Ok("notified")));
}

#[tokio::test]
async fn of_another_address_the_one_before_is_told_and_neither_mail_waits_for_the_other() {
    let world = World::new().await;
    let ann = verified(&world, "ann").await;
    assert_eq!(change_email(&world, &ann, "ann@example.com").await.status, 200);
    let bob = verified(&world, "bob").await;
    let call = world.call("PUT", &bob.path("/email")).by(&admin());
    assert_eq!(call.saying(&json!({"email": "bob@example.com"})).send().await.status, 200);
    world.starts_to_send_a_mail_every(Duration::from_secs(3_600));
    sent(&world, 4).await;
    let (changed, confirm) = ("Your e-mail address was changed", "Confirm your e-mail address");
    let expected = [
        mail("ann@example.com", confirm),
        mail("ann@example.org", changed),
        mail("bob@example.com", confirm),
        mail("bob@example.org", changed),
    ];
    assert_eq!(told(&world), expected);
}

#[tokio::test]
async fn whoever_gets_or_loses_a_second_factor_is_told_so_whoever_has_decided_it() {
    let world = second_factors::world().await;
    let (ann, bob) = (verified(&world, "ann").await, verified(&world, "bob").await);
    let of_ann = enrol(&world, &ann).await;
    enrol(&world, &bob).await;
    let mails = world.store.memory().mails();
    let body = json!({"code": of_ann.recovery_codes[0]});
    // The second time there is nothing to tell.
    for _ in 0..2 {
        assert_eq!(remove(&world, &ann, &body).send().await.status, 204);
    }
    let by_admin = world.call("DELETE", &bob.path("/second-factor")).by(&admin());
    assert_eq!(by_admin.send().await.status, 204);
    assert_eq!(world.store.memory().mails(), mails + 2);
    world.starts_to_send_mails();
    sent(&world, 4).await;
    let (has_one, has_none) =
        ("Your account has a second factor", "Your second factor was removed");
    let expected = [
        mail("ann@example.org", has_one),
        mail("ann@example.org", has_none),
        mail("bob@example.org", has_one),
        mail("bob@example.org", has_none),
    ];
    assert_eq!(told(&world), expected);
}

#[tokio::test]
async fn whoever_takes_an_account_over_does_not_get_the_mail_that_says_so() {
    let world = World::new().await;
    let ann = verified(&world, "ann").await;
    change_password(&world, &ann).await;
    let call = world.call("PUT", &ann.path("/email")).by(&ann.claims());
    let body = json!({"email": "eve@example.com", "current_password": ANOTHER});
    assert_eq!(call.saying(&body).send().await.status, 200);
    world.starts_to_send_mails();
    sent(&world, 3).await;
    let expected = [
        mail("ann@example.org", "Your e-mail address was changed"),
        mail("ann@example.org", "Your password was changed"),
        mail("eve@example.com", "Confirm your e-mail address"),
    ];
    assert_eq!(told(&world), expected);
}

#[tokio::test]
async fn an_address_that_nobody_has_shown_to_be_theirs_is_told_nothing() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    change_password(&world, &ann).await;
    let call = world.call("PUT", &ann.path("/email")).by(&ann.claims());
    let body = json!({"email": "ann@example.com", "current_password": ANOTHER});
    assert_eq!(call.saying(&body).send().await.status, 200);
    world.starts_to_send_mails();
    settled(&world, 2).await;
    assert_eq!(told(&world), [mail("ann@example.com", "Confirm your e-mail address")]);
}

#[tokio::test]
async fn nobody_is_told_anything_who_was_erased() {
    let world = World::new().await;
    let ann = verified(&world, "ann").await;
    change_password(&world, &ann).await;
    assert_eq!(world.call("DELETE", &ann.path("")).by(&admin()).send().await.status, 204);
    world.registered("bob").await;
    world.starts_to_send_mails();
    sent(&world, 1).await;
    assert_eq!(told(&world), [mail("bob@example.org", "Confirm your e-mail address")]);
}
