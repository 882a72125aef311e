//! Registrations that wait: any number of an address, each with a mail.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use event_store::beside::{Beside, SENT};
use event_store::claim::{Claim, ClaimKey, Digest};
use event_store::pending_registration::{NewRegistration, PendingRegistration};
use event_store::{Append, AppendError, Closed, EventStore};
use uuid::Uuid;

use super::{Home, InPostgres, of_every_store, open};
use crate::samples::{first, key, next, take};

of_every_store! {
    a_registration_waits_with_its_mail_until_somebody_has_become_a_user_by_it
    of_an_address_several_wait_until_somebody_has_become_a_user_by_one
    whose_the_address_is_now_is_found_beside_it
    what_was_asked_for_with_an_address_goes_with_whoever_is_erased
    of_whoever_is_erased_nothing_is_left_of_an_address_from_before
    mails_of_an_address_are_counted_together
    one_whose_time_is_over_is_forgotten
    also_a_store_that_was_not_compared_keeps_one
}

const MINUTE: Duration = Duration::from_secs(60);

const MAIL: &str = "confirm-registration";

fn email(address: &str) -> Digest {
    key().digest("email", address)
}

fn wanted(address: &str) -> NewRegistration {
    NewRegistration {
        id: Uuid::now_v7(),
        email: email(address),
        sealed: address.as_bytes().to_vec(),
        mail: MAIL,
        waits_for: MINUTE,
    }
}

/// Keeps a registration with this address; its id.
async fn kept(store: &impl EventStore, address: &str) -> Result<Uuid> {
    let registration = wanted(address);
    let id = registration.id;
    store.keep_registration(registration).await?;
    Ok(id)
}

async fn a_registration_waits_with_its_mail_until_somebody_has_become_a_user_by_it(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let id = kept(&store, "ann@x.org").await?;
    let another = kept(&store, "bob@x.org").await?;
    let expected = PendingRegistration { sealed: b"ann@x.org".to_vec(), holder: None };
    ensure!(store.pending_registration(id).await? == Some(expected));
    ensure!(store.pending_registration(Uuid::now_v7()).await?.is_none());
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 2 && due.iter().all(|mail| mail.kind == MAIL && mail.version == 0));
    ensure!(due.iter().any(|mail| mail.id == id), "{due:?}");
    ensure!(due[0].stream_id != due[1].stream_id, "{due:?}");
    let beside = vec![Beside::NoPendingRegistration { id }];
    store.append(Append { beside, ..first("user-a") }).await?;
    ensure!(store.pending_registration(id).await?.is_none());
    ensure!(store.pending_registration(another).await?.is_some());
    Ok(())
}

async fn of_an_address_several_wait_until_somebody_has_become_a_user_by_one(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let earlier = kept(&store, "ann@x.org").await?;
    let later = kept(&store, "ann@x.org").await?;
    let of_bob = kept(&store, "bob@x.org").await?;
    for id in [earlier, later] {
        ensure!(store.pending_registration(id).await?.is_some(), "{id}");
    }
    let due: Vec<_> = store.due_mails(10, Duration::ZERO).await?.iter().map(|it| it.id).collect();
    ensure!(due.len() == 3 && due.contains(&earlier) && due.contains(&later), "{due:?}");
    let beside = vec![Beside::NoPendingRegistration { id: earlier }];
    store.append(Append { beside, ..first("user-a") }).await?;
    for id in [earlier, later] {
        ensure!(store.pending_registration(id).await?.is_none(), "{id}");
    }
    ensure!(store.pending_registration(of_bob).await?.is_some());
    Ok(())
}

async fn whose_the_address_is_now_is_found_beside_it(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    for (stream, address, lapses) in
        [("user-a", "ann@x.org", None), ("user-b", "bob@x.org", Some(5))]
    {
        let claim = take("email", address, 1, lapses);
        store.append(Append { claims: vec![claim], ..first(stream) }).await?;
    }
    for (address, holder) in
        [("ann@x.org", Some("user-a")), ("bob@x.org", None), ("eve@x.org", None)]
    {
        let id = kept(&store, address).await?;
        let pending = store.pending_registration(id).await?.context("there is none")?;
        ensure!(pending.holder.as_deref() == holder, "{address}: {pending:?}");
    }
    Ok(())
}

