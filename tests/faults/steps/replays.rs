//! An operator's replay that dies between two steps.

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{Answer, Caller, Running, World};

use super::traffic::{Readers, Traffic};
use super::{A_WHILE, DEVICES, devices, ends_at, is_open, must_be_whole, must_have_ended_at};

/// The replay of one letter passes each of them once.
const OF_A_REPLAY: [(&str, Takes); 6] = [
    ("replay/locked", Takes::NoEffect),
    ("replay/folded", Takes::NoEffect),
    ("replay/settled", Takes::NoEffect),
    ("replay/announced", Takes::NoEffect),
    ("replay/committed", Takes::Effect),
    ("replay/told", Takes::Effect),
];

/// What is left of a replay that dies at a step.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    NoEffect,
    Effect,
}

/// A device that says nothing but what is refused: the replayed event is its newest.
fn quiet(step: &str) -> String {
    format!("{step}-quiet").replace('/', "-")
}

/// One of each device, the quiet one too.
const LETTERS: usize = DEVICES + 1;

const REPLAY: [&str; 6] = ["replay", "--code", "23514", "--yes", "--reason", "mended"];

struct Desk {
    world: World,
    caller: Caller,
    _sides: [Running; 2],
}

impl Desk {
    async fn set() -> Result<Self> {
        let world = World::start("replay_steps").await?;
        let (command_api, query_api) = (world.command_api()?, world.query_api()?);
        let (command_api, query_api) = tokio::try_join!(command_api.start(), query_api.start())?;
        tokio::try_join!(command_api.ready(), query_api.ready())?;
        let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;
        Ok(Self { world, caller, _sides: [command_api, query_api] })
    }

    /// The fold refuses an event of each device, and all are parked; what was answered to them.
    async fn parks(&self, step: &str) -> Result<Vec<(String, Answer)>> {
        let refuse = "ALTER TABLE resource_rows
             ADD CONSTRAINT no_bad CHECK ((payload ->> 'bad') IS NULL) NOT VALID";
        self.world.pool().execute(refuse).await?;
        let mut refused = Vec::new();
        for device in devices(step).chain([quiet(step)]) {
            let answer = self.caller.report(&device, r#"{"bad":true}"#).await?;
            refused.push((device, answer));
        }
        self.world.letters_in("retrying", LETTERS).await?;
        // As if they had been tried three times: with the next they are parked.
        let last_try =
            "UPDATE letters SET attempts = 3, next_try_at = now() WHERE state = 'retrying'";
        self.world.pool().execute(last_try).await?;
        self.world.letters_in("parked", LETTERS).await?;
        self.world.pool().execute("ALTER TABLE resource_rows DROP CONSTRAINT no_bad").await?;
        Ok(refused)
    }

    async fn open_letters(&self) -> Result<usize> {
        let letters = self.world.letters().await?;
        Ok(letters.iter().filter(|letter| is_open(&letter.state)).count())
    }

    /// Each letter that was settled was settled by one try, and the audit has one line of it.
    async fn each_is_settled_once(&self) -> Result<()> {
        let counts: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT l.state,
                    (SELECT count(*) FROM letter_tries t
                     WHERE t.letter_id = l.id AND t.outcome = l.state),
                    (SELECT count(*) FROM letter_actions a
                     WHERE a.letter_id = l.id AND a.action = 'replay' AND a.outcome = l.state)
             FROM letters l WHERE l.settled_at IS NOT NULL",
        )
        .fetch_all(self.world.pool())
        .await
        .context("counting tries and lines of the audit")?;
        for (state, tries, lines) in counts {
            let is_folded = matches!(&*state, "applied" | "superseded");
            ensure!(is_folded && (tries, lines) == (1, 1), "{state} by {tries}, {lines} lines");
        }
        Ok(())
    }

