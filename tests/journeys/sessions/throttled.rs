//! Failures to log in as the database counts them, for both processes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use command_api::throttle::{RULE_OF_ACCOUNT, RULE_OF_ADDRESS, RULE_OF_NAME, Rule};
use serde_json::json;
use test_support::{Answer, eventually, with_json};

use super::stage::Stage;

const HERE: &str = "198.51.100.7";

/// Somebody's attempt through the front door, which says where it comes from.
async fn attempt(
    stage: &Stage,
    process: usize,
    forwarded_for: &str,
    password: &str,
) -> Result<Answer> {
    let request = stage.people.request(process, "POST", "/api/v1/auth/login")?;
    let request = request.header("x-forwarded-for", forwarded_for);
    let body = json!({"username": "ann", "password": password});
    stage.people.send(with_json(request, &body)).await
}

async fn guess(stage: &Stage, process: usize) -> Result<()> {
    let answer = attempt(stage, process, HERE, "wrong horse").await?;
    ensure!(answer.status == 401 && answer.problem() == "login-failed", "{answer}");
    Ok(())
}

/// Failures and the waits that follow from them, in seconds, of all that was tried.
async fn counted(stage: &Stage) -> Result<Vec<(u32, u64)>> {
    let statement = "SELECT string_agg(failures || ':' || extract(epoch FROM
                         coalesce(blocked_until, last_failed_at) - last_failed_at)::bigint, ' ')
                     FROM {identity}.login_failures";
    let text = stage.world.text_of(statement).await?;
    let rows = text.split(' ').map(|row| {
        let (failures, wait) = row.split_once(':').context("no row")?;
        anyhow::Ok((failures.parse()?, wait.parse()?))
    });
    let mut rows = rows.collect::<Result<Vec<_>>>()?;
    rows.sort_unstable();
    Ok(rows)
}

/// The same as the rules have it, after so many failures of each.
fn expected(failures: impl Fn(&Rule) -> u32) -> Vec<(u32, u64)> {
    let of_rule = |rule: Rule| {
        let failures = failures(&rule);
        (failures, rule.wait_after(failures).as_secs())
    };
    let mut rows = Vec::from([RULE_OF_NAME, RULE_OF_ADDRESS, RULE_OF_ACCOUNT].map(of_rule));
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn both_processes_hold_back_whoever_guesses_and_nobody_else() -> Result<()> {
    let stage = Stage::set("sessions_throttled", 10_000).await?;
    stage.register("ann").await?;
    for n in 0..3 {
        guess(&stage, n).await?;
    }
    // Whatever somebody writes before the front door's own word.
    for forwarded in ["198.51.100.7", "203.0.113.9, 198.51.100.7", "203.0.113.9,198.51.100.7"] {
        for process in [0, 1] {
            let answer = attempt(&stage, process, forwarded, test_support::PASSWORD).await?;
            let is_held = answer.status == 429 && answer.problem() == "too-many-attempts";
            ensure!(is_held, "{forwarded} is answered {answer}");
            ensure!(answer.header("retry-after") == Some("1"), "{:?}", answer.headers);
        }
    }
    let elsewhere = attempt(&stage, 0, "198.51.100.8", test_support::PASSWORD).await?;
    ensure!(elsewhere.status == 200, "{elsewhere}");
    stage.world.execute("UPDATE {identity}.login_failures SET blocked_until = now()").await?;
    // A process may believe for a moment what it was told last.
    eventually("nobody has to wait any more", async || {
        let here = attempt(&stage, 1, "198.51.100.7", test_support::PASSWORD).await?;
        ensure!(here.status == 200, "{here}");
        Ok(())
    })
    .await?;
    // Those of the name are forgotten; those of the address and of the account stay.
    let kept = "SELECT string_agg(failures || ' ' || (let_in_at IS NOT NULL), ', '
                    ORDER BY failures, key)
                FROM {identity}.login_failures WHERE last_failed_at IS NOT NULL";
    let kept = stage.world.text_of(kept).await?;
    ensure!(kept == "0 true, 3 false, 3 false", "{kept}");
    Ok(())
}

