//! Processes that are asked to end while they are busy.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use test_support::{Caller, LogRecord, Spine, World, eventually};
use tokio::task::JoinSet;

/// Writes events side by side until it is stopped, and remembers what was accepted.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    writers: JoinSet<Vec<String>>,
}

impl Load {
    /// Starts `writers`, each of which writes one event after another.
    pub(crate) fn start(caller: &Caller, writers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut set = JoinSet::new();
        for writer in 0..writers {
            let (caller, stop, accepted) = (caller.clone(), stop.clone(), accepted.clone());
            set.spawn(async move {
                let (device, mut ids) = (format!("device-{writer}"), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    let id = caller
                        .report(&device, &ids.len().to_string())
                        .await
                        .ok()
                        .and_then(accepted_id);
                    match id {
                        Some(id) => {
                            accepted.fetch_add(1, Ordering::Relaxed);
                            ids.push(id);
                        }
                        // Refused or gone: not as fast as the loop can ask.
                        None => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
                ids
            });
        }
        Self { stop, accepted, writers: set }
    }

    /// How many events have been accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until this many more are accepted.
    pub(crate) async fn more_accepted(&self, more: usize) -> Result<()> {
        let wanted = self.accepted() + more;
        eventually("more events are accepted", async || {
            let accepted = self.accepted();
            ensure!(accepted >= wanted, "{accepted} of {wanted} are");
            Ok(())
        })
        .await
    }

    /// Ends the load; the ids of all accepted events.
    pub(crate) async fn end(mut self) -> Result<BTreeSet<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut ids = BTreeSet::new();
        while let Some(written) = self.writers.join_next().await {
            ids.extend(written.context("a writer panicked")?);
        }
        Ok(ids)
    }
}

fn accepted_id(answer: test_support::Answer) -> Option<String> {
    let body = answer.json().ok().filter(|_| answer.status == 202)?;
    body["request_id"].as_str().map(str::to_owned)
}

/// Refuses a log that lacks an accepted event.
pub(crate) fn must_hold(log: &[LogRecord], accepted: &BTreeSet<String>) -> Result<()> {
    let logged: BTreeSet<&str> = log
        .iter()
        .filter_map(|record| record.headers.iter().find(|(name, _)| name == "ce_id"))
        .filter_map(|(_, id)| std::str::from_utf8(id.as_deref()?).ok())
        .collect();
    let lost: Vec<_> = accepted.iter().filter(|id| !logged.contains(id.as_str())).collect();
    ensure!(
        lost.is_empty(),
        "{} of {} accepted events are not in the log",
        lost.len(),
        accepted.len()
    );
    Ok(())
}

#[tokio::test]
async fn a_command_api_that_is_ended_under_load_loses_nothing_it_accepted() -> Result<()> {
    let world = World::start("drain_writes").await?;
    let mut spine = Spine::start(&world).await?;
    let load = Load::start(&spine.caller, 32);
    load.more_accepted(500).await?;
    let exit = spine.command_api.terminate().await?;
    ensure!(exit.success(), "it ended with {exit}");
    let accepted = load.end().await?;
    must_hold(&world.log()?.read().await?, &accepted)?;
    world.level().await?;
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn a_projector_that_is_ended_under_load_hands_over_without_a_session_time_out() -> Result<()>
{
    let world = World::start("drain_folds").await?;
    let mut spine = Spine::start(&world).await?;
    spine.projector.terminate().await?;
    // Longer than anything here waits: a successor that had to wait for it would fail the test.
    let launch = world.projector()?.setting("MILLRACE_PROJECTOR_SESSION_TIMEOUT_MS", 120_000);
    spine.projector = launch.start().await?;
    spine.projector.ready().await?;
    let load = Load::start(&spine.caller, 8);
    load.more_accepted(200).await?;
    let exit = spine.projector.terminate().await?;
    ensure!(exit.success(), "it ended with {exit}");
    let log = spine.projector.log()?;
    ensure!(!log.contains("\"level\":\"ERROR\""), "it ended with an error: {log}");
    let _successor = launch.start().await?;
    load.more_accepted(200).await?;
    let accepted = load.end().await?;
    world.level().await?;
    must_hold(&world.log()?.read().await?, &accepted)?;
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn a_query_api_that_is_ended_answers_what_it_has_begun() -> Result<()> {
    let world = World::start("drain_reads").await?;
    let mut spine = Spine::start(&world).await?;
    let posted = spine.caller.report("device-1", "1").await?;
    spine.caller.read_after(&posted, "device-1").await?;
    // A read that waits for something that is not folded, begun before the end is asked for.
    spine.projector.terminate().await?;
    let posted = spine.caller.report("device-1", "2").await?;
    let (caller, waiting) = (spine.caller.clone(), posted.clone());
    let read = tokio::spawn(async move { caller.read_after(&waiting, "device-1").await });
    eventually("the read waits", async || {
        let waiting = spine.query_api.metric("query_api_waiting_reads").await?;
        ensure!(waiting == 1.0, "{waiting} reads wait");
        Ok(())
    })
    .await?;
    spine.query_api.sigterm()?;
    let _projector = world.projector()?.start().await?;
    let read = read.await.context("the reader panicked")??;
    ensure!(read.status == 200 && read.json()?["payload"] == 2, "it was answered {read}");
    let exit = spine.query_api.ended().await?;
    ensure!(exit.success(), "it ended with {exit}");
    Ok(())
}
