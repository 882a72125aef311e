//! What is written beside the events of a decision.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use event_store::beside::{Beside, MailsBeside, SENT};
use event_store::claim::Claim;
use event_store::{Append, EventStore as _};
use uuid::Uuid;

use super::{Home, of_every_store, open};
use crate::samples::{first, next, request, take};

of_every_store! {
    erasing_destroys_the_key_and_what_repeats_the_person
    a_mail_is_due_until_it_is_settled_and_belongs_to_one_at_a_time
    a_mail_that_was_put_off_was_not_tried
    of_a_stream_one_mail_is_under_way
    beside_a_mail_there_are_newer_ones_and_those_that_were_sent
    whoever_has_an_address_has_it_until_another_stream_takes_it
}

const MINUTE: Duration = Duration::from_secs(60);

fn registered(stream: &str, subject: &str, mail: Uuid) -> Append {
    let subject = subject.to_owned();
    Append {
        beside: vec![
            Beside::SubjectKey { subject: subject.clone(), key: [7; 32] },
            Beside::PasswordHash { subject: subject.clone(), hash: "$argon2id$".to_owned() },
            Beside::Mail { id: mail, kind: "verify-email" },
        ],
        request: Some(request(stream, Some(&subject))),
        ..first(stream)
    }
}

async fn erasing_destroys_the_key_and_what_repeats_the_person(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let append = registered("user-a", "a", Uuid::now_v7());
    store.append(append.clone()).await?;
    store.append(registered("user-b", "b", Uuid::now_v7())).await?;
    ensure!(store.subject_key("a").await? == Some(Some([7; 32])));
    ensure!(store.subject_key("nobody").await?.is_none());
    let stream = store.load("user-a", Some("a")).await?.stream.context("there is none")?;
    ensure!(stream.subject_key == Some([7; 32]), "{stream:?}");
    let erasure = Beside::Erasure { subject: "a".to_owned(), stream_id: "user-a".to_owned() };
    store.append(Append { beside: vec![erasure], ..next(&append) }).await?;
    ensure!(store.subject_key("a").await? == Some(None));
    ensure!(store.subject_key("b").await? == Some(Some([7; 32])));
    let answered = store.answered(&request("user-a", None).key).await?.context("there is none")?;
    ensure!(answered.answer.is_none() && answered.body_hash.is_none(), "{answered:?}");
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 1 && due[0].stream_id == "user-b", "{due:?}");
    Ok(())
}

async fn a_mail_is_due_until_it_is_settled_and_belongs_to_one_at_a_time(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let id = Uuid::now_v7();
    store.append(registered("user-a", "a", id)).await?;
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 1 && due[0].id == id && due[0].version == 1, "{due:?}");
    ensure!(due[0].attempts == 1 && due[0].kind == "verify-email", "{due:?}");
    ensure!(store.due_mails(10, MINUTE).await?.is_empty());
    store.settle_mail(id, Err(Duration::ZERO)).await?;
    let again = store.due_mails(10, MINUTE).await?;
    ensure!(again.len() == 1 && again[0].attempts == 2, "{again:?}");
    store.settle_mail(id, Ok("sent")).await?;
    ensure!(store.due_mails(10, Duration::ZERO).await?.is_empty());
    Ok(())
}

async fn a_mail_that_was_put_off_was_not_tried(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let id = Uuid::now_v7();
    store.append(registered("user-a", "a", id)).await?;
    for _ in 0..3 {
        let due = store.due_mails(10, MINUTE).await?;
        ensure!(due.len() == 1 && due[0].attempts == 1, "{due:?}");
        store.put_off_mail(id, Duration::ZERO).await?;
    }
    store.due_mails(10, MINUTE).await?;
    store.put_off_mail(id, MINUTE).await?;
    ensure!(store.due_mails(10, MINUTE).await?.is_empty());
    Ok(())
}

/// Asks for a mail once more.
fn asked_again(append: &Append, mail: Uuid) -> Append {
    Append { beside: vec![Beside::Mail { id: mail, kind: "verify-email" }], ..next(append) }
}

async fn of_a_stream_one_mail_is_under_way(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let [older, newer] = [(); 2].map(|()| Uuid::now_v7());
    let append = registered("user-a", "a", older);
    store.append(append.clone()).await?;
    ensure!(store.due_mails(10, MINUTE).await?.len() == 1);
    store.append(asked_again(&append, newer)).await?;
    store.append(registered("user-b", "b", Uuid::now_v7())).await?;
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 1 && due[0].stream_id == "user-b", "{due:?}");
    // One that waits to be tried again is not under way, and neither is one whose lease is over.
    store.settle_mail(older, Err(MINUTE)).await?;
    let due = store.due_mails(10, Duration::ZERO).await?;
    ensure!(due.len() == 1 && due[0].id == newer, "{due:?}");
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 1 && due[0].id == newer, "{due:?}");
    Ok(())
}

async fn beside_a_mail_there_are_newer_ones_and_those_that_were_sent(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let [older, newer] = [(); 2].map(|()| Uuid::now_v7());
    let append = registered("user-a", "a", older);
    store.append(append.clone()).await?;
    store.append(registered("user-b", "b", Uuid::now_v7())).await?;
    let due = store.due_mails(10, MINUTE).await?;
    let of = |stream| due.iter().find(move |mail| mail.stream_id == stream).context("not due");
    let (of_a, of_b) = (of("user-a")?, of("user-b")?);
    let nothing = MailsBeside { has_newer: false, last_sent: None, holds_claim: false };
    ensure!(store.mails_beside(of_a).await? == nothing);
    store.append(asked_again(&append, newer)).await?;
    ensure!(store.mails_beside(of_a).await? == MailsBeside { has_newer: true, ..nothing });
    store.settle_mail(newer, Ok("refused")).await?;
    ensure!(store.mails_beside(of_a).await? == MailsBeside { has_newer: true, ..nothing });
    store.settle_mail(newer, Ok(SENT)).await?;
    let beside = store.mails_beside(of_a).await?;
    ensure!(beside.has_newer && beside.last_sent.is_some_and(|ago| ago < MINUTE), "{beside:?}");
    let first = beside.last_sent;
    tokio::time::sleep(Duration::from_millis(5)).await;
    ensure!(store.mails_beside(of_a).await?.last_sent > first, "it is longer ago");
    ensure!(store.mails_beside(of_b).await? == nothing, "that is another one's");
    Ok(())
}

async fn whoever_has_an_address_has_it_until_another_stream_takes_it(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let claiming = |claim: Claim, append| Append { claims: vec![claim], ..append };
    let a = registered("user-a", "a", Uuid::now_v7());
    store.append(claiming(take("email", "ann@x.org", 1, Some(5)), a)).await?;
    let b = registered("user-b", "b", Uuid::now_v7());
    store.append(claiming(take("username", "bob", 1, None), b)).await?;
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 2, "{due:?}");
    for mail in &due {
        let beside = store.mails_beside(mail).await?;
        ensure!(beside.holds_claim == (mail.stream_id == "user-a"), "{mail:?}: {beside:?}");
    }
    store.append(claiming(take("email", "ann@x.org", 9, None), first("user-c"))).await?;
    for mail in &due {
        ensure!(!store.mails_beside(mail).await?.holds_claim, "{mail:?}");
    }
    Ok(())
}
