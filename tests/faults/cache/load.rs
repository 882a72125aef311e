//! Those who write, read and look into Postgres until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use test_support::World;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::checker::Key;
use super::connection::Connection;
use super::deployment::Deployment;
use super::dice::Dice;
use super::scene::{LONG_PAUSE, Scene};

/// Keys that are written and read all the time.
const HOT: usize = 50;

/// Events of each of the other keys, which are read before the first of them and soon after the
/// last one forgotten.
const EVENTS_OF_LATE: usize = 10;

/// Writers of the hot keys, and how often each of them writes.
const WRITERS: usize = 4;
const WRITE_EVERY: Duration = Duration::from_millis(40);

/// How often the writer of the other keys writes.
const LATE_EVERY: Duration = Duration::from_millis(50);

/// How often all that is read is looked up in Postgres.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Connections to each query-api of readers without and with tokens: these wait now and then.
const PLAIN: usize = 12;
const WITH_TOKEN: usize = 20;

/// A pause of a reader after each answer.
const PAUSE: Duration = Duration::from_millis(2);

/// Everybody, running.
pub(super) struct Load {
    pub(super) scene: Arc<Scene>,
    tasks: JoinSet<Result<()>>,
}

impl Load {
    /// Starts everybody, for about so long.
    pub(super) async fn start(deployment: &Deployment, time: Duration, seed: u64) -> Result<Self> {
        // Twice as many late keys as there is time for, since faults make a run longer.
        let late = 2 * time.as_millis() / LATE_EVERY.as_millis() / EVENTS_OF_LATE as u128;
        let hot = (0..HOT).map(|number| format!("hot-{number}"));
        let late = (0..late.max(10)).map(|number| format!("late-{number}"));
        let scene = Arc::new(Scene::new(deployment, hot.chain(late), HOT)?);
        let mut load = Self { scene, tasks: JoinSet::new() };
        load.start_writers(deployment, seed);
        load.start_readers(deployment, seed);
        let (scene, pool) = (load.scene.clone(), deployment.world.pool().clone());
        load.tasks.spawn(async move { scene.look_on(&pool).await });
        Ok(load)
    }

    fn start_writers(&mut self, deployment: &Deployment, seed: u64) {
        let address = deployment.command_api.address();
        for writer in 0..WRITERS {
            let scene = self.scene.clone();
            let dice = Dice::new(seed ^ (0xA000 + writer as u64));
            self.tasks.spawn(async move {
                scene.write_hot(Connection::new(address), dice, writer).await;
                Ok(())
            });
        }
        let scene = self.scene.clone();
        self.tasks.spawn(async move {
            scene.write_late(Connection::new(address)).await;
            Ok(())
        });
    }

    fn start_readers(&mut self, deployment: &Deployment, seed: u64) {
        for (instance, query_api) in deployment.query_apis.iter().enumerate() {
            for number in 0..PLAIN + WITH_TOKEN {
                let reader = Reader {
                    scene: self.scene.clone(),
                    connection: Connection::new(query_api.running.address()),
                    with_token: number >= PLAIN,
                    dice: Dice::new(seed ^ (0xB000 + 1_000 * instance as u64 + number as u64)),
                };
                self.tasks.spawn(async move {
                    reader.run().await;
                    Ok(())
                });
            }
        }
    }

    /// Refuses to go on if anybody gave up.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.tasks.try_join_next() {
            Some(ended) => ended.context("a task panicked")?.context("a task gave up"),
            None => Ok(()),
        }
    }

    /// Tells everybody to stop and waits until they have.
    pub(super) async fn stop(&mut self) -> Result<()> {
        self.scene.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a task panicked")??;
        }
        Ok(())
    }
}

impl Scene {
    async fn write_hot(&self, mut connection: Connection, mut dice: Dice, writer: usize) {
        let mut tick = ticks(WRITE_EVERY);
        while !self.is_stopped() {
            tick.tick().await;
            let place = writer + WRITERS * dice.below((HOT - writer).div_ceil(WRITERS));
            self.write(&mut connection, &self.checker.keys[place]).await;
        }
    }

