//! Processes that die between two steps of their work, each step in turn: nothing is lost, nothing
//! counts twice, and nobody is shown less than was shown before.
//!
//! The steps are the failpoints of the code (`docs/testing.md`).

mod replays;
mod traffic;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use test_support::{Caller, Launch, RedisServer, Running, World, eventually};
use traffic::{Readers, Traffic};

/// Devices of one step: few, so that they are hot.
const DEVICES: usize = 3;

/// Of one step, so that its writes are counted from 1.
fn devices(step: &str) -> impl Iterator<Item = String> {
    let step = step.replace('/', "-");
    (1..=DEVICES).map(move |n| format!("{step}-{n}"))
}

/// Writes of each device that are read back after a process has ended.
const A_WHILE: i64 = 10;

/// What ends a process at a step once it has passed it so often.
fn ends_at(launch: Launch, step: &str, passes: u32) -> Launch {
    launch.setting("FAILPOINTS", format!("{step}={passes}*off->return"))
}

/// Refuses any other end than at this step.
fn must_have_ended_at(step: &str, status: ExitStatus, said: &str) -> Result<()> {
    let has_said = said.contains(&format!("failpoint {step}: the process ends here"));
    ensure!(status.signal() == Some(9) && has_said, "not ended at {step} but {status}: {said}");
    Ok(())
}

/// Waits until the process has ended at the step, under traffic.
async fn ends(process: &mut Running, step: &str, traffic: &mut Traffic) -> Result<()> {
    match process.ended().await {
        Ok(status) => must_have_ended_at(step, status, &process.log()?),
        // Traffic that has stopped at a fault gets no process further.
        Err(error) => Err(traffic.fault().unwrap_or(error)).with_context(|| {
            format!("{step} is not reached, or the processes were built without failpoints")
        }),
    }
}

/// Everything that is logged is folded as if nothing had happened.
async fn must_be_whole(world: &World) -> Result<()> {
    world.level().await?;
    let oracle = world.must_equal_the_log().await?;
    let letters = world.letters().await?;
    let places: BTreeSet<_> = letters.iter().map(|l| (l.partition, l.log_offset)).collect();
    ensure!(places.len() == letters.len(), "a record is two letters");
    let open = letters.iter().filter(|letter| is_open(&letter.state));
    let open: Vec<_> = open.map(|letter| (letter.partition, letter.log_offset)).collect();
    let bad: Vec<_> = oracle.letters.into_keys().collect();
    ensure!(open == bad, "{} letters are open of {} bad records", open.len(), bad.len());
    Ok(())
}

fn is_open(state: &str) -> bool {
    matches!(state, "retrying" | "parked" | "blocked")
}

/// A step at which the projector ends, and how often it is passed before.
struct End {
    step: &'static str,
    passes: u32,
}

/// The processes whose projector dies, on a Redis that may be emptied.
struct Stage {
    world: World,
    redis: RedisServer,
    caller: Caller,
    _sides: [Running; 2],
}

impl Stage {
    /// `failpoints` are those of query-api.
    async fn set(name: &str, failpoints: &str) -> Result<Self> {
        let (world, redis) = (World::start(name).await?, RedisServer::start(&[]).await?);
        let command_api = world.command_api()?;
        let query_api = world.query_api()?.setting("REDIS_URL", redis.url());
        let query_api = query_api.setting("FAILPOINTS", failpoints);
        let (command_api, query_api) = tokio::try_join!(command_api.start(), query_api.start())?;
        tokio::try_join!(command_api.ready(), query_api.ready())?;
        let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;
        Ok(Self { world, redis, caller, _sides: [command_api, query_api] })
    }

    fn projector(&self) -> Result<Launch> {
        Ok(self.world.projector()?.setting("REDIS_URL", self.redis.url()))
    }

    fn traffic(&self, step: &str) -> Result<Traffic> {
        let readers = Readers { steady: &self.caller, doomed: None };
        let mut traffic = Traffic::start(&self.world, devices(step), &readers);
        traffic.add_bad_records(self.world.log()?);
        Ok(traffic)
    }

    /// The projector ends at the step, in the middle of traffic, and the next one goes on.
    /// `provoke` brings about what the step belongs to. Returns how many writes there were.
    async fn ends_at(
        &self,
        end: &End,
        provoke: impl AsyncFn(&Running) -> Result<()>,
    ) -> Result<i64> {
        let step = end.step;
        let mut traffic = self.traffic(step)?;
        let mut doomed = ends_at(self.projector()?, step, end.passes).start().await?;
        provoke(&doomed).await?;
        ends(&mut doomed, step, &mut traffic).await?;
        let next = self.projector()?.start().await?;
        traffic.goes_on(A_WHILE).await?;
        let written = traffic.end().await?;
        must_be_whole(&self.world).await?;
        next.ready().await?;
        Ok(written.values().sum())
    }

    /// Waits until every partition has agreed with this Redis.
    async fn is_settled(&self) -> Result<()> {
        eventually("every partition has agreed with Redis", async || {
            let (agreed, all): (i64, i64) =
                sqlx::query_as("SELECT count(cache_home), count(*) FROM positions")
                    .fetch_one(self.world.pool())
                    .await?;
            ensure!(agreed == all && all > 0, "{agreed} of {all} have");
            Ok(())
        })
        .await
    }
}

const OF_A_BATCH: [End; 7] = [
    End { step: "batch/positions-moved", passes: 40 },
    End { step: "batch/rows-written", passes: 40 },
    End { step: "batch/letters-written", passes: 2 },
    End { step: "batch/announced", passes: 40 },
    End { step: "batch/prepared", passes: 40 },
    End { step: "batch/committed", passes: 40 },
    End { step: "batch/cache-told", passes: 40 },
];

