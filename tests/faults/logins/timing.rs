//! That nobody learns from an answer to a wrong password whether there is an account: neither by what is asked
//! of the database nor by the time. Nor from registering, where that is to tell nobody.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Running, alone};

use super::{Desk, Refused, WRONG, an_address};

/// Tries of each kind unless the environment says.
const TRIES: usize = 60;
const TRIES_VARIABLE: &str = "LOGIN_TIMING_TRIES";

/// After so many tries all are forgotten: a hundred of one name would hold it back, whatever the addresses.
const FORGET_AFTER: usize = 90;

/// How far the medians may lie apart: so much of what a refusal takes, or so many milliseconds where that is
/// more. As their difference is estimated from a number of tries, three times the error of the estimate are
/// allowed beside it, which vanishes as the tries become many.
const SHARE: f64 = 0.05;
const MILLIS: f64 = 1.0;
const ERRORS: f64 = 3.0;

/// Of a normal spread: the quartiles lie so many deviations apart, and a median is so much less certain than
/// a mean.
const QUARTILES_APART: f64 = 1.349;
const OF_A_MEDIAN: f64 = 1.2533;

/// Questions to the database: failures, once more when it is a stranger's turn, who has the name, and the failure that
/// is counted.
const QUESTIONS: usize = 4;

fn tries() -> Result<usize> {
    match std::env::var(TRIES_VARIABLE) {
        Ok(tries) => tries.parse().with_context(|| format!("{TRIES_VARIABLE} is {tries}")),
        Err(_) => Ok(TRIES),
    }
}

/// How long refusals took, in milliseconds.
#[derive(Debug)]
struct Median {
    millis: f64,
    /// By how much the median of all refusals may differ from that of those that were tried.
    error: f64,
}

impl Median {
    fn of(mut millis: Vec<f64>) -> Result<Self> {
        ensure!(millis.len() >= 10, "{} tries tell nothing", millis.len());
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| millis[((millis.len() - 1) as f64 * share).round() as usize];
        let deviation = (at(0.75) - at(0.25)) / QUARTILES_APART;
        let error = OF_A_MEDIAN * deviation / (millis.len() as f64).sqrt();
        Ok(Self { millis: at(0.5), error })
    }
}

/// A wrong password from an address that has never failed; how long the refusal took, in milliseconds.
async fn refused_after(desk: &Desk, number: usize, name: &str) -> Result<f64> {
    let began = Instant::now();
    let answer = desk.attempt(&an_address(number), name, WRONG).await?;
    let millis = began.elapsed().as_secs_f64() * 1_000.0;
    ensure!(Refused::of(&answer)? == Refused::Wrong, "{name} is answered {answer}");
    Ok(millis)
}

#[tokio::test]
async fn a_wrong_password_takes_as_long_where_there_is_nobody_of_the_name() -> Result<()> {
    let _alone = alone().await?;
    let desk = Desk::open("login_timing", |launch| launch).await?;
    desk.people.register("ann").await?;
    let (tries, mut known, mut unknown) = (tries()?, Vec::new(), Vec::new());
    // Connections and statements are made by the first ones.
    let warming = 4;
    for number in 0..warming + tries {
        if number % FORGET_AFTER == 0 {
            desk.world.execute("DELETE FROM {identity}.login_failures").await?;
        }
        // In turns, so that what disturbs the machine disturbs both; and each as often first.
        let mut names = [("ann", &mut known), ("nobody", &mut unknown)];
        if number % 2 == 1 {
            names.reverse();
        }
        for (at, (name, times)) in names.into_iter().enumerate() {
            let millis = refused_after(&desk, 2 * number + at, name).await?;
            if number >= warming {
                times.push(millis);
            }
        }
    }
    let (known, unknown) = (Median::of(known)?, Median::of(unknown)?);
    let apart = (known.millis - unknown.millis).abs();
    let error = known.error.hypot(unknown.error);
    let bound = (unknown.millis * SHARE).max(MILLIS);
    println!(
        "medians of {tries} wrong passwords: {:.2} ms of somebody, {:.2} ms of nobody; {apart:.2} ms apart, \
         give or take {error:.2}; the bound is {bound:.2}",
        known.millis, unknown.millis
    );
    ensure!(
        apart <= bound + ERRORS * error,
        "{apart} ms are more than {bound} ms: {known:?}, {unknown:?}"
    );
    Ok(())
}

/// The statements that the process has sent to the database within a request, as its log has them.
fn statements(command_api: &Running, request_id: &str) -> Result<Vec<String>> {
    let log = command_api.log()?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_request = lines
        .filter(|line| line["target"] == "sqlx::query" && line["request.id"] == request_id)
        .map(|line| format!("{}{}", line["summary"], line["db.statement"]));
    Ok(of_request.collect())
}

#[tokio::test]
async fn the_database_is_asked_the_same_where_there_is_nobody_of_the_name() -> Result<()> {
    let talkative = "info,sqlx=debug";
    let desk = Desk::open("login_questions", |it| it.setting("MILLRACE_LOG", talkative)).await?;
    desk.people.register("ann").await?;
    let names = ["ann", "nobody", "ann@example.org", "nobody@example.org", "no name at all", ""];
    let mut asked = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let (from, id) = (an_address(number), format!("question-{number}"));
        let headers = [("x-forwarded-for", from.as_str()), ("x-request-id", id.as_str())];
        let answer = desk.attempt_with(&headers, name, WRONG).await?;
        ensure!(Refused::of(&answer)? == Refused::Wrong, "{name} is answered {answer}");
        asked.push((name, statements(&desk.command_api, &id)?));
    }
    let (_, of_somebody) = &asked[0];
    ensure!(of_somebody.len() == QUESTIONS, "of somebody it is asked {of_somebody:#?}");
    for (name, statements) in &asked {
        ensure!(statements == of_somebody, "of {name:?} it is asked {statements:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_database_is_asked_the_same_whoever_registers_where_that_tells_nothing() -> Result<()> {
    let desk = Desk::open("registration_questions", |launch| launch).await?;
    desk.people.register("ann").await?;
    // Beside the process by which she has registered, one that tells nobody so.
    let launch = desk.world.command_api()?.setting("MILLRACE_LOG", "info,sqlx=debug");
    let silent = launch.setting("REGISTRATION_REVEALS_ACCOUNTS", "false").start().await?;
    silent.ready().await?;
    let people = desk.people.of(&[&silent])?;
    // A connection is made by the first one.
    people.send(people.registration(0, "nobody", "nobody@example.org")?).await?;
    let mut asked = Vec::new();
    for (name, email) in [
        ("nobody", "nobody@example.com"),
        ("ann", "nobody@example.net"),
        ("nobody", "ANN@example.org"),
        ("ann", "ann@example.org"),
        ("nobody", "nobody@example.org"),
    ] {
        let id = format!("registration-{}", asked.len());
        let request = people.registration(0, name, email)?.header("x-request-id", id.as_str());
        let answer = people.send(request).await?;
        ensure!(answer.status == 202, "{name} with {email} is answered {answer}");
        asked.push((name, email, statements(&silent, &id)?));
    }
    let (.., of_nobody) = &asked[0];
    let is_kept = of_nobody.iter().any(|statement| statement.contains("pending_registrations"));
    ensure!(is_kept, "of nobody it is asked {of_nobody:#?}");
    for (name, email, statements) in &asked {
        ensure!(statements == of_nobody, "of {name} with {email} it is asked {statements:#?}");
    }
    Ok(())
}