async fn what_was_asked_for_with_an_address_goes_with_whoever_is_erased(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let claims = vec![take("email", "ann@x.org", 1, None), take("username", "ann", 1, None)];
    let ann = Append { claims, ..first("user-a") };
    store.append(ann.clone()).await?;
    let of_ann = kept(&store, "ann@x.org").await?;
    let of_bob = kept(&store, "bob@x.org").await?;
    let claims = ["username", "email"].map(|kind| Claim::Release { kind }).to_vec();
    store.append(Append { claims, ..next(&ann) }).await?;
    ensure!(store.pending_registration(of_ann).await?.is_none());
    ensure!(store.pending_registration(of_bob).await?.is_some());
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 1 && due[0].id == of_bob, "{due:?}");
    Ok(())
}

async fn of_whoever_is_erased_nothing_is_left_of_an_address_from_before(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    // She has another address by now, so that none of her claims leads to this one.
    let of_ann = kept(&store, "ann@x.org").await?;
    let of_bob = kept(&store, "bob@x.org").await?;
    let stream_id = format!("user-{of_ann}");
    let erasure = Beside::Erasure { subject: of_ann.to_string(), stream_id: stream_id.clone() };
    store.append(Append { beside: vec![erasure], ..first(&stream_id) }).await?;
    ensure!(store.pending_registration(of_ann).await?.is_none());
    ensure!(store.pending_registration(of_bob).await?.is_some());
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 1 && due[0].id == of_bob, "{due:?}");
    Ok(())
}

async fn mails_of_an_address_are_counted_together(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let earlier = kept(&store, "ann@x.org").await?;
    store.due_mails(10, Duration::ZERO).await?;
    store.settle_mail(earlier, Ok(SENT)).await?;
    let later = kept(&store, "ann@x.org").await?;
    let of_bob = kept(&store, "bob@x.org").await?;
    let due = store.due_mails(10, MINUTE).await?;
    ensure!(due.len() == 2, "{due:?}");
    for mail in &due {
        let beside = store.mails_beside(mail).await?;
        let count = u32::from(mail.id == later);
        ensure!(beside.sent_lately == count && !beside.has_newer, "{mail:?}: {beside:?}");
        ensure!(beside.last_sent.is_some() == (mail.id != of_bob), "{mail:?}: {beside:?}");
    }
    Ok(())
}

async fn one_whose_time_is_over_is_forgotten(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let lapsed = NewRegistration { waits_for: Duration::ZERO, ..wanted("ann@x.org") };
    let id = lapsed.id;
    store.keep_registration(lapsed).await?;
    let waits = kept(&store, "bob@x.org").await?;
    ensure!(store.pending_registration(id).await?.is_none());
    ensure!(store.forget(MINUTE).await? == 1);
    ensure!(store.forget(MINUTE).await? == 0);
    ensure!(store.pending_registration(waits).await?.is_some());
    Ok(())
}

async fn also_a_store_that_was_not_compared_keeps_one(home: &impl Home) -> Result<()> {
    let store = home.store();
    let id = kept(&store, "ann@x.org").await?;
    ensure!(store.pending_registration(id).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn under_another_key_than_that_of_claims_nothing_is_kept() -> Result<()> {
    let home = InPostgres::new("under_another_key_than_that_of_claims_nothing_is_kept").await?;
    let store = open(&home).await?;
    let another = home.store_under(&ClaimKey::derive(b"another secret"))?;
    let registration = wanted("ann@x.org");
    let id = registration.id;
    let refused = another.keep_registration(registration.clone()).await;
    ensure!(matches!(refused, Err(AppendError::Closed(Closed::OtherKey))), "{refused:?}");
    ensure!(store.pending_registration(id).await?.is_none());
    ensure!(store.due_mails(10, MINUTE).await?.is_empty());
    store.keep_registration(registration).await?;
    ensure!(store.pending_registration(id).await?.is_some());
    Ok(())
}
