//! Whoever has written something reads it, or is told why not.

use anyhow::{Context as _, Result, ensure};
use test_support::{Spine, World, eventually};

const WRITERS: usize = 8;
const WRITES: usize = 1_000;

#[tokio::test]
async fn a_read_with_the_token_of_a_write_shows_it_a_thousand_times() -> Result<()> {
    let world = World::start("read_your_writes").await?;
    let spine = Spine::start(&world).await?;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let caller = spine.caller.clone();
            tokio::spawn(async move {
                let device = format!("device-{writer}");
                for write in 1..=WRITES / WRITERS {
                    let posted = caller.report(&device, &write.to_string()).await?;
                    ensure!(posted.status == 202, "write {write} was answered {posted}");
                    let read = caller.read_after(&posted, &device).await?;
                    ensure!(read.status == 200, "read {write} was answered {read}");
                    let shown = read.json()?;
                    ensure!(shown["payload"] == write, "write {write} is not shown: {read}");
                    ensure!(shown["version"] == write, "write {write} is not counted: {read}");
                }
                Ok(())
            })
        })
        .collect();
    for writer in writers {
        writer.await.context("a writer panicked")??;
    }
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn while_the_projector_is_down_reads_say_so_and_afterwards_show_the_write() -> Result<()> {
    let world = World::start("behind").await?;
    let mut spine = Spine::start(&world).await?;
    let first = spine.caller.report("device-1", "1").await?;
    ensure!(spine.caller.read_after(&first, "device-1").await?.status == 200, "not read back");
    spine.projector.terminate().await?;

    let second = spine.caller.report("device-1", "2").await?;
    ensure!(second.status == 202, "a write needs the projector: {second}");
    let token = second.header("consistency-token").context("no token")?;
    let read = |handling: &str| -> Result<_> {
        let request = spine.caller.resource("GET", "device-1")?;
        let prefer = format!("wait=1, handling={handling}");
        Ok(request.header("consistency-token", token).header("prefer", prefer))
    };
    let strict = spine.caller.send(read("strict")?).await?;
    ensure!(strict.status == 503 && strict.problem() == "projection-behind", "{strict}");
    ensure!(strict.header("retry-after").is_some(), "there is no Retry-After");
    let lenient = spine.caller.send(read("lenient")?).await?;
    ensure!(lenient.status == 200 && lenient.json()?["payload"] == 1, "{lenient}");
    ensure!(lenient.header("age").is_some(), "a stale answer does not say how old it is");
    ensure!(spine.caller.read("device-1").await?.status == 200, "a read without a token waits");

    let _projector = world.projector()?.start().await?;
    eventually("the write is shown", async || {
        let read = spine.caller.send(read("strict")?).await?;
        ensure!(read.status == 200, "it is answered {read}");
        ensure!(read.json()?["payload"] == 2, "another state is shown: {read}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_refused() -> Result<()> {
    let world = World::start("forged_token").await?;
    let spine = Spine::start(&world).await?;
    let posted = spine.caller.report("device-1", "1").await?;
    let token = posted.header("consistency-token").context("no token")?.to_owned();
    let mut changed = token.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    for forged in [String::from_utf8(changed)?, "AAAA".to_owned(), format!("{token}x")] {
        let request =
            spine.caller.resource("GET", "device-1")?.header("consistency-token", &forged);
        let answer = spine.caller.send(request).await?;
        ensure!(answer.status == 400, "{forged} was answered {answer}");
        ensure!(answer.problem() == "invalid-consistency-token", "{answer}");
    }
    Ok(())
}