#[tokio::test]
async fn a_projector_that_dies_at_any_step_of_a_batch_is_followed_by_one_that_goes_on() -> Result<()>
{
    let stage = Stage::set("batch_steps", "").await?;
    for end in &OF_A_BATCH {
        let written = stage.ends_at(end, async |_: &Running| Ok(())).await.context(end.step)?;
        println!("{}: {written} writes", end.step);
    }
    Ok(())
}

/// Slower than the whole of a batch is else, so that readers get in between any two steps.
const DELAY: Duration = Duration::from_millis(15);

#[tokio::test]
async fn however_long_each_step_takes_nobody_is_shown_less_than_before() -> Result<()> {
    let slow = |steps: &[&str]| {
        let delays = steps.iter().map(|step| format!("{step}=return({})", DELAY.as_millis()));
        delays.collect::<Vec<_>>().join(";")
    };
    let stage = Stage::set("slow_steps", &slow(&OF_A_FILL)).await?;
    let of_a_batch: Vec<_> = OF_A_BATCH.iter().map(|end| end.step).collect();
    let projector = stage.projector()?.setting("FAILPOINTS", slow(&of_a_batch)).start().await?;
    projector.ready().await?;
    let posted = stage.caller.report("slow", "1").await?;
    let asked = Instant::now();
    stage.caller.read_after(&posted, "slow").await?;
    // Positions, rows, announcement, preparation: all before the commit.
    ensure!(asked.elapsed() > 3 * DELAY, "no step is slow: shown after {:?}", asked.elapsed());
    let mut traffic = stage.traffic("slow")?;
    traffic.goes_on(20 * A_WHILE).await?;
    traffic.end().await?;
    must_be_whole(&stage.world).await
}

#[tokio::test]
async fn a_projector_that_dies_while_it_settles_trust_leaves_nobody_with_old_bodies() -> Result<()>
{
    let stage = Stage::set("trust_steps", "").await?;
    let first = stage.projector()?.start().await?;
    stage.is_settled().await?;
    drop(first);
    let asked = End { step: "trust/time-asked", passes: 4 };
    stage.ends_at(&asked, async |_: &Running| Ok(())).await.context(asked.step)?;
    for step in ["trust/marked", "trust/raised"] {
        // An emptied Redis is one with which nothing was agreed.
        let emptied = async |projector: &Running| {
            projector.ready().await?;
            stage.redis.flush()
        };
        let end = End { step, passes: 0 };
        let written = stage.ends_at(&end, emptied).await.context(step)?;
        println!("{step}: {written} writes");
    }
    Ok(())
}

const OF_A_FILL: [&str; 3] = ["fill/lease-held", "fill/loaded", "fill/filled"];

#[tokio::test]
async fn a_query_api_that_dies_at_any_step_of_a_fill_keeps_nobody_else_from_reading() -> Result<()>
{
    let world = World::start("fill_steps").await?;
    // Bodies lapse all the time, so that they are filled in the middle of writes.
    let query_api =
        || Ok::<_, anyhow::Error>(world.query_api()?.setting("MILLRACE_CACHE_TTL_MS", 1_000));
    let (command_api, projector, steady) = (world.command_api()?, world.projector()?, query_api()?);
    let (command_api, projector, steady) =
        tokio::try_join!(command_api.start(), projector.start(), steady.start())?;
    tokio::try_join!(command_api.ready(), projector.ready(), steady.ready())?;
    let token = world.token().sign()?;
    let asks = |query_api: &Running| Caller::new(&command_api, query_api, &token);
    let steady = asks(&steady)?;
    for step in OF_A_FILL {
        let mut dying = ends_at(query_api()?, step, 2).start().await?;
        dying.ready().await?;
        let doomed = asks(&dying)?;
        let readers = Readers { steady: &steady, doomed: Some(&doomed) };
        let mut traffic = Traffic::start(&world, devices(step), &readers);
        ends(&mut dying, step, &mut traffic).await?;
        traffic.forget_slow_reads();
        traffic.goes_on(2 * A_WHILE).await?;
        // A lease lives for three seconds, whoever held it.
        let slowest = traffic.slowest_read();
        ensure!(slowest < Duration::from_secs(2), "{step}: a read waited {slowest:?}");

        let again = query_api()?.start().await?;
        again.ready().await?;
        let again = asks(&again)?;
        let written = traffic.end().await?;
        must_be_whole(&world).await?;
        for (device, writes) in &written {
            let read = again.read(device).await?;
            ensure!(read.json()?["version"] == *writes, "{step}: of {writes} writes: {read}");
        }
        let written: i64 = written.values().sum();
        println!("{step}: {written} writes, the slowest read took {slowest:?}");
    }
    projector.ready().await
}

/// As the Makefile builds a release, where no test is part of the build.
#[test]
fn a_release_has_no_failpoints() -> Result<()> {
    let crates = |features: &[&str]| {
        let output = Command::new("cargo")
            .args(["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none"])
            .args(
                ["command-api", "query-api", "projector", "dlq-replayer"]
                    .map(|p| ["-p", p])
                    .concat(),
            )
            .args(features)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .context("running cargo tree")?;
        let err = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo tree: {err}");
        String::from_utf8(output.stdout).context("what cargo tree prints")
    };
    let has_fail = |tree: String| tree.lines().any(|line| line.starts_with("fail "));
    ensure!(!has_fail(crates(&[])?), "a process depends on the crate of failpoints");
    ensure!(has_fail(crates(&["--features", "projector/failpoints"])?), "cargo tree shows nothing");
    Ok(())
}
