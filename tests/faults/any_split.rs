//! However a log is cut into batches, delivered again and folded by whomever: the same rows.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use domain::Timestamp;
use domain::device::DeviceEvent;
use projector::resource::Resource;
use projector::runner::{Projection as _, Runner, RunnerConfig};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use read_models::recorded::{LogPosition, Recorded};
use settings::Settings;
use sqlx::PgConnection;
use test_support::{Outgoing, Report, World, a_report};

/// Events of a few devices at rising offsets with gaps, times that stand still or run.
fn a_log() -> impl Strategy<Value = Vec<Recorded<DeviceEvent>>> {
    prop::collection::vec((0..4_u8, 1..3_i64, 0..3_i64), 1..40).prop_map(|steps| {
        let (mut offset, mut time) = (-1, 1_800_000_000_000_000);
        steps
            .into_iter()
            .map(|(device, gap, later)| {
                (offset, time) = (offset + gap, time + later * 1000);
                let report = a_report(&format!("device-{device}")).saying(offset.to_string());
                Recorded {
                    event: DeviceEvent::Reported(report.event().clone()),
                    partition: 0,
                    position: LogPosition { epoch: 1, offset },
                    log_time: Timestamp(time),
                }
            })
            .collect()
    })
}

/// Where a batch ends, and how many records before it are delivered again with the next.
type Cuts = Vec<(usize, usize)>;

/// Payload, version, offset.
type Row = (String, i64, i64);

/// The rows after folding the log in these batches, within a transaction that is rolled back. The
/// late events are letters: each is folded alone, after as many batches as it says, or at the end.
async fn rows_of(
    world: &World,
    log: &[Recorded<DeviceEvent>],
    cuts: &Cuts,
    late: &BTreeMap<usize, usize>,
) -> Result<Vec<(String, Row)>> {
    let mut transaction = world.pool().begin().await?;
    let (mut from, mut reached) = (0, 0);
    let mut letters: BTreeMap<usize, usize> =
        late.iter().map(|(at, after)| (*at, *after)).filter(|(at, _)| *at < log.len()).collect();
    let is_late = letters.clone();
    for (number, (length, again)) in cuts.iter().copied().chain([(log.len(), 0)]).enumerate() {
        let to = (from + length).min(log.len());
        let live = (from..to).filter(|at| !is_late.contains_key(at));
        let batch: Vec<_> = live.map(|at| &log[at]).collect();
        Resource.fold(&mut transaction, 1, &batch).await?;
        reached = reached.max(to);
        let due = letters.extract_if(.., |at, after| *at < reached && *after <= number);
        for (at, _) in due.collect::<Vec<_>>() {
            Resource.fold_late(&mut transaction, 1, &log[at]).await?;
        }
        from = to.saturating_sub(again);
    }
    for at in letters.into_keys().rev() {
        Resource.fold_late(&mut transaction, 1, &log[at]).await?;
    }
    let rows = stored(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(rows)
}

async fn stored(connection: &mut PgConnection) -> Result<Vec<(String, Row)>> {
    let rows: Vec<(String, String, i64, i64)> =
        sqlx::query_as("SELECT id, payload::text, version, log_offset FROM resources ORDER BY id")
            .fetch_all(connection)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(id, payload, version, offset)| (id, (payload, version, offset)))
        .collect())
}

