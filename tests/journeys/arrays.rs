//! Several events in one request, and requests that would cost much.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{Answer, Spine, World};

/// An array of reports: device and payload.
fn array(events: &[(&str, Value)]) -> String {
    let event =
        |(device, payload): &(&str, Value)| json!({"device_id": device, "payload": payload});
    Value::from_iter(events.iter().map(event)).to_string()
}

async fn post(spine: &Spine, key: &str, body: String) -> Result<Answer> {
    let request = spine.caller.post(body)?.header("idempotency-key", key);
    spine.caller.send(request).await
}

fn ids(answer: &Answer) -> Result<Vec<String>> {
    let body = answer.json()?;
    let results = body["results"].as_array().with_context(|| format!("no results in {answer}"))?;
    let id = |result: &Value| result["request_id"].as_str().unwrap_or_default().to_owned();
    Ok(results.iter().map(id).collect())
}

#[tokio::test]
async fn an_array_is_read_back_by_its_token_and_takes_effect_once_however_often_it_is_sent()
-> Result<()> {
    let world = World::start("array").await?;
    let spine = Spine::start(&world).await?;
    // Devices in many partitions, the last event of each last.
    let devices: Vec<String> = (0..40).map(|n| format!("device-{n}")).collect();
    let events: Vec<(&str, Value)> =
        (0..200).map(|n| (devices[n % 40].as_str(), json!({"n": n}))).collect();
    let first = post(&spine, "k", array(&events)).await?;
    ensure!(first.status == 202, "it was answered {first}");
    for (place, device) in devices.iter().enumerate() {
        let read = spine.caller.read_after(&first, device).await?;
        ensure!(read.status == 200, "{device} is answered {read}");
        ensure!(read.json()?["payload"]["n"] == 160 + place, "{device}: {read}");
        ensure!(read.json()?["version"] == 5, "{device}: {read}");
    }
    // Others come in between, and then the whole again, as after an answer that was lost.
    let other = spine.caller.report("device-0", r#"{"n":"newer"}"#).await?;
    ensure!(other.status == 202, "it was answered {other}");
    let again = post(&spine, "k", array(&events)).await?;
    ensure!(ids(&again)? == ids(&first)?, "a retry is other events");
    let read = spine.caller.read_after(&again, "device-0").await?;
    ensure!(read.json()?["payload"]["n"] == "newer", "the retry undid a later event: {read}");
    ensure!(read.json()?["version"] == 6, "the retry was counted: {read}");
    // In another place, an event of the same key is another event.
    let turned: Vec<_> = events.iter().rev().cloned().collect();
    let turned = post(&spine, "k", array(&turned)).await?;
    let (first, turned) = (ids(&first)?, ids(&turned)?);
    ensure!(first.iter().all(|id| !turned.contains(id)), "places are not part of the name");
    world.level().await?;
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn refused_events_are_mended_in_their_places_and_the_whole_is_sent_again() -> Result<()> {
    let world = World::start("mended").await?;
    let spine = Spine::start(&world).await?;
    let mut events = vec![("device-1", json!(1)), ("", json!(2)), ("device-1", json!(3))];
    let partly = post(&spine, "k", array(&events)).await?;
    ensure!(partly.status == 207, "it was answered {partly}");
    let problem = &partly.json()?["results"][1]["problem"];
    ensure!(problem["errors"][0]["pointer"] == "/1/device_id", "{partly}");
    let read = spine.caller.read_after(&partly, "device-1").await?;
    ensure!(read.json()?["payload"] == 3 && read.json()?["version"] == 2, "{read}");
    events[1].0 = "device-2";
    let whole = post(&spine, "k", array(&events)).await?;
    ensure!(whole.status == 202, "it was answered {whole}");
    let mended = spine.caller.read_after(&whole, "device-2").await?;
    ensure!(mended.json()?["payload"] == 2, "{mended}");
    let read = spine.caller.read_after(&whole, "device-1").await?;
    ensure!(read.json()?["version"] == 2, "what was taken before was counted again: {read}");
    let counted = spine.command_api.metric("command_api_events_total").await?;
    ensure!((counted - 6.0).abs() < 0.1, "of two arrays of three, {counted} events were counted");
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn the_same_place_with_another_body_is_set_aside_and_the_others_take_effect() -> Result<()> {
    let world = World::start("array_reused").await?;
    let spine = Spine::start(&world).await?;
    let first = post(&spine, "k", array(&[("a", json!(1)), ("b", json!(1))])).await?;
    ensure!(spine.caller.read_after(&first, "b").await?.status == 200, "not read back");
    let second = post(&spine, "k", array(&[("a", json!(1)), ("b", json!(2))])).await?;
    ensure!(ids(&second)? == ids(&first)?, "{second}");
    let letters = world.letters_in("parked", 1).await?;
    ensure!(letters.iter().all(|letter| letter.error_code == "id-reused"), "{letters:?}");
    let read = spine.caller.read("b").await?;
    ensure!(read.json()?["payload"] == 1 && read.json()?["version"] == 1, "{read}");
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn bombs_cost_the_process_little_and_are_refused_clearly() -> Result<()> {
    let world = World::start("bombs").await?;
    let spine = Spine::start(&world).await?;
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let zeros = |n: usize| vec!["0"; n].join(",");
    let bombs = [
        // A thousand times as large as it comes.
        ("gzip", gzip(&vec![b'0'; 128 << 20])?, 413, "content-too-large"),
        ("depth", gzip(nested(500_000).as_bytes())?, 400, "invalid-request"),
        ("items", gzip(format!("[{}]", zeros(500_000)).as_bytes())?, 413, "content-too-large"),
        ("million", gzip(format!("[{}]", zeros(1_000_000)).as_bytes())?, 413, "content-too-large"),
    ];
    // What the allocator keeps for sizes that it has once been asked for comes first.
    let mut peaks = Vec::new();
    for _ in 0..2 {
        for _ in 0..40 {
            for (name, body, status, problem) in &bombs {
                let request = spine.caller.post("")?.header("content-encoding", "gzip");
                let answer = spine.caller.send(request.body(body.clone())).await?;
                let is_refused = answer.status == *status && answer.problem() == *problem;
                ensure!(is_refused, "{name}: {answer}");
            }
        }
        peaks.push(spine.command_api.peak_memory()?);
    }
    ensure!(peaks[0] < 160 << 20, "the process has {} bytes after them", peaks[0]);
    ensure!(peaks[1] - peaks[0] < 32 << 20, "and as many more cost {}", peaks[1] - peaks[0]);
    ensure!(spine.caller.report("device-1", "1").await?.status == 202, "nothing is taken any more");
    Ok(())
}

/// As small as it gets.
fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).context("compressing")?;
    encoder.finish().context("compressing")
}
