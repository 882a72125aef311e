//! Claims on unique values.

use anyhow::{Context as _, Result, ensure};
use event_store::beside::Beside;
use event_store::claim::{Claim, ClaimOf};
use event_store::{Account, Append, AppendError, Closed, EventStore as _, Nobody, Outbox as _};
use futures_util::future::join_all;

use super::{Home, of_every_store, open};
use crate::samples::{NOBODY, first, key, next, take};

of_every_store! {
    of_many_streams_one_takes_a_value
    a_refused_claim_leaves_nothing_behind
    a_value_is_free_once_it_is_released_replaced_or_lapsed
    a_confirmed_claim_does_not_lapse
    a_claim_that_lapsed_and_was_taken_cannot_be_confirmed
    streams_that_swap_their_values_both_get_an_answer
    of_what_the_log_says_the_later_claim_counts
    whoever_has_a_value_is_found_by_it
    of_whoever_has_a_value_everything_is_found_and_of_nobody_what_is_theirs
    a_store_that_was_not_compared_says_so_of_somebody_and_of_nobody
}

fn claiming(append: Append, claims: &[Claim]) -> Append {
    Append { claims: claims.to_vec(), ..append }
}

async fn of_many_streams_one_takes_a_value(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let one = take("email", "ann@example.org", 1, None);
    let name = |n: u32| take("username", &format!("ann-{n}"), 1, None);
    let appends = (0..16).map(|n| claiming(first(&format!("user-{n}")), &[name(n), one]));
    let racing = join_all(appends.map(|append| store.append(append))).await;
    ensure!(racing.iter().filter(|appended| appended.is_ok()).count() == 1, "{racing:?}");
    let taken = |appended: &&_| matches!(appended, Err(AppendError::Taken("email")));
    ensure!(racing.iter().filter(taken).count() == 15, "{racing:?}");
    Ok(())
}

async fn a_refused_claim_leaves_nothing_behind(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let (name, email) = (take("username", "ann", 1, None), take("email", "ann@x.org", 1, None));
    store.append(claiming(first("user-a"), &[email])).await?;
    let refused = store.append(claiming(first("user-b"), &[name, email])).await;
    ensure!(matches!(refused, Err(AppendError::Taken("email"))), "{refused:?}");
    ensure!(store.load("user-b", None).await?.stream.is_none());
    // The user name was not kept for it.
    store.append(claiming(first("user-c"), &[name])).await?;
    Ok(())
}

async fn a_value_is_free_once_it_is_released_replaced_or_lapsed(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let email = |at, lapses| take("email", "ann@x.org", at, lapses);
    let a = claiming(first("user-a"), &[email(1, None)]);
    store.append(a.clone()).await?;
    let released = claiming(next(&a), &[Claim::Release { kind: "email" }]);
    store.append(released).await?;
    let b = claiming(first("user-b"), &[email(2, None)]);
    store.append(b.clone()).await?;
    let replaced = claiming(next(&b), &[take("email", "ann@y.org", 3, None)]);
    store.append(replaced).await?;
    store.append(claiming(first("user-c"), &[email(4, Some(10))])).await?;
    let early = store.append(claiming(first("user-d"), &[email(9, None)])).await;
    ensure!(matches!(early, Err(AppendError::Taken("email"))), "{early:?}");
    store.append(claiming(first("user-d"), &[email(10, None)])).await?;
    Ok(())
}

async fn a_confirmed_claim_does_not_lapse(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let a = claiming(first("user-a"), &[take("email", "ann@x.org", 1, Some(5))]);
    store.append(a.clone()).await?;
    store.append(claiming(next(&a), &[Claim::Confirm { kind: "email" }])).await?;
    let late =
        store.append(claiming(first("user-b"), &[take("email", "ann@x.org", 9, None)])).await;
    ensure!(matches!(late, Err(AppendError::Taken("email"))), "{late:?}");
    Ok(())
}

async fn a_claim_that_lapsed_and_was_taken_cannot_be_confirmed(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let a = claiming(first("user-a"), &[take("email", "ann@x.org", 1, Some(5))]);
    store.append(a.clone()).await?;
    store.append(claiming(first("user-b"), &[take("email", "ann@x.org", 6, None)])).await?;
    let lapsed = store.append(claiming(next(&a), &[Claim::Confirm { kind: "email" }])).await;
    ensure!(matches!(lapsed, Err(AppendError::Lapsed("email"))), "{lapsed:?}");
    ensure!(store.load("user-a", None).await?.stream.context("there is none")?.version == 1);
    Ok(())
}

async fn streams_that_swap_their_values_both_get_an_answer(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let of = |value: &str| take("email", value, 1, None);
    let (a, b) = (claiming(first("user-a"), &[of("a")]), claiming(first("user-b"), &[of("b")]));
    store.append(a.clone()).await?;
    store.append(b.clone()).await?;
    let (one, other) = tokio::join!(
        store.append(claiming(next(&a), &[of("b")])),
        store.append(claiming(next(&b), &[of("a")]))
    );
    ensure!(!(one.is_ok() && other.is_ok()), "both took what the other one had");
    Ok(())
}

