//! What the cache costs a projector whose keys nobody reads: the same backlog with the cache on and
//! off, in turns.

use std::time::Duration;

use anyhow::{Result, ensure};
use read_cache::times::{MARGIN, TRUST};
use sqlx::{Executor as _, PgConnection};
use tokio::time::sleep;

use crate::child::Process;
use crate::cpu;
use crate::drain::{Cache, Drain};
use crate::report::{Measured, compare_turns};
use crate::world::World;

/// How long a projector is held once its partitions are its own. Without the cache it folds nothing
/// before the trust of a predecessor has lapsed: with it, it is to wait as long.
const HELD: Duration = TRUST.saturating_add(MARGIN).saturating_add(MARGIN);

/// Drains the backlog of so many events in batches of so many, `runs` times on each side.
pub(crate) async fn compare(
    world: &World,
    runs: usize,
    (events, batch): (u64, usize),
) -> Result<()> {
    let drain = |cache| Drain { events, batch, lanes: 2, cache };
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        off.push(measure(world, drain(Cache::Off)).await?);
        on.push(measure(world, drain(Cache::On)).await?);
    }
    compare_turns("project: cache on against off, no key cached", on, off)
}

async fn measure(world: &World, drain: Drain) -> Result<Measured> {
    let mut database = world.connect().await?;
    Drain::set_back(&mut database).await?;
    let (postgres, redis) = (world.pid("postgres")?, world.pid("redis")?);
    let servers = || [cpu::of_tree(postgres), cpu::of_tree(redis)];
    let before = servers();
    // What it fetches and decodes while it is held is part of the work.
    let mut process = start_held(world, drain, &mut database).await?;
    let generations_before = cache_generations(&mut database).await?;
    database.execute("UPDATE generations SET brake = NULL, braked_at = NULL").await?;
    let wall = drain.until_folded(&mut process, &mut database).await?;
    let (own, after) = (process.cpu(), servers());
    drop(process);
    // Every commit that Redis is not told of raises the generation.
    let has_told = cache_generations(&mut database).await? == generations_before;
    let cache = drain.cache.name();
    ensure!(
        has_told == (drain.cache == Cache::On),
        "with the cache {cache}, Redis was not used so"
    );
    Ok(Measured {
        name: format!(
            "projector, {} lanes, batches of {}, cache {cache}",
            drain.lanes, drain.batch
        ),
        units: drain.events,
        wall,
        cpu: vec![
            ("projector", own),
            ("postgres", after[0] - before[0]),
            ("redis", after[1] - before[1]),
        ],
        rows: None,
    })
}

/// Starts a projector that stands still, its queues full, until its brake is released.
async fn start_held(world: &World, drain: Drain, database: &mut PgConnection) -> Result<Process> {
    database.execute("UPDATE generations SET brake = 'held by a bench', braked_at = now()").await?;
    let process = drain.start(world, database).await?;
    sleep(HELD).await;
    Ok(process)
}

async fn cache_generations(database: &mut PgConnection) -> Result<Vec<i64>> {
    let all =
        sqlx::query_scalar("SELECT cache_generation FROM positions ORDER BY topic, partition");
    Ok(all.fetch_all(database).await?)
}
