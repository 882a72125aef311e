//! Readers, writers and a seeded schedule of everything that can go wrong, for as long as is asked.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use test_support::alone;
use tokio::task::JoinHandle;

use super::checker::Broken;
use super::deployment::Deployment;
use super::load::{Load, read_all};
use super::mishap;
use super::report::{Report, Sample};
use super::scene::Scene;
use super::schedule::{Mishap, plan};

/// In seconds, where `SOAK_SECONDS` does not say.
const SECONDS: u64 = 40;

/// A run of so many seconds has to show all that a soak is for.
const LONG: u64 = 600;

/// How often counters are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_stale_and_no_token_is_lied_to_whatever_breaks() -> Result<()> {
    let seconds = number("SOAK_SECONDS")?.unwrap_or(SECONDS);
    let seed = match number("SOAK_SEED")? {
        Some(seed) => seed,
        None => std::time::UNIX_EPOCH.elapsed()?.as_secs(),
    };
    let _alone = alone().await?;
    let time = Duration::from_secs(seconds);
    let mut deployment = Deployment::start("soak").await?;
    let planned = plan(seed, time);
    let mut load = Load::start(&deployment, time, seed).await?;
    let sampling = Sampling::start(load.scene.clone());
    let happened = mishap::all(&mut deployment, &mut load, &planned).await;
    let took = load.scene.began.elapsed();
    load.stop().await?;
    let samples = sampling.end().await?;
    let scene = load.scene;
    let happened = happened.inspect_err(|_| eprintln!("{:#?}", scene.checker.faults()))?;

    let ended = must_end_well(&scene, &deployment).await;
    let broken = scene.checker.broken_rules();
    let report = Report { seed, took, broken, samples, happened };
    eprintln!("{report}");
    let faults = scene.checker.faults();
    let none = Broken { stale: 0, lies: 0, impossible: 0 };
    assert!(broken == none, "{broken:?}, seed {seed}:\n{}", faults.join("\n"));
    ended?;
    report.must_be_worth_it(seconds, planned.len())
}

/// Nobody writes any more: rows are the log, and reads are rows.
async fn must_end_well(scene: &Scene, deployment: &Deployment) -> Result<()> {
    deployment.world.level().await?;
    deployment.world.must_equal_the_log().await?;
    // The second time most of them are hits.
    for _ in 0..2 {
        read_all(scene, deployment, &deployment.world).await?;
    }
    Ok(())
}

impl Report {
    /// Refuses a run that could not have shown much.
    fn must_be_worth_it(&self, seconds: u64, planned: usize) -> Result<()> {
        let (counts, times) = (self.counts(), self.times());
        let wanted = if seconds >= LONG { 1_000_000 } else { 500 * seconds };
        ensure!(counts.reads >= wanted, "only {} reads", counts.reads);
        ensure!(counts.with_token > 0 && counts.unchanged > 0 && counts.missing > 0, "{counts:?}");
        ensure!(counts.hits > 0 && self.quiet().hits > 0, "nothing came from Redis");
        ensure!(self.happened.len() == planned, "of {planned} mishaps happened {times:?}");
        let least = if seconds >= LONG { 2 } else { 0 };
        for mishap in Mishap::ALL {
            let times = times.get(&mishap).copied().unwrap_or_default();
            ensure!(times >= least, "{mishap:?} happened {times} times");
        }
        let evicts = times.contains_key(&Mishap::Evict);
        ensure!(!evicts || self.evicted() > 0, "Redis has evicted nothing");
        let never = self.happened.iter().find(|one| one.caught_up.is_none());
        ensure!(never.is_none(), "the view did not catch up after {never:?}");
        Ok(())
    }
}

/// Looks at the counters until it is ended.
struct Sampling {
    scene: Arc<Scene>,
    task: JoinHandle<Vec<Sample>>,
    end: tokio::sync::oneshot::Sender<()>,
}

impl Sampling {
    fn start(scene: Arc<Scene>) -> Self {
        let (end, mut ended) = tokio::sync::oneshot::channel();
        let sampled = scene.clone();
        let task = tokio::spawn(async move {
            let (mut samples, mut tick) = (Vec::new(), tokio::time::interval(SAMPLE_EVERY));
            loop {
                tokio::select! {
                    _ = tick.tick() => samples.push(Sample::of(&sampled)),
                    _ = &mut ended => return samples,
                }
            }
        });
        Self { scene, task, end }
    }

    async fn end(self) -> Result<Vec<Sample>> {
        let _ = self.end.send(());
        let mut samples = self.task.await.context("the sampling panicked")?;
        samples.push(Sample::of(&self.scene));
        Ok(samples)
    }
}

impl Sample {
    fn of(scene: &Scene) -> Self {
        Self { at: scene.began.elapsed(), counts: scene.tally.now() }
    }
}

/// A number from the environment.
fn number(name: &str) -> Result<Option<u64>> {
    let text = std::env::var(name).ok();
    text.map(|text| text.parse().with_context(|| format!("{name} is {text}"))).transpose()
}
