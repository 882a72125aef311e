//! An operator settles dead letters with the tool, while the projector goes on.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sqlx::Executor as _;
use test_support::{Launch, Outgoing, World, a_report};

const BAD: &str = "\"bad\"";
const DEVICES: usize = 8;

/// A deployment whose fold refuses what is bad, and the tool beside it.
struct Desk {
    world: World,
    tool: Launch,
}

impl Desk {
    async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let refuse =
            "ALTER TABLE resource_rows ADD CONSTRAINT no_bad CHECK (payload::text <> '\"bad\"')";
        world.pool().execute(refuse).await?;
        let tool = world.dlq_replayer()?;
        Ok(Self { world, tool })
    }

    async fn mend(&self) -> Result<()> {
        self.world.pool().execute("ALTER TABLE resource_rows DROP CONSTRAINT no_bad").await?;
        Ok(())
    }

    /// A good event of each device, then a bad one, whose letters are awaited. Few devices: one
    /// error on many would pull the brake.
    async fn a_bad_round(&self, letters: usize) -> Result<()> {
        let log = self.world.log()?;
        let say = |payload: &'static str| {
            (0..DEVICES).map(move |n| a_report(&format!("device-{n}")).saying(payload))
        };
        log.append(say("1")).await?;
        self.world.level().await?;
        log.append(say(BAD)).await?;
        eventually_open(&self.world, letters).await
    }

    async fn call(&self, arguments: &[&str]) -> Result<Output> {
        self.tool.run(arguments).await
    }

    async fn json(&self, arguments: &[&str], exit: i32) -> Result<Value> {
        let output = self.call(&[arguments, &["--json"]].concat()).await?;
        let err = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(exit), "{arguments:?}: {}: {err}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?}: {err}"))
    }

    /// A sum over every table that a replay may touch.
    async fn checksum(&self) -> Result<String> {
        let mut sums = Vec::new();
        for table in ["resource_rows", "seen", "letters", "letter_tries", "letter_actions"] {
            let query = format!(
                "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t"
            );
            let sum: String =
                sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(self.world.pool()).await?;
            sums.push(sum);
        }
        Ok(sums.join(" "))
    }

    /// How many letters the audit says were settled by a replay, each counted as often as it says.
    async fn audited(&self) -> Result<(i64, i64)> {
        sqlx::query_as(
            "SELECT count(*), count(DISTINCT letter_id) FROM letter_actions
             WHERE action = 'replay' AND outcome IN ('applied', 'superseded')",
        )
        .fetch_one(self.world.pool())
        .await
        .context("reading the audit")
    }
}

async fn eventually_open(world: &World, count: usize) -> Result<()> {
    test_support::eventually(&format!("{count} letters are open"), async || {
        let letters = world.letters().await?;
        let open = letters.iter().filter(|letter| is_open(&letter.state)).count();
        ensure!(open == count, "{open} are");
        Ok(())
    })
    .await
}

fn is_open(state: &str) -> bool {
    matches!(state, "retrying" | "parked" | "blocked")
}

