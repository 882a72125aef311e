//! What the two sides of `decide` are asked for, and what it costs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cpu;
use crate::decide_subject::config;
use crate::report::Measured;
use crate::world::World;

/// A decision that a side is to make.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Decision {
    /// Somebody new; everybody registers once.
    Register { person: usize },
    /// Another profile of somebody who has registered; each `mark` makes another one.
    Update { person: usize, mark: usize },
}

/// What makes decisions, or does what they come to.
pub(crate) trait Side: Send + Sync + 'static {
    fn decide(&self, decision: Decision) -> impl Future<Output = Result<()>> + Send;

    /// Ends its sessions.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// The decisions of one run. Connections and prepared statements are not what is compared: the first
/// decisions are not measured.
pub(crate) struct Turn {
    decisions: Arc<[Decision]>,
    warming: usize,
}

impl Turn {
    /// The decisions of the run of this number; `decision` gets a number that no other run has.
    pub(crate) fn new(run: usize, units: usize, decision: impl Fn(usize) -> Decision) -> Self {
        let length = Self::length(units);
        let decisions = (run * length..(run + 1) * length).map(decision).collect();
        Self { decisions, warming: length - units }
    }

    /// The decisions of a run in which so many are measured.
    pub(crate) fn length(units: usize) -> usize {
        units + units / 10
    }

    fn units(&self) -> usize {
        self.decisions.len() - self.warming
    }
}

/// What a turn costs a side, in as many tasks as it has connections.
pub(crate) async fn measure(
    world: &World,
    side: impl Side,
    name: &str,
    turn: &Turn,
) -> Result<Measured> {
    let tasks = config(world)?.decisions.connections;
    let mut database = world.connect().await?;
    let rows_before = rows(&mut database).await?;
    let side = Arc::new(side);
    drive(&side, tasks, turn, 0..turn.warming).await?;
    let (us, postgres) = (std::process::id(), world.pid("postgres")?);
    let before = (cpu::of_tree(us), cpu::of_tree(postgres));
    let wall = drive(&side, tasks, turn, turn.warming..turn.decisions.len()).await?;
    let cpu = vec![
        ("process", cpu::of_tree(us).saturating_sub(before.0)),
        ("postgres", cpu::of_tree(postgres).saturating_sub(before.1)),
    ];
    side.close().await;
    let rows = rows(&mut database).await? - rows_before;
    let (units, all) = (turn.units() as u64, turn.decisions.len() as u64);
    let name = format!("{name}, {tasks} connections");
    Ok(Measured { name, units, wall, cpu, rows: Some(rows * units / all) })
}

async fn drive(
    side: &Arc<impl Side>,
    tasks: u32,
    turn: &Turn,
    part: std::ops::Range<usize>,
) -> Result<Duration> {
    let next = Arc::new(AtomicUsize::new(part.start));
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (side, next, end) = (Arc::clone(side), Arc::clone(&next), part.end);
        let decisions = Arc::clone(&turn.decisions);
        running.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= end {
                    return Ok::<(), anyhow::Error>(());
                }
                side.decide(decisions[index]).await?;
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(started.elapsed())
}

/// Row versions written so far in the database; sessions tell theirs when they end, so it is asked until
/// it stands still.
async fn rows(database: &mut PgConnection) -> Result<u64> {
    let mut last = None;
    loop {
        let written: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
             FROM pg_stat_user_tables",
        )
        .fetch_one(&mut *database)
        .await
        .context("asking what was written")?;
        if last == Some(written) {
            return Ok(written.unsigned_abs());
        }
        last = Some(written);
        sleep(Duration::from_millis(1200)).await;
    }
}