    /// Everything that is known of letters, but for the audit of what operators asked for.
    async fn tries(&self) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT t::text FROM letters t UNION ALL SELECT t::text FROM letter_tries t ORDER BY 1",
        )
        .fetch_all(self.world.pool())
        .await
        .context("reading letters and their tries")
    }

    /// Everything that is known of letters.
    async fn letters(&self) -> Result<Vec<String>> {
        let audit = "SELECT t::text FROM letter_actions t ORDER BY 1";
        let audit = sqlx::query_scalar(audit).fetch_all(self.world.pool()).await;
        Ok([self.tries().await?, audit.context("reading the audit")?].concat())
    }

    async fn replays_to_the_end(&self, exit: i32) -> Result<()> {
        let output = self.world.dlq_replayer()?.run(&REPLAY).await?;
        ensure!(output.status.code() == Some(exit), "the replay ends with {output:?}");
        Ok(())
    }

    /// The second letter's replay dies at the step; the next one takes what is left.
    /// Returns how many writes went on beside it.
    async fn dies_at(&self, step: &str, takes: Takes) -> Result<i64> {
        // A new one, whose brake knows nothing of the devices of the step before.
        let projector = self.world.projector()?.start().await?;
        // Before others write: a batch with a newer event of the device would not write the bad one.
        let refused = self.parks(step).await?;
        let readers = Readers { steady: &self.caller, doomed: None };
        let traffic = Traffic::start(&self.world, devices(step), &readers);
        traffic.shows(A_WHILE).await?;
        let unknown = self.caller.read(&quiet(step)).await?;
        ensure!(unknown.status == 404, "nothing of it is folded: {unknown}");

        let doomed = ends_at(self.world.dlq_replayer()?, step, 1).run(&REPLAY).await?;
        must_have_ended_at(step, doomed.status, &String::from_utf8_lossy(&doomed.stderr))?;
        let left = LETTERS - 1 - usize::from(takes == Takes::Effect);
        let open = self.open_letters().await?;
        ensure!(open == left, "{open} letters are open, not {left}");
        self.each_is_settled_once().await?;

        self.replays_to_the_end(0).await?;
        ensure!(self.open_letters().await? == 0, "letters are open after a replay");
        self.each_is_settled_once().await?;
        let before = self.letters().await?;
        self.replays_to_the_end(1).await?;
        ensure!(self.letters().await? == before, "a second replay left its traces");

        for (device, answer) in &refused {
            let read = self.caller.read_after(answer, device).await?;
            ensure!(read.status == 200, "a replayed event of {device} is not shown: {read}");
        }
        let written = traffic.end().await?;
        must_be_whole(&self.world).await?;
        for (device, writes) in &written {
            let read = self.caller.read(device).await?;
            ensure!(read.json()?["version"] == writes + 1, "{writes} writes and one more: {read}");
        }
        projector.ready().await?;
        Ok(written.values().sum())
    }
}

#[tokio::test]
async fn a_replay_that_dies_at_any_step_leaves_all_of_a_letter_or_nothing() -> Result<()> {
    let desk = Desk::set().await?;
    for (step, takes) in OF_A_REPLAY {
        let written = desk.dies_at(step, takes).await.context(step)?;
        println!("{step}: {written} writes");
    }
    Ok(())
}

/// What it told the cache lapses, and the server does not wait for that.
#[tokio::test]
async fn a_replay_that_takes_longer_than_its_word_to_the_cache_holds_is_ended() -> Result<()> {
    let desk = Desk::set().await?;
    let projector = desk.world.projector()?.start().await?;
    desk.parks("slow").await?;
    let before = desk.tries().await?;
    let stall = "replay/announced=1*return(9000)";
    let slow = desk.world.dlq_replayer()?.setting("FAILPOINTS", stall);
    let output = slow.run(&REPLAY).await?;
    ensure!(!output.status.success(), "the replay went through: {output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(told.contains("25P04"), "it ended for another reason: {told}");
    ensure!(desk.tries().await? == before, "it had an effect: {output:?}");
    desk.replays_to_the_end(0).await?;
    ensure!(desk.open_letters().await? == 0, "letters are open after a replay");
    projector.ready().await
}
