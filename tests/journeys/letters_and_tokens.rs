//! Whoever reads with a token is told of events that are set aside, and of a view that stands still.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{Answer, Caller, Outgoing, Spine, World, eventually, eventually_within};

/// From the first failure an event is tried again by itself for so long, and a little more.
const TRIED_BY_ITSELF: Duration = Duration::from_secs(15);

fn token(answer: &Answer) -> Result<&str> {
    let token = answer.header("consistency-token");
    token.with_context(|| format!("there is no Consistency-Token in the answer {answer}"))
}

/// Reads a device with a token, waiting at most a second.
async fn read(caller: &Caller, device: &str, token: &str, handling: &str) -> Result<Answer> {
    let request = caller.resource("GET", device)?;
    let prefer = format!("wait=1, handling={handling}");
    caller.send(request.header("consistency-token", token).header("prefer", prefer)).await
}

fn must_be_refused(answer: &Answer, problem: &str) -> Result<()> {
    ensure!(answer.status == 503 && answer.problem() == problem, "not {problem}: {answer}");
    ensure!(answer.header("retry-after").is_some(), "there is no Retry-After: {answer}");
    Ok(())
}

fn must_show(answer: &Answer, payload: &str, version: u64) -> Result<()> {
    ensure!(answer.status == 200, "not answered: {answer}");
    let shown = answer.json()?;
    ensure!(shown["payload"] == payload && shown["version"] == version, "{answer}");
    ensure!(answer.header("age").is_none(), "it is called stale: {answer}");
    Ok(())
}

/// A device, other than `device`, whose events are in the same partition.
async fn neighbour(caller: &Caller, world: &World, device: &str) -> Result<String> {
    let first = caller.report(device, "\"first\"").await?;
    ensure!(caller.read_after(&first, device).await?.status == 200, "not read back");
    let moved = world.positions().await?;
    let partition = moved.iter().find(|(_, next)| **next > 0).context("nothing is folded")?.0;
    for n in 0..200 {
        let candidate = format!("neighbour-{n}");
        let before = world.positions().await?.get(partition).copied();
        let posted = caller.report(&candidate, "\"first\"").await?;
        ensure!(caller.read_after(&posted, &candidate).await?.status == 200, "not read back");
        if world.positions().await?.get(partition).copied() > before {
            return Ok(candidate);
        }
    }
    anyhow::bail!("of 200 devices none is in partition {partition}")
}

const REFUSE: &str =
    "ALTER TABLE resource_rows ADD CONSTRAINT no_bad CHECK (payload::text <> '\"bad\"')";
const ALLOW: &str = "ALTER TABLE resource_rows DROP CONSTRAINT no_bad";

