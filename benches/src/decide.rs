//! `decide`: from a command to its committed events, against a bare transaction that writes the same
//! rows; the same over HTTP, published; and the time from a `PATCH` until a `GET` with its token shows it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::decide_baseline::{Bare, Places, Sample};
use crate::decide_people::People;
use crate::decide_served::Served;
use crate::decide_sides::{Decision, Side as _, Turn, measure};
use crate::decide_subject::Subject;
use crate::decide_visible;
use crate::report::{Measured, compare_turns, median};
use crate::world::World;

/// What is decided, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Decide {
    /// Users that register in one run.
    #[arg(long, default_value_t = 10_000)]
    registrations: usize,
    /// Profiles that are updated in one run.
    #[arg(long, default_value_t = 20_000)]
    updates: usize,
    /// Profiles that are updated over HTTP in one run.
    #[arg(long, default_value_t = 20_000)]
    requests: u64,
    /// Connections over HTTP, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Users whose profiles are updated over HTTP.
    #[arg(long, default_value_t = 2_000)]
    users: usize,
    /// Runs of each side, in turns; the median is reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Requests whose time to visibility is measured.
    #[arg(long, default_value_t = 3_000)]
    visible: usize,
}

/// Runs the benchmark and prints its lines.
pub(crate) async fn run(directory: &Path, decide: &Decide) -> Result<()> {
    let world = World::start(directory, "decide").await?;
    let bare = World::start(directory, "bare").await?;
    let served = World::start(directory, "served").await?;
    let outcome = all([&world, &bare, &served], decide).await;
    served.end().await?;
    bare.end().await?;
    world.end().await?;
    outcome
}

async fn all([world, bare, served]: [&World; 3], decide: &Decide) -> Result<()> {
    let sides = Sides::new(world, bare, decide).await?;
    sides.registrations(decide).await?;
    let served = Served::start(served, decide.users).await?;
    let most = sides.updates(decide, &served).await?;
    decide_visible::measure(&served, most / 10.0, decide.visible).await
}

/// Both sides, each in its world.
struct Sides<'a> {
    world: &'a World,
    bare: &'a World,
    people: Arc<People>,
    sample: Arc<Sample>,
    places: Arc<Places>,
}

impl<'a> Sides<'a> {
    async fn new(world: &'a World, bare: &'a World, decide: &Decide) -> Result<Self> {
        // And the one of whom the sample is taken.
        let count = 1 + decide.runs * Turn::length(decide.registrations);
        let (people, places) = (Arc::new(People::new(count)), Arc::new(Places::new(count)));
        let subject = Subject::open(world, &people).await?;
        let stream_id = format!("user-{}", people.id(0));
        let sample = Arc::new(Sample::take(world, &subject, &stream_id).await?);
        subject.close().await;
        let sides = Self { world, bare, people, sample, places };
        let first = sides.bare()?;
        first.decide(Decision::Register { person: 0 }).await?;
        first.close().await;
        Ok(sides)
    }

    fn bare(&self) -> Result<Bare> {
        Bare::open(self.bare, &self.people, &self.sample, &self.places)
    }

    /// The same turn of both sides.
    async fn take(&self, turn: &Turn) -> Result<(Measured, Measured)> {
        let bare = measure(self.bare, self.bare()?, "bare transaction", turn).await?;
        let subject = Subject::open(self.world, &self.people).await?;
        Ok((measure(self.world, subject, "Commands::decide", turn).await?, bare))
    }

    async fn registrations(&self, decide: &Decide) -> Result<()> {
        let (mut subject, mut baseline) = (Vec::new(), Vec::new());
        for run in 0..decide.runs {
            let register = |index| Decision::Register { person: 1 + index };
            let turn = Turn::new(run, decide.registrations, register);
            let (ours, bare) = self.take(&turn).await?;
            subject.push(ours);
            baseline.push(bare);
        }
        compare_turns("decide: registration", subject, baseline)
    }

    /// Returns how many updates a second were answered over HTTP.
    async fn updates(&self, decide: &Decide, served: &Served<'_>) -> Result<f64> {
        let (mut subject, mut baseline, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..decide.runs {
            let people = &self.people;
            let update =
                |index| Decision::Update { person: people.turn_of(index), mark: 1 + index };
            let (ours, bare) = self.take(&Turn::new(run, decide.updates, update)).await?;
            subject.push(ours);
            baseline.push(bare);
            whole.push(served.flood(decide.connections, decide.requests).await?);
        }
        let most = median(whole.clone()).context("no run was asked for")?.rate();
        compare_turns("decide", subject, baseline.clone())?;
        compare_turns("decide: over HTTP, answered when the log has it", whole, baseline)?;
        Ok(most)
    }
}
