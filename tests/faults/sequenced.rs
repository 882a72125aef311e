//! A projection that keeps the order of a stream: what comes behind a letter waits, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::device::DeviceEvent;
use event_schema::decode::Decoder;
use event_schema::registry::{Registry, RegistryConfig};
use kafka_io::topic::Topic;
use projector::letters::replay::{By, Mode, Outcome, Replay};
use projector::runner::{Late, Order, Projection, Runner, RunnerConfig};
use read_models::recorded::{RecordPlace, Recorded};
use serde_json::{Value, json};
use settings::Settings;
use sqlx::{Executor as _, PgConnection};
use test_support::{World, a_report, eventually};

/// Keeps every payload of a device, in the order in which it was folded.
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
                "INSERT INTO trails AS t (generation, id, payloads, log_offset)
                 VALUES ($1, $2, ARRAY[$3], $4)
                 ON CONFLICT (generation, id) DO UPDATE
                 SET payloads = t.payloads || excluded.payloads, log_offset = excluded.log_offset
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

    async fn fold_late(
        &self,
        _: &mut PgConnection,
        _: i32,
        _: &Recorded<DeviceEvent>,
    ) -> Result<Late, sqlx::Error> {
        // Nothing of this projection is ever folded out of order.
        Err(sqlx::Error::RowNotFound)
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        _: &RecordPlace,
    ) -> Result<BTreeMap<String, Value>, sqlx::Error> {
        let payloads: Option<Vec<String>> =
            sqlx::query_scalar("SELECT payloads FROM trails WHERE generation = $1 AND id = $2")
                .bind(generation)
                .bind(stream_id)
                .fetch_optional(connection)
                .await?;
        Ok(payloads.map(|payloads| ("trails".to_owned(), json!(payloads))).into_iter().collect())
    }
}

const TABLES: &str = "
    CREATE TABLE trails (generation integer, id text, payloads text[] NOT NULL,
                         log_offset bigint NOT NULL, PRIMARY KEY (generation, id),
                         CONSTRAINT no_bad CHECK (NOT payloads @> ARRAY['\"bad\"']));
    INSERT INTO generations (projection, generation, state) VALUES ('trail', 1, 'active');";

struct Stage {
    world: World,
}

impl Stage {
    async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        world.pool().execute(TABLES).await?;
        let schema = read_models::database::schema(world.prefix());
        let grant = format!("GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO projector");
        world.pool().execute(sqlx::AssertSqlSafe(grant)).await?;
        Ok(Self { world })
    }

    fn config(&self) -> Result<(RunnerConfig, RegistryConfig)> {
        // Members without a name of their own: any number may join.
        let launch = self.world.projector()?.without("MILLRACE_INSTANCE");
        let mut settings = Settings::new(launch.settings());
        let projections = projector::Config::from_settings(&mut settings).projections;
        let config = projections.resource.context("resource is not run")?;
        settings.finish(()).context("the settings of the projector")?;
        let registry = config.registry.clone();
        Ok((config, registry))
    }

    fn run(&self) -> Result<Runner> {
        Ok(Runner::start(self.config()?.0, Trail))
    }

    async fn say(&self, device: &str, payloads: &[&str]) -> Result<()> {
        let reports = payloads.iter().map(|payload| a_report(device).saying(*payload));
        self.world.log()?.append(reports).await
    }

    async fn trail(&self, device: &str) -> Result<Vec<String>> {
        let trail: Option<Vec<String>> =
            sqlx::query_scalar("SELECT payloads FROM trails WHERE id = $1")
                .bind(device)
                .fetch_optional(self.world.pool())
                .await?;
        Ok(trail.unwrap_or_default())
    }

    async fn trail_is(&self, device: &str, payloads: &[&str]) -> Result<()> {
        eventually(&format!("the trail of {device} is {payloads:?}"), async || {
            let trail = self.trail(device).await?;
            ensure!(trail == payloads, "it is {trail:?}");
            Ok(())
        })
        .await
    }

    async fn parked_keys(&self) -> Result<i64> {
        let counted: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT coalesce(sum(parked_keys), 0)::bigint FROM positions),
                    (SELECT count(*) FROM parked_keys)",
        )
        .fetch_one(self.world.pool())
        .await?;
        ensure!(
            counted.0 == counted.1,
            "positions count {} parked keys of {}",
            counted.0,
            counted.1
        );
        Ok(counted.0)
    }

    /// Replays the stream of the letter as an operator.
    async fn replay(&self, letter: sqlx::types::Uuid, mode: Mode) -> Result<Vec<Outcome>> {
        let decoder = Decoder::new(self.world.log()?.known_ids());
        let registry = Registry::new(&self.config()?.1)?;
        let replay =
            Replay { projection: &Trail, decoder: &decoder, registry: &registry, announcer: None };
        let mut connection = self.world.pool().acquire().await?;
        let by = By::Operator { who: "an-operator", reason: Some("mended") };
        let report = replay.letter(&mut connection, letter, by, mode).await?;
        Ok(report.letters.into_iter().map(|replayed| replayed.outcome).collect())
    }

    async fn mend(&self) -> Result<()> {
        self.world.pool().execute("ALTER TABLE trails DROP CONSTRAINT no_bad").await?;
        Ok(())
    }
}