/// One record after another, without batches.
fn expected(log: &[Recorded<DeviceEvent>]) -> Vec<(String, Row)> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for record in log {
        let DeviceEvent::Reported(event) = &record.event;
        let row = rows.entry(event.device_id.as_str().to_owned()).or_default();
        *row = (event.payload.clone(), row.1 + 1, record.position.offset);
    }
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fold_gives_equal_rows_under_any_split_redelivery_and_late_letters() -> Result<()> {
    let world = World::start("any_split").await?;
    let handle = tokio::runtime::Handle::current();
    let cuts = prop::collection::vec((0..10_usize, 0..8_usize), 0..12);
    tokio::task::block_in_place(|| {
        let mut runner =
            TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
        let late = prop::collection::btree_map(0..40_usize, 0..12_usize, 0..6);
        runner.run(&(a_log(), cuts, late), |(log, cuts, late)| {
            let rows = handle.block_on(rows_of(&world, &log, &cuts, &late));
            let rows = rows.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
            prop_assert_eq!(rows, expected(&log));
            Ok(())
        })
    })?;
    Ok(())
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What happens next to a log that is being folded.
#[derive(Debug, Clone)]
enum Step {
    /// A device reports: its number, the client's id if it names one, days since the last event.
    Report { device: u8, id: Option<u8>, days: i64 },
    /// What was reported so far is written to the log at once.
    Write,
    /// Every position is set back to 0.
    SetBack,
}

fn a_step() -> impl Strategy<Value = Step> {
    let id = prop::option::of(0..3_u8);
    let days = prop_oneof![3 => Just(0), 1 => 1..9_i64];
    prop_oneof![
        12 => (0..3_u8, id, days).prop_map(|(device, id, days)| Step::Report { device, id, days }),
        2 => Just(Step::Write),
        1 => Just(Step::SetBack),
    ]
}

/// The runner of a projection inside the test.
fn runner(world: &World, records: usize, lanes: usize) -> Result<Runner> {
    let launch = world
        .projector()?
        .setting("MILLRACE_PROJECTOR_BATCH_RECORDS", records)
        .setting("MILLRACE_PROJECTOR_LANES", lanes);
    let mut settings = Settings::new(launch.settings());
    let projections = projector::Config::from_settings(&mut settings).projections;
    let config: RunnerConfig = projections.resource.context("resource is not run")?;
    settings.finish(()).context("the settings of the projector")?;
    Ok(Runner::start(config, Resource))
}

/// Plays the steps to a new runner over a log that holds what earlier cases have written.
async fn play(
    world: &World,
    case: u32,
    steps: &[Step],
    records: usize,
    lanes: usize,
) -> Result<()> {
    let log = world.log()?;
    let runner = runner(world, records, lanes)?;
    let mut time = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())? - 400 * DAY_MS;
    let mut waiting: Vec<Outgoing> = Vec::new();
    for step in steps.iter().chain([&Step::Write]) {
        match step {
            Step::Report { device, id, days } => {
                time += days * DAY_MS;
                let report: Report =
                    a_report(&format!("device-{case}-{device}")).saying(time.to_string());
                let report = match id {
                    Some(id) => report.named(
                        u128::from(case) << 16 | u128::from(*device) << 8 | u128::from(*id),
                        1,
                    ),
                    None => report,
                };
                waiting.push(Outgoing { timestamp_ms: Some(time), ..log.record(&report)? });
            }
            Step::Write => log.append_raw(std::mem::take(&mut waiting)).await?,
            Step::SetBack => world.set_positions_back().await?,
        }
    }
    // A position that was set back is noticed at the next record, so each partition gets one.
    for device in 0..100 {
        let record = log.record(&a_report(&format!("device-{device}")))?;
        waiting.push(Outgoing { timestamp_ms: Some(time), ..record });
    }
    log.append_raw(waiting).await?;
    let folded = world.level().await;
    runner.stop().await;
    folded?;
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runner_gives_the_rows_of_the_log_over_any_schedule() -> Result<()> {
    let world = World::start("any_schedule").await?;
    world.log()?.take_writers_times().await?;
    let handle = tokio::runtime::Handle::current();
    let steps = prop::collection::vec(a_step(), 1..60);
    let cases = std::cell::Cell::new(0);
    tokio::task::block_in_place(|| {
        // A case takes some seconds; what fails is shown as it is, since it cannot be repeated
        // over the log of before.
        let config = Config {
            cases: 10,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config).run(&(steps, 1..20_usize, 1..4_usize), |(steps, records, lanes)| {
            cases.set(cases.get() + 1);
            let played = handle.block_on(play(&world, cases.get(), &steps, records, lanes));
            played.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
    })?;
    Ok(())
}
