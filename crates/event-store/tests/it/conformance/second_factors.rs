//! Second factors: kept beside decisions, and each of their codes good once.

use anyhow::{Context as _, Result, ensure};
use domain::Timestamp;
use event_store::beside::Beside;
use event_store::claim::Digest;
use event_store::second_factor::{SecondFactor, UsedCode};
use event_store::{Append, EventStore};
use futures_util::future::try_join_all;

use super::{Home, of_every_store, open};
use crate::samples::{first, next};

of_every_store! {
    a_second_factor_is_there_until_it_is_removed_or_the_person_is_erased
    no_step_is_taken_again_nor_an_earlier_one
    a_recovery_code_is_good_once_and_the_others_are_left
    codes_of_one_are_no_codes_of_the_one_that_takes_its_place
    of_many_who_say_one_code_at_once_one_has_said_it
    one_that_is_older_than_a_change_goes_and_a_newer_one_stays
}

const A_CODE: Digest = [1; 32];
const ANOTHER: Digest = [2; 32];

fn subject() -> String {
    "a".to_owned()
}

fn a_factor(secret: &[u8]) -> SecondFactor {
    let recovery_codes = vec![A_CODE, ANOTHER];
    SecondFactor { sealed_secret: secret.to_vec(), last_step: 7, recovery_codes }
}

/// A person without a second factor.
fn registered() -> Append {
    let key = Beside::SubjectKey { subject: subject(), key: [7; 32] };
    Append { beside: vec![key], ..first("user-a") }
}

fn with(append: &Append, beside: Beside) -> Append {
    Append { beside: vec![beside], ..next(append) }
}

fn enrolling(append: &Append, secret: &[u8]) -> Append {
    with(append, Beside::SecondFactor { subject: subject(), factor: a_factor(secret) })
}

async fn enrolled(store: &impl EventStore) -> Result<Append> {
    let one = registered();
    store.append(one.clone()).await?;
    let two = enrolling(&one, b"one");
    store.append(two.clone()).await?;
    Ok(two)
}

async fn found(store: &impl EventStore) -> Result<SecondFactor> {
    store.second_factor("a").await?.context("there is none")
}

async fn a_second_factor_is_there_until_it_is_removed_or_the_person_is_erased(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    ensure!(store.second_factor("a").await?.is_none());
    let two = enrolled(&store).await?;
    ensure!(found(&store).await? == a_factor(b"one"));
    ensure!(store.second_factor("b").await?.is_none());
    let three = with(&two, Beside::NoSecondFactor { subject: subject() });
    store.append(three.clone()).await?;
    ensure!(store.second_factor("a").await?.is_none());
    let four = enrolling(&three, b"two");
    store.append(four.clone()).await?;
    ensure!(found(&store).await? == a_factor(b"two"));
    let erasure = Beside::Erasure { subject: subject(), stream_id: "user-a".to_owned() };
    store.append(with(&four, erasure)).await?;
    ensure!(store.second_factor("a").await?.is_none());
    for used in [UsedCode::Step(9), UsedCode::Recovery(A_CODE)] {
        ensure!(!store.use_second_factor("a", b"two", used).await?);
    }
    Ok(())
}

async fn no_step_is_taken_again_nor_an_earlier_one(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    enrolled(&store).await?;
    for (step, is_taken) in
        [(6, false), (7, false), (9, true), (9, false), (8, false), (0, false), (10, true)]
    {
        let taken = store.use_second_factor("a", b"one", UsedCode::Step(step)).await?;
        ensure!(taken == is_taken, "{step}");
    }
    ensure!(found(&store).await? == SecondFactor { last_step: 10, ..a_factor(b"one") });
    Ok(())
}

async fn a_recovery_code_is_good_once_and_the_others_are_left(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    enrolled(&store).await?;
    for (code, is_taken) in [([3; 32], false), (A_CODE, true), (A_CODE, false)] {
        let taken = store.use_second_factor("a", b"one", UsedCode::Recovery(code)).await?;
        ensure!(taken == is_taken, "{}", code[0]);
    }
    let left = SecondFactor { recovery_codes: vec![ANOTHER], ..a_factor(b"one") };
    ensure!(found(&store).await? == left);
    ensure!(store.use_second_factor("a", b"one", UsedCode::Recovery(ANOTHER)).await?);
    ensure!(found(&store).await?.recovery_codes.is_empty());
    Ok(())
}

async fn codes_of_one_are_no_codes_of_the_one_that_takes_its_place(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let two = enrolled(&store).await?;
    store.append(enrolling(&two, b"two")).await?;
    for used in [UsedCode::Step(9), UsedCode::Recovery(A_CODE)] {
        ensure!(!store.use_second_factor("a", b"one", used).await?);
        ensure!(!store.use_second_factor("nobody", b"two", used).await?);
    }
    ensure!(found(&store).await? == a_factor(b"two"));
    Ok(())
}

async fn of_many_who_say_one_code_at_once_one_has_said_it(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    enrolled(&store).await?;
    for used in [UsedCode::Step(9), UsedCode::Recovery(A_CODE)] {
        let racing = (0..16).map(|_| store.use_second_factor("a", b"one", used));
        let taken = try_join_all(racing).await?;
        let winners = taken.iter().filter(|is_theirs| **is_theirs).count();
        ensure!(winners == 1, "{winners} have said it");
    }
    Ok(())
}

async fn one_that_is_older_than_a_change_goes_and_a_newer_one_stays(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let changed = |append: &Append, enrolled_before| {
        with(append, Beside::NoSecondFactorBefore { subject: subject(), enrolled_before })
    };
    let two = enrolled(&store).await?;
    let before = changed(&two, Timestamp(0));
    store.append(before.clone()).await?;
    // A code that is used makes it no younger.
    ensure!(store.use_second_factor("a", b"one", UsedCode::Step(9)).await?);
    ensure!(found(&store).await? == SecondFactor { last_step: 9, ..a_factor(b"one") });
    let in_the_year_2200 = Timestamp(7_258_118_400_000_000);
    let after = changed(&before, in_the_year_2200);
    store.append(after.clone()).await?;
    ensure!(store.second_factor("a").await?.is_none());
    // Where there is none, none goes; and one that takes its place is another.
    let none = changed(&after, in_the_year_2200);
    store.append(none.clone()).await?;
    let other = enrolling(&none, b"two");
    store.append(other.clone()).await?;
    store.append(changed(&other, Timestamp(0))).await?;
    ensure!(found(&store).await? == a_factor(b"two"));
    Ok(())
}
