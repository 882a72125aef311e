//! Letting things go wrong, one after the other, and putting them right.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use test_support::{Link, RedisServer, Resp};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::deployment::Deployment;
use super::load::{Load, caught_up};
use super::scene::Scene;
use super::schedule::{Mishap, Planned};

/// Longest time in which the view has to catch up after a mishap, whatever follows it.
const CATCH_UP: Duration = Duration::from_secs(40);

/// What Redis evicts has not been used for so long: longer than what protects a commit stands.
const OLD: Duration = Duration::from_secs(12);

/// Values that nobody reads: their size, and how many are written in a second while Redis evicts.
const JUNK_BYTES: usize = 4_096;
const JUNK_PER_SECOND: u32 = 250;

/// A mishap that happened; times since the beginning.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) mishap: Mishap,
    pub(super) victim: usize,
    pub(super) began: Duration,
    pub(super) ended: Duration,
    /// From its end until the view held everything that had been accepted until then.
    pub(super) caught_up: Option<Duration>,
    /// Keys that Redis has evicted.
    pub(super) evicted: u64,
}

/// Lets everything that is planned happen.
pub(super) async fn all(
    deployment: &mut Deployment,
    load: &mut Load,
    planned: &[Planned],
) -> Result<Vec<Happened>> {
    let scene = load.scene.clone();
    let mut junk = Junk::default();
    junk.fill(&deployment.redis)?;
    let (mut happened, mut waits) = (Vec::new(), JoinSet::new());
    for one in planned {
        sleep(one.rest).await;
        if one.mishap == Mishap::Evict {
            sleep(junk.filled_at.map_or(Duration::ZERO, |at| OLD.saturating_sub(at.elapsed())))
                .await;
        }
        load.check()?;
        scene.set_under_way(&format!("{:?} of {}", one.mishap, one.victim));
        let began = scene.began.elapsed();
        let evicted = deployment.happen(one, &mut junk).await;
        let evicted = evicted.with_context(|| format!("{one:?}"))?;
        scene.set_under_way(&format!("after {:?} of {}", one.mishap, one.victim));
        let (place, ended) = (happened.len(), scene.began.elapsed());
        let waiting = scene.clone();
        waits.spawn(async move { (place, caught_up(&waiting, CATCH_UP).await) });
        let Planned { mishap, victim, .. } = *one;
        happened.push(Happened { mishap, victim, began, ended, caught_up: None, evicted });
        if mishap.empties_redis() {
            junk.fill(&deployment.redis)?;
        }
    }
    at_rest(deployment, &scene).await?;
    while let Some(waited) = waits.join_next().await {
        let (place, caught_up) = waited.context("a wait panicked")?;
        happened[place].caught_up = caught_up;
    }
    Ok(happened)
}

/// Everything is as it should be, and stays so for a moment.
async fn at_rest(deployment: &Deployment, scene: &Arc<Scene>) -> Result<()> {
    for process in deployment.projectors.iter().chain(&deployment.query_apis) {
        process.running.ready().await?;
    }
    caught_up(scene, CATCH_UP).await.context("the view does not catch up").map(drop)
}

impl Deployment {
    /// Lets one thing go wrong and puts it right; returns how many keys Redis has evicted.
    async fn happen(&mut self, planned: &Planned, junk: &mut Junk) -> Result<u64> {
        let Planned { mishap, victim, lasts, .. } = *planned;
        let projector = &mut self.projectors[victim];
        let query_api = &self.query_apis[victim];
        match mishap {
            Mishap::KillProjector => {
                projector.running.kill9()?;
                sleep(lasts).await;
                projector.running = projector.launch.start().await?;
            }
            Mishap::FreezeProjector => {
                projector.running.sigstop()?;
                sleep(lasts).await;
                projector.running.sigcont()?;
            }
            Mishap::FlushRedis => self.redis.flush()?,
            Mishap::RestartRedis => {
                self.redis.kill9()?;
                sleep(lasts).await;
                self.redis.start_again().await?;
            }
            Mishap::FreezeRedis => {
                self.redis.freeze()?;
                sleep(lasts).await;
                self.redis.thaw()?;
            }
            Mishap::CutProjector => for_a_while(&projector.link, Link::Cut, lasts).await,
            Mishap::DeafenProjector => for_a_while(&projector.link, Link::OneWay, lasts).await,
            Mishap::DelayProjector => for_a_while(&projector.link, Link::Frozen, lasts).await,
            Mishap::CutQueryApi => for_a_while(&query_api.link, Link::Cut, lasts).await,
            Mishap::DeafenQueryApi => for_a_while(&query_api.link, Link::OneWay, lasts).await,
            Mishap::SlowLinks => {
                // Below the time-out of a writer, around that of a reader.
                let projector = for_a_while(&projector.link, slow(100), lasts);
                tokio::join!(projector, for_a_while(&query_api.link, slow(10), lasts));
            }
            Mishap::Evict => return junk.overflow(&self.redis, lasts).await,
        }
        Ok(0)
    }
}

async fn for_a_while(link: &test_support::Proxy, state: Link, lasts: Duration) {
    link.set(state);
    sleep(lasts).await;
    link.set(Link::Open);
}

fn slow(millis: u64) -> Link {
    Link::Slow(Duration::from_millis(millis))
}

/// What Redis is filled with.
#[derive(Debug, Default)]
struct Junk {
    written: u64,
    filled_at: Option<Instant>,
}

impl Junk {
    /// Writes until Redis is almost full, so that nothing is evicted yet.
    fn fill(&mut self, redis: &RedisServer) -> Result<()> {
        let full = redis.info("maxmemory")? / 100 * 95;
        let mut resp = redis.resp()?;
        while redis.info("used_memory")? < full {
            for _ in 0..50 {
                self.write(&mut resp)?;
            }
        }
        self.filled_at = Some(Instant::now());
        Ok(())
    }

    /// Writes more than there is room for; returns how many keys Redis has evicted.
    async fn overflow(&mut self, redis: &RedisServer, lasts: Duration) -> Result<u64> {
        let (before, began) = (redis.info("evicted_keys")?, Instant::now());
        let mut resp = redis.resp()?;
        let mut tick = tokio::time::interval(Duration::from_secs(1) / JUNK_PER_SECOND * 25);
        while began.elapsed() < lasts {
            tick.tick().await;
            for _ in 0..25 {
                self.write(&mut resp)?;
            }
        }
        Ok(redis.info("evicted_keys")?.saturating_sub(before))
    }

    fn write(&mut self, resp: &mut Resp) -> Result<()> {
        self.written += 1;
        let key = format!("junk:{}", self.written);
        resp.text(&["SET", &key, &"x".repeat(JUNK_BYTES)]).map(drop)
    }
}
