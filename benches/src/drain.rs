//! A projector that drains the backlog of a world: what its runs have in common.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sqlx::{Executor as _, PgConnection};
use tokio::time::sleep;

use crate::child::Process;
use crate::world::World;

/// How a projector drains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    /// Events in the backlog.
    pub(crate) events: u64,
    /// Records of a batch.
    pub(crate) batch: usize,
    pub(crate) lanes: usize,
    /// Whether Redis is told of commits.
    pub(crate) cache: Cache,
}

/// `MILLRACE_CACHE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    On,
    Off,
}

impl Cache {
    /// As it is set.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl Drain {
    /// Sets every position back to its beginning, as nobody's, before rows that do not exist yet.
    pub(crate) async fn set_back(database: &mut PgConnection) -> Result<()> {
        database.execute("TRUNCATE resource_rows, seen").await?;
        let set_back =
            "UPDATE positions SET next_offset = 0, last_record = NULL, assignment = NULL";
        database.execute(set_back).await?;
        Ok(())
    }

    /// Starts the projector; returns once all positions are its own.
    pub(crate) async fn start(
        &self,
        world: &World,
        database: &mut PgConnection,
    ) -> Result<Process> {
        let process = self.spawn(world)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while unclaimed(database).await? > 0 {
            ensure!(Instant::now() < deadline, "the projector was not given all partitions");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(process)
    }

    fn spawn(&self, world: &World) -> Result<Process> {
        let mut settings = world.settings();
        settings.extend(
            [
                ("MILLRACE_CACHE", self.cache.name().to_owned()),
                ("MILLRACE_PROJECTOR_LANES", self.lanes.to_string()),
                ("MILLRACE_PROJECTOR_BATCH_RECORDS", self.batch.to_string()),
                ("MILLRACE_PROJECTOR_BIND", "127.0.0.1:0".to_owned()),
                ("MILLRACE_INSTANCE", "bench".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Process::start("projector", &settings, &[])
    }

    /// Waits until all is folded; returns the time since the first batch was.
    pub(crate) async fn until_folded(
        &self,
        process: &mut Process,
        database: &mut PgConnection,
    ) -> Result<Duration> {
        let mut began = None;
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let position = position(database).await?;
            if position > 0 {
                began.get_or_insert_with(Instant::now);
            }
            if position >= self.events {
                return Ok(began.map_or(Duration::ZERO, |began| began.elapsed()));
            }
            if let Some(status) = process.ended()? {
                bail!("the projector ended: {status}");
            }
            if Instant::now() > deadline {
                bail!("the backlog was not drained in time: {position} of {}", self.events);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn unclaimed(database: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar("SELECT count(*) FROM positions WHERE assignment IS NULL");
    Ok(count.fetch_one(database).await?)
}

/// Records that are folded.
async fn position(database: &mut PgConnection) -> Result<u64> {
    let sum: Option<i64> = sqlx::query_scalar("SELECT sum(next_offset)::bigint FROM positions")
        .fetch_one(database)
        .await?;
    Ok(sum.unwrap_or_default().unsigned_abs())
}

/// Row versions written so far; sessions report theirs when they end or pause, so it is asked until
/// it stands still.
pub(crate) async fn rows(database: &mut PgConnection, table: &str) -> Result<u64> {
    let mut last = None;
    loop {
        let written: Option<i64> = sqlx::query_scalar(
            "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = $1",
        )
        .bind(table)
        .fetch_optional(&mut *database)
        .await?;
        if last == Some(written) {
            return Ok(written.unwrap_or_default().unsigned_abs());
        }
        last = Some(written);
        sleep(Duration::from_millis(1200)).await;
    }
}
