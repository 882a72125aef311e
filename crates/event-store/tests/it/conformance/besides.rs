//! What is written beside the events of a decision.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use event_store::beside::{Beside, DueMail, MailsBeside, SENT};
use event_store::claim::{Claim, ClaimOf};
use event_store::{Append, EventStore as _};
use uuid::Uuid;

use super::{Home, of_every_store, open};
use crate::samples::{NOBODY, first, key, next, request, take};

of_every_store! {
    erasing_destroys_the_key_and_what_repeats_the_person
    a_mail_is_due_until_it_is_settled_and_belongs_to_one_at_a_time
    a_mail_that_was_put_off_was_not_tried
    of_a_stream_one_mail_is_under_way
    beside_a_mail_there_are_newer_ones_and_those_that_were_sent
    whoever_has_an_address_has_it_until_another_stream_takes_it
    a_mail_without_an_event_is_for_whoever_has_a_value_and_else_for_nobody
    of_mails_at_one_version_the_later_one_is_newer
    while_a_mail_waits_another_one_of_the_kind_is_for_nobody
    a_value_that_has_lapsed_is_nobodys
    mails_of_a_kind_that_nobody_needs_any_more_are_settled
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
    let nothing =
        MailsBeside { has_newer: false, last_sent: None, sent_lately: 0, holds_claim: false };
    ensure!(store.mails_beside(of_a).await? == nothing);
    store.append(asked_again(&append, newer)).await?;
    ensure!(store.mails_beside(of_a).await? == MailsBeside { has_newer: true, ..nothing });
    store.settle_mail(newer, Ok("refused")).await?;
    ensure!(store.mails_beside(of_a).await? == MailsBeside { has_newer: true, ..nothing });
    store.settle_mail(newer, Ok(SENT)).await?;
    let beside = store.mails_beside(of_a).await?;
    ensure!(beside.has_newer && beside.last_sent.is_some_and(|ago| ago < MINUTE), "{beside:?}");
    ensure!(beside.sent_lately == 1, "{beside:?}");
    let of_another_kind = DueMail { kind: "another".to_owned(), ..of_a.clone() };
    ensure!(store.mails_beside(&of_another_kind).await? == nothing, "that is of another kind");
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

const RESET: &str = "reset-password";

fn email(address: &str) -> ClaimOf {
    ClaimOf { kind: "email", digest: key().digest("email", address) }
}

async fn a_mail_without_an_event_is_for_whoever_has_a_value_and_else_for_nobody(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let claim = take("email", "ann@x.org", 1, None);
    store.append(Append { claims: vec![claim], ..first("user-a") }).await?;
    let [for_ann, for_nobody] = [(); 2].map(|()| Uuid::now_v7());
    let anns = email("ann@x.org");
    for (mail, value) in [(for_ann, anns), (for_nobody, email("bob@x.org"))] {
        store.keep_mail_for_holder(mail, RESET, value, MINUTE).await?;
    }
    // A value of another kind is another value.
    let of_another_kind = ClaimOf { kind: "username", ..anns };
    store.keep_mail_for_holder(Uuid::now_v7(), RESET, of_another_kind, MINUTE).await?;
    let due = store.due_mails(10, MINUTE).await?;
    let [mail] = &due[..] else { anyhow::bail!("{due:?}") };
    ensure!((mail.id, mail.kind.as_str()) == (for_ann, RESET), "{mail:?}");
    ensure!((mail.stream_id.as_str(), mail.version) == ("user-a", 1), "{mail:?}");
    let beside = store.mails_beside(mail).await?;
    ensure!(beside.holds_claim && beside.sent_lately == 0, "{beside:?}");
    store.settle_mail(for_ann, Ok(SENT)).await?;
    let due = store.due_mails(10, Duration::ZERO).await?;
    ensure!(due.is_empty(), "what is for nobody is never due: {due:?}");
    Ok(())
}

async fn of_mails_at_one_version_the_later_one_is_newer(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let claim = take("email", "ann@x.org", 1, None);
    store.append(Append { claims: vec![claim], ..first("user-a") }).await?;
    // By their ids, each was asked for in another millisecond.
    let [older, newer, of_another_kind] = [3, 2, 1].map(|ago| id_of(Duration::from_secs(ago)));
    for (mail, kind) in [(older, RESET), (newer, RESET), (of_another_kind, "verify-email")] {
        // Good for no time: none is in the way of another.
        store.keep_mail_for_holder(mail, kind, email("ann@x.org"), Duration::ZERO).await?;
    }
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 3, "{due:?}");
    for mail in &due {
        let has_newer = store.mails_beside(mail).await?.has_newer;
        ensure!(has_newer == (mail.id == older), "{mail:?}");
    }
    Ok(())
}