    async fn write_late(&self, mut connection: Connection) {
        let mut tick = ticks(LATE_EVERY);
        for (place, key) in self.checker.keys.iter().enumerate().skip(HOT) {
            self.late.store(place, Ordering::Relaxed);
            for _ in 0..EVENTS_OF_LATE {
                tick.tick().await;
                if self.is_stopped() {
                    return;
                }
                self.write(&mut connection, key).await;
            }
        }
    }

    /// Looks again and again at all rows that are written.
    async fn look_on(&self, pool: &sqlx::PgPool) -> Result<()> {
        let mut tick = ticks(LOOK_EVERY);
        while !self.is_stopped() {
            tick.tick().await;
            let late = self.late.load(Ordering::Relaxed);
            let late = &self.checker.keys[late.saturating_sub(3).max(HOT)..=late];
            let keys: Vec<&Key> = self.hot().iter().chain(late).collect();
            self.look(pool, &keys).await.context("looking into Postgres")?;
        }
        Ok(())
    }
}

/// One connection that reads one key after another.
struct Reader {
    scene: Arc<Scene>,
    connection: Connection,
    with_token: bool,
    dice: Dice,
}

impl Reader {
    async fn run(mut self) {
        let scene = self.scene.clone();
        while !scene.is_stopped() {
            let key = self.draw(&scene);
            let begun = key.begin(self.with_token);
            let headers = if self.dice.one_in(8) {
                format!("if-none-match: \"1.{}\"\r\n", begun.floor)
            } else {
                String::new()
            };
            let answered = scene.read(&mut self.connection, key, &begun, &headers).await;
            tokio::time::sleep(if answered { PAUSE } else { LONG_PAUSE }).await;
        }
    }

    /// Mostly a hot key, now and then one that is about to be written for the first time.
    fn draw<'a>(&mut self, scene: &'a Scene) -> &'a Key {
        let keys = &scene.checker.keys;
        if !self.dice.one_in(10) {
            return &keys[self.dice.below(HOT)];
        }
        let late = scene.late.load(Ordering::Relaxed) + self.dice.below(3);
        &keys[(late - 1).clamp(HOT, keys.len() - 1)]
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Waits until the rows of the hot keys hold everything that was accepted before; for how long.
pub(super) async fn caught_up(scene: &Scene, patience: Duration) -> Option<Duration> {
    let began = Instant::now();
    let wanted: Vec<u64> =
        scene.hot().iter().map(|key| key.accepted.load(Ordering::Acquire)).collect();
    let mut tick = ticks(LOOK_EVERY / 2);
    while began.elapsed() < patience {
        let mut both = scene.hot().iter().zip(&wanted);
        if both.all(|(key, wanted)| key.row.load(Ordering::Acquire) >= *wanted) {
            return Some(began.elapsed());
        }
        tick.tick().await;
    }
    None
}

/// Reads every written key once from each instance, after everything; it must be its row.
pub(super) async fn read_all(scene: &Scene, deployment: &Deployment, world: &World) -> Result<()> {
    let rows = world.rows().await?;
    for (instance, query_api) in deployment.query_apis.iter().enumerate() {
        let mut connection = Connection::new(query_api.running.address());
        for key in scene.written() {
            let begun = key.begin(true);
            let request = scene.get(key, &begun, "");
            let reply = connection.ask(request.as_bytes()).await?;
            let version = reply.tagged_version();
            let row = rows.get(&key.name).map(|row| row.version.unsigned_abs());
            ensure!(
                scene.take(key, &begun, &reply) && version == row && row.is_some(),
                "query-api {instance} answers {} {version:?} for {}, whose row is {row:?}",
                reply.status,
                key.name
            );
        }
    }
    Ok(())
}