#[tokio::test]
async fn an_event_that_is_set_aside_is_not_called_shown_until_it_is() -> Result<()> {
    let world = World::start("letters_and_tokens").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    let neighbour = neighbour(caller, &world, "device").await?;
    world.pool().execute(REFUSE).await?;

    let bad = caller.report("device", "\"bad\"").await?;
    let bad_token = token(&bad)?;
    let strict = caller.read_after(&bad, "device").await?;
    must_be_refused(&strict, "projection-parked")?;
    ensure!(strict.text.contains("1 records") && strict.text.contains("retrying"), "{strict}");
    ensure!(!strict.text.contains("bad"), "the problem holds a value: {strict}");

    let lenient = read(caller, "device", bad_token, "lenient").await?;
    ensure!(lenient.status == 200 && lenient.json()?["payload"] == "first", "{lenient}");
    ensure!(lenient.header("age").is_some(), "it is not called stale");
    // What it promises is shown to whoever asks strictly.
    must_show(&read(caller, "device", token(&lenient)?, "strict").await?, "first", 1)?;

    // Nobody else waits for it, not even with its token.
    let other = caller.report(&neighbour, "\"second\"").await?;
    must_show(&caller.read_after(&other, &neighbour).await?, "second", 2)?;
    must_show(&read(caller, &neighbour, bad_token, "strict").await?, "second", 2)?;
    // A later event of the device shows, and still does not show the one before.
    let later = caller.report("device", "\"later\"").await?;
    must_be_refused(&caller.read_after(&later, "device").await?, "projection-parked")?;
    let lenient = read(caller, "device", token(&later)?, "lenient").await?;
    ensure!(lenient.status == 200 && lenient.json()?["payload"] == "later", "{lenient}");
    must_show(&read(caller, "device", token(&lenient)?, "strict").await?, "later", 2)?;
    must_show(&caller.read("device").await?, "later", 2)?;

    world.pool().execute(ALLOW).await?;
    eventually_within(TRIED_BY_ITSELF, "the event is folded by itself", async || {
        must_show(&read(caller, "device", bad_token, "strict").await?, "later", 3)
    })
    .await?;
    must_show(&caller.read_after(&later, "device").await?, "later", 3)?;
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn the_first_event_of_a_device_that_is_parked_is_not_called_unknown() -> Result<()> {
    let world = World::start("parked_first").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    world.pool().execute(REFUSE).await?;
    let bad = caller.report("device", "\"bad\"").await?;
    must_be_refused(&caller.read_after(&bad, "device").await?, "projection-parked")?;
    let lenient = read(caller, "device", token(&bad)?, "lenient").await?;
    ensure!(lenient.status == 404 && lenient.header("age").is_some(), "{lenient}");
    ensure!(lenient.header("consistency-token").is_none(), "nothing is shown: {lenient}");

    eventually_within(2 * TRIED_BY_ITSELF, "the letter is parked", async || {
        let strict = read(caller, "device", token(&bad)?, "strict").await?;
        must_be_refused(&strict, "projection-parked")?;
        ensure!(strict.text.contains("the oldest is parked"), "{strict}");
        Ok(())
    })
    .await?;
    // Discarded it never will be shown, and nobody is kept waiting for it.
    let discard = "UPDATE letters SET state = 'discarded', settled_at = now()";
    world.pool().execute(discard).await?;
    let strict = read(caller, "device", token(&bad)?, "strict").await?;
    ensure!(strict.status == 404 && strict.problem() == "not-found", "{strict}");
    ensure!(strict.header("age").is_none(), "it is called stale: {strict}");
    Ok(())
}

#[tokio::test]
async fn a_record_of_no_known_stream_counts_for_the_very_token_that_names_it() -> Result<()> {
    let world = World::start("no_stream").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    let first = caller.report("device", "\"first\"").await?;
    must_show(&caller.read_after(&first, "device").await?, "first", 1)?;
    let moved = world.positions().await?;
    let partition = *moved.iter().find(|(_, next)| **next > 0).context("nothing is folded")?.0;
    let junk = Outgoing {
        partition: Some(partition),
        value: Some(b"junk".to_vec()),
        ..Outgoing::default()
    };
    world.log()?.append_raw(vec![junk]).await?;
    world.letters_in("retrying", 1).await?;
    let second = caller.report("device", "\"second\"").await?;
    must_show(&caller.read_after(&second, "device").await?, "second", 2)?;

    // As if the record that the token names had lost its key.
    let move_it = "UPDATE letters SET log_offset = log_offset + 1";
    world.pool().execute(move_it).await?;
    must_be_refused(&caller.read_after(&second, "device").await?, "projection-parked")?;
    must_show(&caller.read_after(&first, "device").await?, "second", 2)
}

#[tokio::test]
async fn a_view_that_stands_still_says_so_instead_of_being_late() -> Result<()> {
    let world = World::start("paused").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    let first = caller.report("device", "\"first\"").await?;
    must_show(&caller.read_after(&first, "device").await?, "first", 1)?;

    let brake = "UPDATE generations SET brake = '10 keys failed with a-test', braked_at = now()";
    world.pool().execute(brake).await?;
    let second = caller.report("device", "\"second\"").await?;
    let strict = read(caller, "device", token(&second)?, "strict").await?;
    must_be_refused(&strict, "projection-paused")?;
    ensure!(strict.json()?["reason"] == "10 keys failed with a-test", "{strict}");
    ensure!(strict.json()?["behind"] == 1, "{strict}");
    let lenient = read(caller, "device", token(&second)?, "lenient").await?;
    ensure!(lenient.status == 200 && lenient.json()?["payload"] == "first", "{lenient}");
    ensure!(lenient.header("age").is_some(), "it is not called stale");
    // What was folded before is shown as ever.
    must_show(&read(caller, "device", token(&first)?, "strict").await?, "first", 1)?;

    world.pool().execute("UPDATE generations SET brake = NULL, braked_at = NULL").await?;
    eventually("the view goes on", async || {
        must_show(&read(caller, "device", token(&second)?, "strict").await?, "second", 2)
    })
    .await
}
