//! A receiver of traces that is away, slow or late: nobody waits for it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use test_support::{Answer, Caller, Running, World, event_body, eventually, eventually_within};

use super::sink::{Conduct, Sink};
use super::{lines, traced};

const LOST: &str = "traces cannot be handed over and are lost until they can";
const FOUND: &str = "traces are handed over again";

/// Requests that nothing but the receiver could hold up.
async fn ask(caller: &Caller, times: usize) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for n in 0..times {
        let began = Instant::now();
        let Answer { status, .. } =
            caller.send(caller.post(event_body(&format!("d-{n}"), "{}"))?).await?;
        ensure!(status == 202, "it answers {status}");
        slowest = slowest.max(began.elapsed());
    }
    Ok(slowest)
}

fn said(process: &Running, message: &str) -> Result<usize> {
    Ok(lines(process)?.iter().filter(|line| line["message"] == message).count())
}

async fn spans(process: &Running, outcome: &str) -> Result<f64> {
    process.metric(&format!("telemetry_spans_total{{outcome=\"{outcome}\"}}")).await
}

#[tokio::test]
async fn a_receiver_that_never_answers_slows_nobody_and_is_told_of_once() -> Result<()> {
    /// Far above what any request takes, and far below what all of them would take together.
    const PATIENCE_MS: u64 = 2_000;
    let (world, sink) = (World::start("sink_hangs").await?, Sink::start(Conduct::Hang).await?);
    let launch = traced(world.command_api()?, &sink)
        .setting("MILLRACE_OTLP_TIMEOUT_MS", PATIENCE_MS)
        .setting("MILLRACE_TRACE_QUEUE_SPANS", 512);
    let mut command_api = launch.start().await?;
    command_api.ready().await?;
    let query_api = world.query_api()?.start().await?;
    let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;

    // However slow the machine is: until more spans wait than may.
    let patience = Duration::from_secs(60);
    eventually_within(patience, "spans were dropped, and lost twice", async || {
        let (a, b, c, d) = tokio::try_join!(
            ask(&caller, 200),
            ask(&caller, 200),
            ask(&caller, 200),
            ask(&caller, 200),
        )?;
        let slowest = a.max(b).max(c).max(d);
        ensure!(slowest < Duration::from_millis(PATIENCE_MS), "the slowest took {slowest:?}");
        let (dropped, failed) =
            (spans(&command_api, "dropped").await?, spans(&command_api, "failed").await?);
        ensure!(dropped > 0.0 && failed > 512.0, "dropped {dropped}, failed {failed}");
        Ok(())
    })
    .await?;
    ensure!(said(&command_api, LOST)? == 1, "{}", command_api.log()?);

    sink.set(Conduct::Take);
    eventually("spans are handed over again", async || {
        ask(&caller, 1).await?;
        ensure!(said(&command_api, FOUND)? == 1, "it was not said");
        Ok(())
    })
    .await?;
    ensure!(!sink.spans().is_empty() && said(&command_api, LOST)? == 1);

    sink.set(Conduct::Hang);
    ask(&caller, 10).await?;
    let began = Instant::now();
    let status = command_api.terminate().await?;
    ensure!(status.success(), "it ended with {status}");
    ensure!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_is_not_there_changes_nothing() -> Result<()> {
    let (world, sink) = (World::start("no_sink").await?, Sink::start(Conduct::Take).await?);
    let launch = traced(world.command_api()?, &sink);
    drop(sink);
    let mut command_api = launch.start().await?;
    command_api.ready().await?;
    let query_api = world.query_api()?.start().await?;
    let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;
    ask(&caller, 20).await?;
    eventually("it was said that spans are lost", async || {
        ensure!(said(&command_api, LOST)? == 1, "it was not");
        Ok(())
    })
    .await?;
    ask(&caller, 20).await?;
    let began = Instant::now();
    ensure!(command_api.terminate().await?.success());
    ensure!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    ensure!(said(&command_api, LOST)? == 1, "{}", command_api.log()?);
    Ok(())
}

#[tokio::test]
async fn spans_that_wait_are_handed_over_when_a_process_is_told_to_end() -> Result<()> {
    let (world, sink) = (World::start("last_spans").await?, Sink::start(Conduct::Take).await?);
    let mut command_api = traced(world.command_api()?, &sink).start().await?;
    command_api.ready().await?;
    let query_api = world.query_api()?.start().await?;
    let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;
    ask(&caller, 50).await?;
    ensure!(command_api.terminate().await?.success());
    // It has ended: whatever it sent has arrived, but for what the sink has not read yet.
    eventually_within(Duration::from_secs(1), "all spans have arrived", async || {
        let spans = sink.spans();
        let posts = spans.iter().filter(|span| span.name == "POST /api/v1/events").count();
        let sends = spans.iter().filter(|span| span.name.starts_with("send ")).count();
        ensure!((posts, sends) == (50, 50), "{posts} requests and {sends} records");
        Ok(())
    })
    .await
}
