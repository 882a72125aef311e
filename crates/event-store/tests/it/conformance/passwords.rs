//! Password hashes, where no decision is made.

use anyhow::{Result, ensure};
use domain::Timestamp;
use event_store::beside::Beside;
use event_store::{Append, EventStore};
use futures_util::future::try_join_all;

use super::{Home, of_every_store, open};
use crate::samples::{first, next};

of_every_store! {
    a_hash_is_there_until_another_takes_its_place_or_the_person_is_erased
    a_hash_is_replaced_only_while_it_is_the_person_s
    of_many_who_replace_one_hash_one_does
    a_hash_that_is_older_than_a_change_goes_and_a_newer_one_stays
}

fn subject() -> String {
    "a".to_owned()
}

/// A person with the hash of a password.
fn registered(hash: &str) -> Append {
    let key = Beside::SubjectKey { subject: subject(), key: [7; 32] };
    let hash = Beside::PasswordHash { subject: subject(), hash: hash.to_owned() };
    Append { beside: vec![key, hash], ..first("user-a") }
}

fn erased(append: &Append) -> Append {
    let erasure = Beside::Erasure { subject: subject(), stream_id: "user-a".to_owned() };
    Append { beside: vec![erasure], ..next(append) }
}

async fn must_be(store: &impl EventStore, hash: Option<&str>) -> Result<()> {
    let is = store.password_hash("a").await?;
    ensure!(is.as_deref() == hash, "{is:?} is not {hash:?}");
    Ok(())
}

async fn a_hash_is_there_until_another_takes_its_place_or_the_person_is_erased(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    must_be(&store, None).await?;
    let one = registered("one");
    store.append(one.clone()).await?;
    must_be(&store, Some("one")).await?;
    let hash = Beside::PasswordHash { subject: subject(), hash: "two".to_owned() };
    let two = Append { beside: vec![hash], ..next(&one) };
    store.append(two.clone()).await?;
    must_be(&store, Some("two")).await?;
    store.append(erased(&two)).await?;
    must_be(&store, None).await
}

async fn a_hash_is_replaced_only_while_it_is_the_person_s(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let one = registered("one");
    store.append(one.clone()).await?;
    ensure!(!store.replace_password_hash("a", "another", "two").await?);
    ensure!(!store.replace_password_hash("nobody", "one", "two").await?);
    must_be(&store, Some("one")).await?;
    ensure!(store.replace_password_hash("a", "one", "two").await?);
    must_be(&store, Some("two")).await?;
    ensure!(!store.replace_password_hash("a", "one", "three").await?);
    store.append(erased(&one)).await?;
    ensure!(!store.replace_password_hash("a", "two", "three").await?);
    must_be(&store, None).await
}

async fn of_many_who_replace_one_hash_one_does(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    store.append(registered("one")).await?;
    let new: Vec<String> = (0..16).map(|n| format!("new-{n}")).collect();
    let racing = new.iter().map(|new| store.replace_password_hash("a", "one", new));
    let replaced = try_join_all(racing).await?;
    let winners: Vec<_> = new.iter().zip(&replaced).filter(|(_, is_theirs)| **is_theirs).collect();
    ensure!(winners.len() == 1, "{winners:?}");
    must_be(&store, Some(winners[0].0.as_str())).await
}

async fn a_hash_that_is_older_than_a_change_goes_and_a_newer_one_stays(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let changed = |append: &Append, written_before| Append {
        beside: vec![Beside::NoPassword { subject: subject(), written_before }],
        ..next(append)
    };
    let one = registered("one");
    store.append(one.clone()).await?;
    let before = changed(&one, Timestamp(0));
    store.append(before.clone()).await?;
    must_be(&store, Some("one")).await?;
    // Another hash of the same password is as old as that.
    ensure!(store.replace_password_hash("a", "one", "two").await?);
    let in_the_year_2200 = Timestamp(7_258_118_400_000_000);
    let after = changed(&before, in_the_year_2200);
    store.append(after.clone()).await?;
    must_be(&store, None).await?;
    store.append(changed(&after, in_the_year_2200)).await?;
    must_be(&store, None).await
}
