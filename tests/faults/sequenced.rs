//! A projection that keeps the order of a stream: what comes behind a letter waits, in order.

mod decided;
mod stage;
mod versions;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::device::DeviceEvent;
use kafka_io::topic::Topic;
use projector::letters::replay::{Mode, Outcome};
use projector::runner::{Order, Projection};
use read_models::recorded::{RecordPlace, Recorded};
use serde_json::{Value, json};
use sqlx::PgConnection;
use test_support::{a_report, eventually};

use stage::{Stage, Staged};

/// Keeps every payload of a device.
#[derive(Default)]
struct Trail;

impl Projection for Trail {
    const NAME: &'static str = "trail";
    const TOPIC: Topic = Topic::EventsInput;
    const ORDER: Order = Order::Sequenced;
    type Event = DeviceEvent;

    async fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<DeviceEvent>],
    ) -> Result<u64, sqlx::Error> {
        for record in batch {
            let DeviceEvent::Reported(event) = &record.event;
            sqlx::query(
                "INSERT INTO trails AS t (generation, id, kept, log_offset)
                 VALUES ($1, $2, ARRAY[$3], $4)
                 ON CONFLICT (generation, id) DO UPDATE
                 SET kept = t.kept || excluded.kept, log_offset = excluded.log_offset
                 WHERE t.log_offset < excluded.log_offset",
            )
            .bind(generation)
            .bind(event.device_id.as_str())
            .bind(&event.payload)
            .bind(record.position.offset)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(batch.len() as u64)
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        _: &RecordPlace,
    ) -> Result<BTreeMap<String, Value>, sqlx::Error> {
        let kept: Option<Vec<String>> =
            sqlx::query_scalar("SELECT kept FROM trails WHERE generation = $1 AND id = $2")
                .bind(generation)
                .bind(stream_id)
                .fetch_optional(connection)
                .await?;
        Ok(kept.map(|kept| ("trails".to_owned(), json!(kept))).into_iter().collect())
    }
}

impl Staged for Trail {
    const LIKE: &'static str = "resource";
    const TABLE: &'static str = "trails";
    const MORE: &'static str = ", log_offset bigint NOT NULL";
    type Kept = String;
    const TYPE: &'static str = "text";
}

impl Stage<Trail> {
    /// With a table that refuses what is bad.
    async fn of_trails(name: &str) -> Result<Self> {
        let stage = Self::set(name).await?;
        stage.refuse(NO_BAD, "NOT kept @> ARRAY['\"bad\"']").await?;
        Ok(stage)
    }

    async fn say(&self, device: &str, payloads: &[&str]) -> Result<()> {
        let reports = payloads.iter().map(|payload| a_report(device).saying(*payload));
        self.world.log()?.append(reports).await
    }
}

const NO_BAD: &str = "no_bad";

#[tokio::test]
async fn what_comes_behind_a_letter_waits_in_order_through_park_restart_and_replay() -> Result<()> {
    let stage = Stage::of_trails("sequenced").await?;
    let runner = stage.run()?;
    stage.say("d", &["0", "\"bad\"", "1", "2"]).await?;
    stage.say("other", &["1", "2"]).await?;
    let letters = stage.world.letters_in("blocked", 2).await?;
    let head = letters.iter().find(|letter| letter.state != "blocked").context("no head")?.id;
    stage.kept_is("other", &["1", "2"]).await?;
    stage.say("d", &["3", "4"]).await?;
    stage.world.letters_in("blocked", 4).await?;
    stage.world.letters_in("parked", 1).await?;
    ensure!(stage.kept("d").await? == ["0"], "something overtook the letter");
    ensure!(stage.parked_keys().await? == 1, "the stream is not parked");

    // Another runner knows of it, too, and so do two that share the partitions.
    runner.stop().await;
    let runner = stage.run()?;
    stage.say("d", &["5"]).await?;
    stage.world.letters_in("blocked", 5).await?;
    let second = stage.run()?;
    eventually("both runners have partitions", async || {
        let (ours, theirs) = (runner.progress().partitions(), second.progress().partitions());
        ensure!(!ours.is_empty() && !theirs.is_empty(), "{} and {}", ours.len(), theirs.len());
        Ok(())
    })
    .await?;
    // Without its cause mended, nothing moves.
    let outcomes = stage.replay(head, Mode::Commit).await?;
    ensure!(matches!(outcomes[..], [Outcome::Failed(_)]), "{outcomes:?}");
    stage.take_again(NO_BAD).await?;
    let before = stage.world.letters().await?;
    let outcomes = stage.replay(head, Mode::DryRun).await?;
    ensure!(outcomes.len() == 6 && stage.world.letters().await? == before, "{outcomes:?}");
    ensure!(stage.kept("d").await? == ["0"], "a dry run changed a row");

    // Under live traffic of the very stream.
    let live: Vec<String> = (6..60).map(|n| n.to_string()).collect();
    let (replayed, said) = tokio::join!(stage.replay(head, Mode::Commit), async {
        for payload in &live {
            stage.say("d", &[payload]).await?;
        }
        anyhow::Ok(())
    });
    replayed?;
    said?;
    // Its partitions go to the other one while letters wait.
    second.stop().await;
    // What came behind it while the replay held the stream is replayed like the rest.
    eventually("the stream goes on", async || {
        if let Some(letter) = stage.world.letters().await?.iter().find(|l| l.state == "blocked") {
            stage.replay(letter.id, Mode::Commit).await?;
        }
        let trail = stage.kept("d").await?;
        ensure!(trail.len() == 1 + 6 + live.len(), "{} payloads are folded", trail.len());
        Ok(())
    })
    .await?;
    let all = ["0", "\"bad\"", "1", "2", "3", "4", "5"].map(str::to_owned);
    ensure!(stage.kept("d").await? == [&all[..], &live[..]].concat(), "the order is broken");
    ensure!(stage.parked_keys().await? == 0, "the stream is still parked");
    stage.say("d", &["last"]).await?;
    eventually("the stream is folded live again", async || {
        let trail = stage.kept("d").await?;
        ensure!(trail.last().is_some_and(|last| last == "last"), "it ends in {:?}", trail.last());
        Ok(())
    })
    .await?;
    runner.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_mended_in_time_goes_on_by_itself() -> Result<()> {
    let stage = Stage::of_trails("sequenced_retry").await?;
    let runner = stage.run()?;
    stage.say("d", &["\"bad\"", "1"]).await?;
    stage.say("d", &["2"]).await?;
    stage.world.letters_in("blocked", 2).await?;
    stage.take_again(NO_BAD).await?;
    stage.kept_is("d", &["\"bad\"", "1", "2"]).await?;
    ensure!(stage.parked_keys().await? == 0, "the stream is still parked");
    tokio::time::timeout(Duration::from_secs(10), runner.stop()).await?;
    Ok(())
}
