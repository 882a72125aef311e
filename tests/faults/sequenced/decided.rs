//! Decided events that come twice, late, or contradicting their stream, and what becomes of those that
//! were discarded.

use anyhow::{Result, ensure};
use domain::decision::Decided;
use kafka_io::topic::Topic;
use projector::letters::replay::{Mode, Outcome};
use sqlx::types::Uuid;
use test_support::eventually;

use super::stage::Stage;
use super::versions::{Event, Versions, a_rival, a_stream};

const ABSORBED: &str = "projection_absorbed_total";
const OUT_OF_SEQUENCE: &str = "projection_letters_out_of_sequence";
const OLDEST: &str = "projection_letter_out_of_sequence_oldest_seconds";

fn code_of(outcomes: &[Outcome]) -> Option<&str> {
    match outcomes {
        [Outcome::Failed(failure)] => Some(&failure.code),
        _ => None,
    }
}

const NO_TWO: &str = "no_two";
const REFUSES_TWO: &str = "NOT kept @> ARRAY[2::bigint]";

#[tokio::test]
async fn a_duplicate_is_absorbed_a_gap_waits_until_it_heals_and_a_fork_until_it_is_discarded()
-> Result<()> {
    let _ = telemetry::metrics();
    let stage = Stage::<Versions<0>>::of_versions().await?;
    let runner = stage.run()?;

    let d = a_stream(3);
    stage.say(&[&d[0], &d[1], &d[0], &d[1], &d[2], &d[1]]).await?;
    stage.folded_are(&d[0], &[1, 2, 3]).await?;
    stage.metric(ABSORBED, "", |absorbed| absorbed == 3.0).await?;
    ensure!(stage.world.letters().await?.is_empty(), "a duplicate became a letter");

    // 2 is missing, for long enough that its followers are parked.
    let g = a_stream(5);
    stage.say(&[&g[0], &g[2], &g[3]]).await?;
    stage.letters_are(&g[0], &["retrying|parked version-gap", "blocked"]).await?;
    stage.metric(OUT_OF_SEQUENCE, "version-gap", |letters| letters == 1.0).await?;
    stage.metric(OLDEST, "version-gap", |seconds| seconds > 1.0).await?;
    stage.say(&[&g[4], &g[0]]).await?;
    // Metrics are told of now and then: meanwhile its last try may have been.
    let waiting = ["retrying|parked version-gap", "blocked", "blocked"];
    let letters = stage.letters_are(&g[0], &waiting).await?;
    let replayed = stage.replay(letters[0], Mode::Commit).await?;
    ensure!(code_of(&replayed) == Some("version-gap"), "{replayed:?}");
    stage.letters_are(&g[0], &["parked version-gap", "blocked", "blocked"]).await?;
    ensure!(stage.folded(&g[0]).await? == [1], "something was folded around a gap");
    stage.say(&[&g[1]]).await?;
    stage.folded_are(&g[0], &[1, 2, 3, 4, 5]).await?;
    stage.letters_are(&g[0], &["applied", "applied", "applied"]).await?;
    stage.metric(OUT_OF_SEQUENCE, "version-gap", |letters| letters == 0.0).await?;
    stage.metric(OLDEST, "version-gap", |seconds| seconds == 0.0).await?;
    stage.nothing_waits().await?;

    // Another event under a version that was folded; and the next one, which names another before it.
    let f = a_stream(4);
    stage.say(&[&f[0], &f[1], &a_rival(&f[1]), &f[2], &f[3]]).await?;
    let letters = stage.letters_are(&f[0], &["parked stream-fork", "blocked", "blocked"]).await?;
    let w = a_stream(3);
    let wrong = Decided { previous_id: Some(Uuid::now_v7()), ..a_rival(&w[1]) };
    stage.say(&[&w[0], &wrong, &w[1], &w[2]]).await?;
    let wrong = stage.letters_are(&w[0], &["parked stream-fork", "blocked", "blocked"]).await?[0];
    stage.metric(OUT_OF_SEQUENCE, "stream-fork", |letters| letters == 2.0).await?;
    let replayed = stage.replay(letters[0], Mode::Commit).await?;
    ensure!(code_of(&replayed) == Some("stream-fork"), "{replayed:?}");
    ensure!(stage.folded(&f[0]).await? == [1, 2], "something was folded behind a fork");
    stage.discard(letters[0]).await?;
    stage.folded_are(&f[0], &[1, 2, 3, 4]).await?;
    stage.discard(wrong).await?;
    stage.folded_are(&w[0], &[1, 2, 3]).await?;
    stage.metric(OUT_OF_SEQUENCE, "stream-fork", |letters| letters == 0.0).await?;
    stage.nothing_waits().await?;

    // All of it again: what was folded live is absorbed, what was a letter is known as one.
    let (letters, absorbed) =
        (stage.world.letters().await?, stage.metric(ABSORBED, "", |_| true).await?);
    runner.stop().await;
    stage.world.set_positions_back().await?;
    let runner = stage.run()?;
    let records = stage.world.log_of(Topic::IdentityUser)?.len().await?;
    let again = records as f64 - letters.len() as f64;
    stage.metric(ABSORBED, "", |now| now == absorbed + again).await?;
    ensure!(stage.world.letters().await? == letters, "a position set back made or changed letters");
    for (stream, versions) in [(&d, 3), (&g, 5), (&f, 4), (&w, 3)] {
        let all: Vec<i64> = (1..=versions).collect();
        ensure!(stage.folded(&stream[0]).await? == all, "something was folded again");
    }
    runner.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_version_whose_letter_was_discarded_is_passed_over() -> Result<()> {
    let stage = Stage::<Versions<1>>::of_versions().await?;
    stage.refuse(NO_TWO, REFUSES_TWO).await?;
    let runner = stage.run()?;
    let s = a_stream(5);
    stage.say(&[&s[0], &s[1], &s[2], &s[3]]).await?;
    let letters = stage.letters_are(&s[0], &["retrying 23514", "blocked", "blocked"]).await?;
    stage.discard(letters[0]).await?;
    stage.folded_are(&s[0], &[1, 3, 4]).await?;
    stage.letters_are(&s[0], &["discarded", "applied", "applied"]).await?;
    stage.say(&[&s[4], &s[1]]).await?;
    stage.folded_are(&s[0], &[1, 3, 4, 5]).await?;

    // Where nothing waited behind it, what comes then is folded at once.
    let t = a_stream(3);
    stage.say(&[&t[0], &t[1]]).await?;
    let letters = stage.letters_are(&t[0], &["retrying 23514"]).await?;
    stage.discard(letters[0]).await?;
    stage.say(&[&t[2]]).await?;
    stage.folded_are(&t[0], &[1, 3]).await?;
    stage.letters_are(&t[0], &["discarded"]).await?;
    stage.nothing_waits().await?;
    runner.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_record_that_nobody_can_decode_is_passed_over_once_it_is_discarded() -> Result<()> {
    let stage = Stage::<Versions<3>>::of_versions().await?;
    let runner = stage.run()?;
    let s = a_stream(4);
    stage.say(&[&s[0]]).await?;
    stage.garble(&s[1]).await?;
    stage.say(&[&s[2]]).await?;
    let letters = stage.letters_are(&s[0], &["retrying|parked truncated", "blocked"]).await?;
    stage.discard(letters[0]).await?;
    stage.folded_are(&s[0], &[1, 3]).await?;
    stage.letters_are(&s[0], &["discarded", "applied"]).await?;
    stage.say(&[&s[3]]).await?;
    stage.folded_are(&s[0], &[1, 3, 4]).await?;

    // Where nothing waited behind it, what comes then is folded at once.
    let t = a_stream(3);
    stage.say(&[&t[0]]).await?;
    stage.garble(&t[1]).await?;
    let letters = stage.letters_are(&t[0], &["retrying|parked truncated"]).await?;
    stage.discard(letters[0]).await?;
    stage.say(&[&t[2]]).await?;
    stage.folded_are(&t[0], &[1, 3]).await?;

    // A version that is missing and comes late finds the discarded one before it, too.
    let u = a_stream(4);
    stage.say(&[&u[0]]).await?;
    stage.garble(&u[1]).await?;
    let letters = stage.letters_are(&u[0], &["retrying|parked truncated"]).await?;
    stage.discard(letters[0]).await?;
    stage.say(&[&u[3]]).await?;
    stage.letters_are(&u[0], &["discarded", "parked version-gap"]).await?;
    stage.say(&[&u[2]]).await?;
    stage.folded_are(&u[0], &[1, 3, 4]).await?;
    stage.letters_are(&u[0], &["discarded", "applied"]).await?;

    // Headers of another event than the one that the neighbours name bridge nothing.
    let v = a_stream(3);
    stage.say(&[&v[0]]).await?;
    stage.garble(&a_rival(&v[1])).await?;
    let letters = stage.letters_are(&v[0], &["retrying|parked truncated"]).await?;
    stage.discard(letters[0]).await?;
    stage.say(&[&v[2]]).await?;
    stage.letters_are(&v[0], &["discarded", "retrying|parked version-gap"]).await?;
    stage.say(&[&v[1]]).await?;
    stage.folded_are(&v[0], &[1, 2, 3]).await?;
    stage.nothing_waits().await?;
    runner.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_discarded_event_is_never_folded_however_often_it_comes() -> Result<()> {
    let _ = telemetry::metrics();
    let stage = Stage::<Versions<4>>::of_versions().await?;
    stage.refuse(NO_TWO, REFUSES_TWO).await?;
    let runner = stage.run()?;
    // Its second record waits behind the first.
    let s = a_stream(3);
    stage.say(&[&s[0], &s[1], &s[1], &s[2]]).await?;
    let waiting = ["retrying|parked 23514", "blocked", "blocked"];
    let letters = stage.letters_are(&s[0], &waiting).await?;
    stage.discard(letters[0]).await?;
    stage.folded_are(&s[0], &[1, 3]).await?;
    stage.letters_are(&s[0], &["discarded", "discarded", "applied"]).await?;
    // It comes after the first was discarded, when nothing stands in its way any more.
    let t = a_stream(3);
    stage.say(&[&t[0], &t[1]]).await?;
    let letters = stage.letters_are(&t[0], &["retrying|parked 23514"]).await?;
    stage.discard(letters[0]).await?;
    stage.take_again(NO_TWO).await?;
    stage.say(&[&t[1], &t[2], &s[1]]).await?;
    stage.folded_are(&t[0], &[1, 3]).await?;
    stage.letters_are(&t[0], &["discarded"]).await?;
    stage.metric(ABSORBED, "", |absorbed| absorbed == 2.0).await?;
    ensure!(stage.folded(&s[0]).await? == [1, 3], "a discarded event was folded");
    stage.nothing_waits().await?;
    runner.stop().await;
    Ok(())
}

#[tokio::test]
async fn streams_that_come_in_any_order_are_folded_in_their_own_whoever_folds_them() -> Result<()> {
    const EVENTS: usize = 31;
    let stage = Stage::<Versions<2>>::of_versions().await?;
    let streams: Vec<_> = (0..6).map(|_| a_stream(EVENTS as u64)).collect();
    let runner = stage.run()?;
    let mut second = None;
    for at in 0..EVENTS {
        // A step that is no divisor of their number visits all.
        let event = |(n, stream): (usize, &Vec<Event>)| stream[at * (n + 2) * 3 % EVENTS].clone();
        let events: Vec<Event> = streams.iter().enumerate().map(event).collect();
        let twice = events.iter().chain(events.iter().filter(|_| at % 3 == 0));
        stage.say(&twice.collect::<Vec<_>>()).await?;
        if at == EVENTS / 2 {
            second = Some(stage.run()?);
        }
    }
    if let Some(second) = second {
        second.stop().await;
    }
    let all: Vec<i64> = (1..).take(EVENTS).collect();
    for stream in &streams {
        stage.folded_are(&stream[0], &all).await?;
    }
    eventually("no letter is open", async || {
        let letters = stage.world.letters().await?;
        let settled = ["applied", "duplicate"];
        let open = letters.iter().find(|letter| !settled.contains(&letter.state.as_str()));
        ensure!(open.is_none(), "{open:?}");
        stage.nothing_waits().await
    })
    .await?;
    runner.stop().await;
    Ok(())
}