#[tokio::test]
async fn whoever_others_have_behind_their_address_comes_in_where_they_came_in_before() -> Result<()>
{
    let stage = Stage::set("sessions_known_address", 10_000).await?;
    stage.register("ann").await?;
    let come_in = async |process| attempt(&stage, process, HERE, test_support::PASSWORD).await;
    let first = come_in(0).await?;
    ensure!(first.status == 200, "{first}");
    let address_of_all = "UPDATE {identity}.login_failures SET blocked_until = now() + '1 hour'
                          WHERE let_in_at IS NULL";
    // Somebody else fails there, and the address has to wait.
    let body = json!({"username": "nobody", "password": "wrong horse"});
    let request = stage.people.request(0, "POST", "/api/v1/auth/login")?;
    let request = request.header("x-forwarded-for", HERE);
    let guess = stage.people.send(with_json(request, &body)).await?;
    ensure!(guess.status == 401, "{guess}");
    stage.world.execute(address_of_all).await?;
    // Whoever says a wrong password there learns nothing of it, also not by how long others wait from then on.
    let wrong = attempt(&stage, 0, HERE, "wrong horse").await?;
    ensure!(wrong.status == 429 && wrong.problem() == "too-many-attempts", "{wrong}");
    let counted = "SELECT string_agg(failures || ' ' || (let_in_at IS NOT NULL), ', '
                       ORDER BY let_in_at IS NOT NULL, key)
                   FROM {identity}.login_failures";
    let counted = stage.world.text_of(counted).await?;
    ensure!(counted == "1 false, 1 false, 1 false, 1 true", "{counted}");
    let again = come_in(1).await?;
    ensure!(again.status == 200, "{again}");
    let long_ago = "UPDATE {identity}.login_failures SET let_in_at = now() - interval '31 days'
                    WHERE let_in_at IS NOT NULL";
    stage.world.execute(long_ago).await?;
    let held = come_in(0).await?;
    ensure!(held.status == 429, "{held}");
    Ok(())
}

#[tokio::test]
async fn a_failure_that_is_dated_ahead_costs_no_more_than_another() -> Result<()> {
    let stage = Stage::set("sessions_dated_ahead", 10_000).await?;
    stage.register("ann").await?;
    guess(&stage, 0).await?;
    guess(&stage, 1).await?;
    let ahead = "UPDATE {identity}.login_failures
                 SET last_failed_at = now() + interval '40 seconds'";
    stage.world.execute(ahead).await?;
    guess(&stage, 0).await?;
    let held = attempt(&stage, 0, HERE, test_support::PASSWORD).await?;
    ensure!(held.status == 429 && held.header("retry-after") == Some("1"), "{held}");
    let counted = "SELECT string_agg(failures || ' ' || (last_failed_at > now()), ', ')
                   FROM {identity}.login_failures";
    let counted = stage.world.text_of(counted).await?;
    ensure!(counted == "3 true, 3 true, 3 true", "{counted}");
    Ok(())
}

#[tokio::test]
async fn the_database_counts_by_the_rules() -> Result<()> {
    let stage = Stage::set("sessions_counted", 10_000).await?;
    stage.register("ann").await?;
    for n in 1..=15 {
        guess(&stage, 0).await?;
        let counted = counted(&stage).await?;
        ensure!(counted == expected(|_| n), "after {n}: {counted:?}");
        stage.world.execute("UPDATE {identity}.login_failures SET blocked_until = NULL").await?;
    }
    for (failures, seconds) in
        [(60, 300), (60, 40), (200, 600), (3, 3_500), (3, 3_601), (49, 0), (99, 0), (110, 30)]
    {
        let set = format!(
            "UPDATE {{identity}}.login_failures SET failures = {failures}, blocked_until = NULL,
             last_failed_at = now() - interval '{seconds} seconds'"
        );
        stage.world.execute(&set).await?;
        guess(&stage, 1).await?;
        let since = Duration::from_secs(seconds);
        let expected = expected(|rule| rule.after_one_more(failures, since));
        let counted = counted(&stage).await?;
        ensure!(counted == expected, "{failures} after {seconds} s: {counted:?}");
    }
    Ok(())
}