/// An id that a mail had which was asked for so long ago.
fn id_of(ago: Duration) -> Uuid {
    let (seconds, _) = Uuid::now_v7().get_timestamp().map(|at| at.to_unix()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis((seconds - ago.as_secs()) * 1_000, &[7; 10])
        .into_uuid()
}

async fn while_a_mail_waits_another_one_of_the_kind_is_for_nobody(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let claim = take("email", "ann@x.org", 1, None);
    store.append(Append { claims: vec![claim], ..first("user-a") }).await?;
    let ask = async |id: Uuid, kind| {
        store.keep_mail_for_holder(id, kind, email("ann@x.org"), MINUTE).await?;
        anyhow::Ok(id)
    };
    let due = async || {
        let due = store.due_mails(10, Duration::ZERO).await?;
        anyhow::Ok(due.into_iter().map(|mail| mail.id).collect::<BTreeSet<_>>())
    };
    // One that waits for too long is in nobody's way.
    let long_ago = ask(id_of(2 * MINUTE), RESET).await?;
    let first = ask(Uuid::now_v7(), RESET).await?;
    ask(Uuid::now_v7(), RESET).await?;
    let of_another_kind = ask(Uuid::now_v7(), "verify-email").await?;
    ensure!(due().await? == BTreeSet::from([long_ago, first, of_another_kind]));
    // While it is about to be sent, one more may wait, and so it may once that was done.
    let second = ask(Uuid::now_v7(), RESET).await?;
    ask(Uuid::now_v7(), RESET).await?;
    ensure!(due().await?.contains(&second));
    for sent in [long_ago, first, second, of_another_kind] {
        store.settle_mail(sent, Ok(SENT)).await?;
    }
    let third = ask(Uuid::now_v7(), RESET).await?;
    ensure!(due().await? == BTreeSet::from([third]));
    Ok(())
}

async fn a_value_that_has_lapsed_is_nobodys(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let claim = take("email", "ann@x.org", 1, Some(5));
    store.append(Append { claims: vec![claim], ..first("user-a") }).await?;
    let value = email("ann@x.org");
    store.keep_mail_for_holder(Uuid::now_v7(), RESET, value, MINUTE).await?;
    ensure!(store.due_mails(10, MINUTE).await?.is_empty());
    ensure!(store.account(&value, NOBODY).await?.holder.as_deref() == Some("user-a"));
    Ok(())
}

async fn mails_of_a_kind_that_nobody_needs_any_more_are_settled(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let mut streams = Vec::new();
    for (stream, subject, address) in [("user-a", "a", "ann@x.org"), ("user-b", "b", "bob@x.org")] {
        let claim = take("email", address, 1, None);
        let append = registered(stream, subject, Uuid::now_v7());
        let append = Append { claims: vec![claim], ..append };
        store.append(append.clone()).await?;
        store.keep_mail_for_holder(Uuid::now_v7(), RESET, email(address), MINUTE).await?;
        streams.push(append);
    }
    let hash = Beside::PasswordHash { subject: "a".to_owned(), hash: "$argon2id$2".to_owned() };
    let not_needed = Beside::MailsNotNeeded { kind: RESET };
    let notice = Beside::Mail { id: Uuid::now_v7(), kind: "password-changed" };
    let beside = vec![hash, not_needed, notice];
    store.append(Append { beside, ..next(&streams[0]) }).await?;
    let due = store.due_mails(10, MINUTE).await?;
    let mut due: Vec<_> = due.iter().map(|mail| (&*mail.stream_id, &*mail.kind)).collect();
    due.sort_unstable();
    let expected = [
        ("user-a", "password-changed"),
        ("user-a", "verify-email"),
        ("user-b", RESET),
        ("user-b", "verify-email"),
    ];
    ensure!(due == expected, "{due:?}");
    Ok(())
}
