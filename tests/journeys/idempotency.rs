//! Clients that name their events may send them again.

use anyhow::{Result, ensure};
use test_support::{Spine, World};

#[tokio::test]
async fn an_event_sent_again_under_its_key_is_the_same_event() -> Result<()> {
    let world = World::start("retry").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    let first = caller.report_named("device-1", r#"{"n":1}"#, "k1").await?;
    let other = caller.report_named("device-1", r#"{"n":2}"#, "k2").await?;
    let again = caller.report_named("device-1", r#"{"n":1}"#, "k1").await?;
    for answer in [&first, &other, &again] {
        ensure!(answer.status == 202, "{answer}");
    }
    ensure!(first.json()?["request_id"] == again.json()?["request_id"], "{first} and {again}");
    ensure!(first.json()?["request_id"] != other.json()?["request_id"], "{first} and {other}");
    let read = caller.read_after(&again, "device-1").await?;
    ensure!(read.json()?["payload"]["n"] == 2, "the retry undid a later event: {read}");
    ensure!(read.json()?["version"] == 2, "the retry was counted: {read}");
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn a_key_with_another_body_is_never_folded_over_the_first() -> Result<()> {
    let world = World::start("reused_key").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    let first = caller.report_named("device-1", "1", "k").await?;
    ensure!(caller.read_after(&first, "device-1").await?.status == 200, "not read back");
    let second = caller.report_named("device-1", "2", "k").await?;
    ensure!(second.json()?["request_id"] == first.json()?["request_id"], "{second}");
    let letters = world.letters_in("parked", 1).await?;
    ensure!(letters.iter().all(|letter| letter.error_code == "id-reused"), "{letters:?}");
    let read = caller.read("device-1").await?;
    ensure!(read.json()?["payload"] == 1 && read.json()?["version"] == 1, "{read}");
    // The key of another device or caller is another event.
    let elsewhere = caller.report_named("device-2", "2", "k").await?;
    ensure!(elsewhere.json()?["request_id"] != first.json()?["request_id"], "{elsewhere}");
    world.must_equal_the_log().await.map(drop)
}