#[tokio::test]
async fn a_dry_run_shows_what_the_replay_then_does_and_a_second_replay_does_nothing() -> Result<()>
{
    let desk = Desk::set("dry_run").await?;
    let _projector = desk.world.projector()?.start().await?;
    desk.a_bad_round(DEVICES).await?;
    let junk = Outgoing {
        key: Some(b"device-0".to_vec()),
        value: Some(b"junk".to_vec()),
        ..Outgoing::default()
    };
    desk.world.log()?.append_raw(vec![junk]).await?;
    desk.world.letters_in("parked", DEVICES + 1).await?;

    let list = desk.json(&["list"], 0).await?;
    ensure!(list["matched"] == DEVICES + 1, "{list}");
    let groups = list["groups"].as_array().context("no groups")?;
    let codes: Vec<_> =
        groups.iter().map(|group| (&group["error_code"], &group["letters"])).collect();
    ensure!(groups.len() == 2, "{codes:?}");
    let junk = &desk.json(&["list", "--code", "magic"], 0).await?["letters"][0]["id"];
    let junk = junk.as_str().context("a letter without an id")?.to_owned();
    let shown = desk.json(&["show", &junk], 0).await?;
    ensure!(shown["tries"].as_array().is_some_and(|tries| tries.len() == 4), "{shown}");
    let no_reason = desk.call(&["discard", &junk, "--yes"]).await?;
    ensure!(no_reason.status.code() == Some(2), "a discard without a reason: {no_reason:?}");
    desk.json(&["discard", &junk, "--reason", "not ours", "--yes"], 0).await?;

    // Not mended yet: the dry run says so, and leaves no trace.
    let everything = ["replay", "--code", "23514", "--yes", "--reveal"];
    let dry = [&everything[..], &["--dry-run"]].concat();
    let before = desk.checksum().await?;
    ensure!(desk.json(&dry, 3).await?["failed"] == DEVICES, "the fold refuses them");
    desk.mend().await?;
    let planned = desk.json(&dry, 0).await?;
    ensure!(desk.checksum().await? == before, "a dry run changed the database");
    ensure!(planned["applied"] == DEVICES, "{planned}");
    let done = desk.json(&[&everything[..], &["--diff"]].concat(), 0).await?;
    ensure!(
        planned["rows"] == done["rows"],
        "planned {} and did {}",
        planned["rows"],
        done["rows"]
    );
    ensure!(planned["rows"].as_array().is_some_and(|rows| rows.len() == DEVICES), "{planned}");
    desk.world.must_equal_the_log().await?;

    let after = desk.checksum().await?;
    let again = desk.call(&everything).await?;
    ensure!(again.status.code() == Some(1), "there was something to replay: {again:?}");
    ensure!(desk.checksum().await? == after, "a second replay changed the database");
    // What was discarded stays discarded.
    desk.json(&["replay", &junk, "--yes"], 3).await?;
    let letters = desk.world.letters_in("discarded", 1).await?;
    ensure!(letters.iter().all(|letter| !is_open(&letter.state)), "{letters:?}");
    desk.world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn replays_that_are_killed_and_replays_at_once_have_their_effects_once() -> Result<()> {
    const ROUNDS: usize = 3;
    let desk = Desk::set("killed_replays").await?;
    let projector = desk.world.projector()?.start().await?;
    for round in 1..=ROUNDS {
        desk.a_bad_round(round * DEVICES).await?;
    }
    desk.world.letters_in("parked", ROUNDS * DEVICES).await?;
    desk.mend().await?;

    let replay = ["replay", "--code", "23514", "--yes"];
    let mut kills = 0;
    for round in 0..10_u64 {
        let mut child = desk.tool.spawn(&[&replay[..], &["--rate", "10/s"]].concat())?;
        // Within the time that so many letters take at that rate, start included.
        tokio::time::sleep(Duration::from_millis(20 + round * 17)).await;
        kills += u32::from(child.try_wait()?.is_none());
        child.kill().await?;
    }
    ensure!(kills == 10, "only {kills} calls were killed in the middle");
    let open = desk.world.letters().await?.iter().filter(|l| is_open(&l.state)).count();
    println!("after ten kills {open} of {} letters are open", ROUNDS * DEVICES);
    let (one, two) = tokio::join!(desk.call(&replay), desk.call(&replay));
    one?;
    two?;
    let letters = desk.world.letters().await?;
    ensure!(letters.iter().all(|letter| !is_open(&letter.state)), "{letters:?}");
    desk.world.must_equal_the_log().await?;
    let count = i64::try_from(ROUNDS * DEVICES)?;
    ensure!(desk.audited().await? == (count, count), "the audit is {:?}", desk.audited().await?);
    projector.ready().await
}
