//! Which mails are sent, and what becomes of those that are not.

use std::time::Duration;

use command_api::mail::{MailError, MailFault};
use tokio::task::AbortHandle;

use super::{change_email, post, put_off, sent, settled, signed, token_to};
use crate::decision_world::{Person, Setup, World, admin};
use crate::world::{Answer, now};

/// Asks for the mail once more.
async fn ask(world: &World, person: &Person) -> Answer {
    let path = person.path("/email-verification");
    world.call("POST", &path).by(&person.claims()).send().await
}

#[tokio::test]
async fn a_mail_may_be_asked_for_again_until_the_address_is_verified() {
    let world = World::new().await;
    world.starts_to_send_mails();
    let ann = world.registered("ann").await;
    sent(&world, 1).await;
    let answer = ask(&world, &ann).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"3\""));
    sent(&world, 2).await;
    let ids: Vec<_> = world.mailer.sent().iter().map(|mail| mail.id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(post(&world, &token_to(&world, "ann@example.org")).await.status, 204);
    let answer = ask(&world, &ann).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "state-conflict"));
}

#[tokio::test]
async fn no_more_than_one_mail_to_somebody_is_sent_in_a_time_however_many_processes_send() {
    let world = World::new().await;
    let hour = Duration::from_secs(3_600);
    let mailings = [(); 2].map(|()| world.starts_to_send_a_mail_every(hour));
    let ann = world.registered("ann").await;
    settled(&world, 1).await;
    for n in 0..5 {
        assert_eq!(ask(&world, &ann).await.status, 200);
        put_off(&world, n + 1).await;
    }
    // Nor does a process that starts later send another one.
    mailings.iter().for_each(AbortHandle::abort);
    world.starts_to_send_a_mail_every(hour);
    assert_eq!(change_email(&world, &ann, "victim@example.com").await.status, 200);
    world.registered("bob").await;
    put_off(&world, 6).await;
    settled(&world, 2).await;
    let to: Vec<_> = world.mailer.tried().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["ann@example.org", "bob@example.org"]);
    let minute = Duration::from_secs(60);
    assert!(world.store.put_off().iter().all(|wait| *wait <= hour && *wait > hour - minute));
}

#[tokio::test]
async fn a_mail_that_waited_while_a_later_one_was_sent_is_not_needed() {
    let world = World::new().await;
    world.starts_to_send_mails();
    world.mailer.fails([MailError::Temporary(MailFault::NoAnswer)]);
    let ann = world.registered("ann").await;
    settled(&world, 1).await;
    assert_eq!(ask(&world, &ann).await.status, 200);
    settled(&world, 3).await;
    let later = Err(Duration::from_secs(2));
    assert_eq!(world.store.settled(), [later, Ok("sent"), Ok("not-needed")]);
    assert_eq!(world.mailer.sent().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_somebody_elses_now() {
    let world = World::of(Setup { claim_term: Duration::ZERO, ..Setup::default() }).await;
    let (ann, eve) = (world.registered("ann").await, world.registered("eve").await);
    assert_eq!(change_email(&world, &eve, "ann@example.org").await.status, 200);
    assert_eq!(ask(&world, &ann).await.status, 200);
    world.starts_to_send_mails();
    settled(&world, 4).await;
    // The third one is hers whose it is now; the others go nowhere.
    let not_needed = Ok("not-needed");
    assert_eq!(world.store.settled(), [not_needed, not_needed, Ok("sent"), not_needed]);
    let to: Vec<_> = world.mailer.tried().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["ann@example.org"]);
}

#[tokio::test]
async fn a_mail_is_sent_once_though_the_store_is_away_for_a_moment_after_it() {
    let world = World::new().await;
    world.store.settles_no_mail(2);
    world.starts_to_send_mails();
    world.registered("ann").await;
    settled(&world, 1).await;
    assert_eq!((world.store.settled(), world.mailer.tried().len()), (vec![Ok("sent")], 1));
}

#[tokio::test]
async fn nothing_is_sent_to_whoever_is_erased() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    change_email(&world, &ann, "ann@example.com").await;
    world.call("DELETE", &ann.path("")).by(&admin()).send().await;
    let bob = world.registered("bob").await;
    world.starts_to_send_mails();
    sent(&world, 1).await;
    token_to(&world, "bob@example.org");
    settled(&world, 1).await;
    assert_eq!(world.mailer.tried().len(), 1);
    drop(bob);
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_verified() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    assert_eq!(post(&world, &signed(&world, &ann, 1, now() + 60)).await.status, 204);
    world.starts_to_send_mails();
    settled(&world, 1).await;
    assert_eq!(world.store.settled(), [Ok("not-needed")]);
    assert!(world.mailer.tried().is_empty());
}

#[tokio::test]
async fn a_mail_goes_to_the_address_of_the_time_when_it_is_sent() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    change_email(&world, &ann, "ann@example.com").await;
    world.starts_to_send_mails();
    settled(&world, 2).await;
    token_to(&world, "ann@example.com");
    assert_eq!(world.store.settled(), [Ok("not-needed"), Ok("sent")], "one is enough");
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_now_is_tried_again_and_one_that_never_can_is_not() {
    let world = World::new().await;
    world.mailer.fails([
        MailError::Permanent(MailFault::Recipient),
        MailError::Temporary(MailFault::NoAnswer),
    ]);
    world.registered("ann").await;
    world.registered("bob").await;
    let mailing = world.starts_to_send_mails();
    settled(&world, 2).await;
    let later = Err(Duration::from_secs(2));
    assert_eq!(world.store.settled(), [Ok("refused"), later]);
    // Whoever starts later takes it over where it was left.
    mailing.abort();
    world.starts_to_send_mails();
    sent(&world, 1).await;
    token_to(&world, "bob@example.org");
    settled(&world, 3).await;
    assert_eq!(world.store.settled(), [Ok("refused"), later, Ok("sent")]);
    let tried = world.mailer.tried();
    assert_eq!(tried.iter().filter(|mail| mail.to == "ann@example.org").count(), 1);
    assert_eq!((tried.len(), tried[1].id), (3, tried[2].id), "under one identity");
}

#[tokio::test]
async fn a_decision_that_changes_nothing_sends_nothing() {
    let world = World::new().await;
    world.starts_to_send_mails();
    let ann = world.registered("ann").await;
    sent(&world, 1).await;
    assert_eq!(change_email(&world, &ann, "ann@example.org").await.status, 200);
    world.registered("bob").await;
    settled(&world, 2).await;
    token_to(&world, "bob@example.org");
}
