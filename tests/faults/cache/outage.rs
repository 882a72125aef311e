//! A Redis that is gone: reads and writes go on, tokens hold, and when it is back it is used again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use test_support::{alone, eventually_within};
use tokio::task::JoinSet;

use super::checker::{Broken, Key};
use super::connection::Connection;
use super::deployment::Deployment;
use super::scene::Scene;

/// Clients, each with keys of its own, and what each of them does: rounds of a write and two reads.
const CLIENTS: usize = 8;
const KEYS: usize = 4;
const ROUNDS: usize = 60;

/// Longer than trust takes to lapse: a read with a token waits for it once.
const WAITS: &str = "prefer: wait=5\r\n";

/// Far above what is seen, and far below what a time-out would cost.
const SLOW: Duration = Duration::from_secs(1);

/// Redis is left alone for longer each time that it was lost soon after.
const BACK: Duration = Duration::from_secs(30);

/// How long each step took.
#[derive(Debug, Default)]
struct Times {
    writes: Vec<Duration>,
    /// Reads that waited for the write before them.
    with_token: Vec<Duration>,
    reads: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_everything_goes_on_and_when_it_is_back_it_is_used_again() -> Result<()> {
    let _alone = alone().await?;
    let deployment = Deployment::start("redis_gone").await?;
    let names = (0..CLIENTS * KEYS).map(|number| format!("device-{number}"));
    let scene = Scene::new(&deployment, names, CLIENTS * KEYS)?;
    let everyone = Everyone { deployment: &deployment, scene: Arc::new(scene) };

    everyone.warm().await?;
    everyone.rounds("with Redis", true).await?;
    deployment.redis.kill9()?;
    everyone.rounds("Redis killed", false).await?;
    deployment.redis.start_again().await?;
    everyone.warm().await?;
    everyone.rounds("with Redis", true).await?;
    deployment.redis.freeze()?;
    everyone.rounds("Redis frozen", false).await?;
    deployment.redis.thaw()?;
    everyone.warm().await?;

    deployment.world.level().await?;
    deployment.world.must_equal_the_log().await.map(drop)
}

struct Everyone<'a> {
    deployment: &'a Deployment,
    scene: Arc<Scene>,
}

impl Everyone<'_> {
    /// Waits until every key is a hit on both sides.
    async fn warm(&self) -> Result<()> {
        let scene = &self.scene;
        for query_api in &self.deployment.query_apis {
            let mut connection = Connection::new(query_api.running.address());
            for key in &scene.checker.keys {
                eventually_within(BACK, &format!("{} is a hit", key.name), async || {
                    let before = scene.tally.now();
                    let is_answered = scene.read(&mut connection, key, &key.begin(true), "").await;
                    let counts = scene.tally.now().since(before);
                    ensure!(is_answered && counts.hits == 1, "it was {counts:?}");
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Everybody writes and reads; says how long it took, and refuses refusals.
    async fn rounds(&self, what: &str, with_redis: bool) -> Result<()> {
        let before = self.scene.tally.now();
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let query_api = &self.deployment.query_apis[number % 2];
            let client = Client {
                scene: self.scene.clone(),
                number,
                writes: Connection::new(self.deployment.command_api.address()),
                reads: Connection::new(query_api.running.address()),
            };
            clients.spawn(client.rounds());
        }
        let mut times = Times::default();
        while let Some(client) = clients.join_next().await {
            times.add(client.context("a client panicked")?);
        }
        let counts = self.scene.tally.now().since(before);
        eprintln!("{what}: {}", times.told()?);
        eprintln!(
            "  reads {}, hits {:.1} %; refused: writes {}, reads {}, with a token {}",
            counts.reads,
            counts.hit_rate(),
            counts.rewritten,
            counts.errors,
            counts.behind
        );
        let refused = counts.rewritten + counts.errors + counts.behind;
        ensure!(refused == 0, "{what}: {counts:?}");
        ensure!((counts.hits > 0) == with_redis, "{what}: {counts:?}");
        let slow = times.writes.iter().chain(&times.reads).filter(|took| **took > SLOW).count();
        ensure!(slow <= CLIENTS, "{what}: {slow} steps took longer than {SLOW:?}");
        let broken = self.scene.checker.broken_rules();
        let none = Broken { stale: 0, lies: 0, impossible: 0 };
        ensure!(broken == none, "{what}: {}", self.scene.checker.faults().join("\n"));
        Ok(())
    }
}

struct Client {
    scene: Arc<Scene>,
    number: usize,
    writes: Connection,
    reads: Connection,
}

impl Client {
    async fn rounds(mut self) -> Times {
        let (scene, mut times) = (self.scene.clone(), Times::default());
        for round in 0..ROUNDS {
            let key: &Key = &scene.checker.keys[self.number * KEYS + round % KEYS];
            let began = Instant::now();
            scene.write(&mut self.writes, key).await;
            times.writes.push(began.elapsed());
            let began = Instant::now();
            scene.read(&mut self.reads, key, &key.begin(true), WAITS).await;
            times.with_token.push(began.elapsed());
            let began = Instant::now();
            scene.read(&mut self.reads, key, &key.begin(false), "").await;
            times.reads.push(began.elapsed());
        }
        times
    }
}

impl Times {
    fn add(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.with_token.extend(other.with_token);
        self.reads.extend(other.reads);
    }

    fn told(&mut self) -> Result<String> {
        let told = |what: &str, times: &mut Vec<Duration>| {
            times.sort_unstable();
            let at = |percent: usize| times.get(times.len() * percent / 100);
            let (half, most) = (at(50).context("no times")?, at(99).context("no times")?);
            anyhow::Ok(format!("{what} p50 {half:.2?} p99 {most:.2?}"))
        };
        Ok([
            told("POST", &mut self.writes)?,
            told("GET with a token", &mut self.with_token)?,
            told("GET", &mut self.reads)?,
        ]
        .join(", "))
    }
}
