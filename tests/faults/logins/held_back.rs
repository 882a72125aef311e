//! Whoever guesses is held back, is told for how long, and stands in nobody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use test_support::{Launch, PASSWORD, eventually};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Desk, Refused, WRONG, an_address, seconds_to_wait};

const HERE: &str = "198.51.100.7";
const ELSEWHERE: &str = "203.0.113.9";

/// What a machine that does other things as well adds to a wait, at most.
const LATE: Duration = Duration::from_secs(3);

/// Those who guess side by side, and how often somebody else comes in meanwhile.
const GUESSERS: usize = 8;
const LOGINS: usize = 10;

/// Those who guess together, each from an address of their own.
const TOGETHER: usize = 40;

/// How long somebody waits who hangs up: long enough that their password begins to be compared, and less than that
/// takes with so many rounds.
const HUNG_UP_AFTER: Duration = Duration::from_millis(300);
const ROUNDS: u32 = 14;

#[tokio::test]
async fn whoever_waits_as_long_as_they_are_told_is_looked_at_again() -> Result<()> {
    let desk = Desk::open("login_waits", |launch| launch).await?;
    desk.people.register("ann").await?;
    for _ in 0..3 {
        let answer = desk.attempt(HERE, "ann", WRONG).await?;
        ensure!(Refused::of(&answer)? == Refused::Wrong, "{answer}");
    }
    for expected in [1, 2] {
        let held = desk.attempt(HERE, "ann", PASSWORD).await?;
        ensure!(Refused::of(&held)? == Refused::HeldBack, "the right password: {held}");
        let (told, seconds) = (Instant::now(), seconds_to_wait(&held)?);
        ensure!((1..=expected).contains(&seconds), "{seconds} s and not {expected}");
        // To ask too early costs nothing: what is not looked at is no failure.
        let looked_at = eventually("the time is over", async || {
            let answer = desk.attempt(HERE, "ann", WRONG).await?;
            ensure!(Refused::of(&answer)? == Refused::Wrong, "{answer}");
            Ok(told.elapsed())
        });
        let took = looked_at.await?;
        println!("told to wait for {seconds} s, looked at again after {took:?}");
        ensure!(took < Duration::from_secs(seconds) + LATE, "{seconds} s were {took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_right_password_from_another_address_works_at_once_while_somebody_guesses() -> Result<()>
{
    let desk = Arc::new(Desk::open("login_guessed", |launch| launch).await?);
    desk.people.register("ann").await?;
    let (is_over, held_back) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut guessers = JoinSet::new();
    for _ in 0..GUESSERS {
        let (desk, is_over, held_back) = (desk.clone(), is_over.clone(), held_back.clone());
        guessers.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let answer = desk.attempt(HERE, "ann", WRONG).await?;
                if Refused::of(&answer)? == Refused::HeldBack {
                    held_back.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(())
        });
    }
    let came_in = come_in(&desk, &held_back).await;
    is_over.store(true, Ordering::Relaxed);
    while let Some(guesser) = guessers.join_next().await {
        guesser.context("a guesser panicked")??;
    }
    let longest = came_in?;
    println!("{LOGINS} came in while {held_back:?} guesses were held back; at most {longest:?}");
    Ok(())
}

/// Comes in again and again, from the first guess on that is held back; the longest time that it took.
async fn come_in(desk: &Desk, held_back: &AtomicUsize) -> Result<Duration> {
    eventually("a guess is held back", async || {
        ensure!(held_back.load(Ordering::Relaxed) > 0, "none is");
        Ok(())
    })
    .await?;
    let mut longest = Duration::ZERO;
    for _ in 0..LOGINS {
        let began = Instant::now();
        desk.must_let_in(ELSEWHERE, "ann").await?;
        longest = longest.max(began.elapsed());
    }
    Ok(longest)
}

#[tokio::test]
async fn of_many_who_guess_one_password_together_one_is_looked_at_once_they_may_try_again()
-> Result<()> {
    let desk = Arc::new(Desk::open("login_together", |launch| launch).await?);
    desk.people.register("ann").await?;
    let first = desk.attempt(&an_address(0), "ann", WRONG).await?;
    ensure!(Refused::of(&first)? == Refused::Wrong, "{first}");
    // As after many more: the next one makes all wait, for as long as this test may take.
    let many = "UPDATE {identity}.login_failures SET failures = 1000";
    desk.world.execute(many).await?;
    let mut guessers = JoinSet::new();
    for number in 1..=TOGETHER {
        let desk = Arc::clone(&desk);
        guessers.spawn(async move {
            let answer = desk.attempt(&an_address(number), "ann", WRONG).await?;
            Refused::of(&answer)
        });
    }
    let mut refused = Vec::new();
    while let Some(guesser) = guessers.join_next().await {
        refused.push(guesser.context("a guesser panicked")??);
    }
    let looked_at = refused.iter().filter(|refused| **refused == Refused::Wrong).count();
    let held_back = refused.iter().filter(|refused| **refused == Refused::HeldBack).count();
    ensure!((looked_at, held_back) == (1, TOGETHER - 1), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_hangs_up_before_they_are_answered_has_failed_all_the_same() -> Result<()> {
    let dear = |launch: Launch| {
        let launch = launch.setting("MILLRACE_PASSWORD_HASH", "bcrypt");
        launch.setting("MILLRACE_BCRYPT_ROUNDS", ROUNDS)
    };
    let desk = Desk::open("login_hung_up", dear).await?;
    eventually("a failure of whoever hung up is counted", async || {
        // A connection that is given up is closed.
        let answer = timeout(HUNG_UP_AFTER, desk.attempt(HERE, "nobody", WRONG)).await;
        ensure!(answer.is_err(), "they were answered");
        let counted = "SELECT count(*) FROM {identity}.login_failures WHERE failures > 0";
        ensure!(desk.world.counted(counted).await? > 0, "none is");
        Ok(())
    })
    .await
}