#[tokio::test]
async fn what_comes_behind_a_letter_waits_in_order_through_park_restart_and_replay() -> Result<()> {
    let stage = Stage::set("sequenced").await?;
    let runner = stage.run()?;
    stage.say("d", &["0", "\"bad\"", "1", "2"]).await?;
    stage.say("other", &["1", "2"]).await?;
    let letters = stage.world.letters_in("blocked", 2).await?;
    let head = letters.iter().find(|letter| letter.state != "blocked").context("no head")?.id;
    stage.trail_is("other", &["1", "2"]).await?;
    stage.say("d", &["3", "4"]).await?;
    stage.world.letters_in("blocked", 4).await?;
    stage.world.letters_in("parked", 1).await?;
    ensure!(stage.trail("d").await? == ["0"], "something overtook the letter");
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
    stage.mend().await?;
    let before = stage.world.letters().await?;
    let outcomes = stage.replay(head, Mode::DryRun).await?;
    ensure!(outcomes.len() == 6 && stage.world.letters().await? == before, "{outcomes:?}");
    ensure!(stage.trail("d").await? == ["0"], "a dry run changed a row");

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
        let trail = stage.trail("d").await?;
        ensure!(trail.len() == 1 + 6 + live.len(), "{} payloads are folded", trail.len());
        Ok(())
    })
    .await?;
    let all = ["0", "\"bad\"", "1", "2", "3", "4", "5"].map(str::to_owned);
    ensure!(stage.trail("d").await? == [&all[..], &live[..]].concat(), "the order is broken");
    ensure!(stage.parked_keys().await? == 0, "the stream is still parked");
    stage.say("d", &["last"]).await?;
    eventually("the stream is folded live again", async || {
        let trail = stage.trail("d").await?;
        ensure!(trail.last().is_some_and(|last| last == "last"), "it ends in {:?}", trail.last());
        Ok(())
    })
    .await?;
    runner.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_mended_in_time_goes_on_by_itself() -> Result<()> {
    let stage = Stage::set("sequenced_retry").await?;
    let runner = stage.run()?;
    stage.say("d", &["\"bad\"", "1"]).await?;
    stage.say("d", &["2"]).await?;
    stage.world.letters_in("blocked", 2).await?;
    stage.mend().await?;
    stage.trail_is("d", &["\"bad\"", "1", "2"]).await?;
    ensure!(stage.parked_keys().await? == 0, "the stream is still parked");
    tokio::time::timeout(Duration::from_secs(10), runner.stop()).await?;
    Ok(())
}