async fn of_what_the_log_says_the_later_claim_counts(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    let email = |at, lapses| take("email", "ann@x.org", at, lapses);
    outbox.absorb(claiming(first("user-later"), &[email(9, None)])).await?;
    outbox.absorb(claiming(first("user-earlier"), &[email(1, Some(5))])).await?;
    let taken = store.append(claiming(first("user-new"), &[email(20, None)])).await;
    ensure!(matches!(taken, Err(AppendError::Taken("email"))), "{taken:?}");
    Ok(())
}

async fn whoever_has_a_value_is_found_by_it(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let of = |kind| ClaimOf { kind, digest: key().digest("email", "ann@x.org") };
    let holder = async |kind| anyhow::Ok(store.account(&of(kind), NOBODY).await?.holder);
    ensure!(holder("email").await?.is_none());
    store.append(claiming(first("user-a"), &[take("email", "ann@x.org", 1, Some(5))])).await?;
    ensure!(holder("email").await?.as_deref() == Some("user-a"));
    ensure!(holder("username").await?.is_none(), "it is no user name");
    // One that has lapsed is still theirs until another stream takes it.
    let b = claiming(first("user-b"), &[take("email", "ann@x.org", 9, None)]);
    store.append(b.clone()).await?;
    ensure!(holder("email").await?.as_deref() == Some("user-b"));
    store.append(claiming(next(&b), &[Claim::Release { kind: "email" }])).await?;
    ensure!(holder("email").await?.is_none());
    Ok(())
}

async fn of_whoever_has_a_value_everything_is_found_and_of_nobody_what_is_theirs(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let value = ClaimOf { kind: "email", digest: key().digest("email", "ann@x.org") };
    let person = |subject: &str, claims: &[Claim]| {
        let (subject, hash) = (subject.to_owned(), format!("the hash of {subject}"));
        let stream = first(&format!("user-{subject}"));
        let key = Beside::SubjectKey { subject: subject.clone(), key: [7; 32] };
        let hash = Beside::PasswordHash { subject, hash };
        Append { beside: vec![key, hash], claims: claims.to_vec(), ..stream }
    };
    let ann = take("email", "ann@x.org", 1, None);
    for append in [person("a", &[ann]), person("b", &[]), person("nobody", &[])] {
        store.append(append).await?;
    }
    let must_be = async |subject: &str, holder: Option<&str>, value: &ClaimOf| {
        let Account { holder: has, found, password_hash } = store.account(value, NOBODY).await?;
        ensure!(has.as_deref() == holder, "{has:?} has it, and not {holder:?}");
        ensure!(found == store.load(&format!("user-{subject}"), Some(subject)).await?);
        ensure!(found.closed.is_none() && found.stream.is_some_and(|it| it.subject_key.is_some()));
        ensure!(password_hash == store.password_hash(subject).await?);
        ensure!(password_hash.is_some_and(|hash| hash == format!("the hash of {subject}")));
        Ok(())
    };
    must_be("a", Some("user-a"), &value).await?;
    must_be("nobody", None, &ClaimOf { kind: "username", ..value }).await?;
    // A stream of a person holds the value, and one of nobody: of it no person's things are found.
    let other = ClaimOf { kind: "email", digest: key().digest("email", "shop@x.org") };
    let shop = claiming(first("shop-nobody"), &[take("email", "shop@x.org", 1, Some(5))]);
    store.append(shop).await?;
    let Account { holder, found, password_hash } = store.account(&other, NOBODY).await?;
    ensure!(holder.as_deref() == Some("shop-nobody") && password_hash.is_none());
    ensure!(found == store.load("shop-nobody", None).await?);
    // Whoever is erased has neither key nor hash.
    let erasure = Beside::Erasure { subject: "a".to_owned(), stream_id: "user-a".to_owned() };
    store.append(Append { beside: vec![erasure], ..next(&person("a", &[])) }).await?;
    let Account { holder, found, password_hash } = store.account(&value, NOBODY).await?;
    ensure!(holder.as_deref() == Some("user-a") && password_hash.is_none());
    ensure!(found.stream.is_some_and(|it| it.version == 2 && it.subject_key.is_none()));
    // Where there is neither, there is nothing.
    let none = Nobody { subject: "none", ..NOBODY };
    let value = ClaimOf { kind: "username", ..value };
    let Account { holder, found, password_hash } = store.account(&value, none).await?;
    ensure!(holder.is_none() && found.stream.is_none() && password_hash.is_none());
    Ok(())
}

async fn a_store_that_was_not_compared_says_so_of_somebody_and_of_nobody(
    home: &impl Home,
) -> Result<()> {
    let store = home.store();
    let value = ClaimOf { kind: "email", digest: key().digest("email", "ann@x.org") };
    ensure!(store.account(&value, NOBODY).await?.found.closed == Some(Closed::NotCompared));
    let ann = claiming(first("user-a"), &[take("email", "ann@x.org", 1, None)]);
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    outbox.absorb(ann).await?;
    let Account { holder, found, .. } = store.account(&value, NOBODY).await?;
    ensure!(holder.is_some() && found.closed == Some(Closed::NotCompared));
    Ok(())
}
