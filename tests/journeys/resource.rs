//! What the two sides take and answer: limits, conditional reads, paths and methods.

use anyhow::{Context as _, Result, ensure};
use test_support::{Spine, World, event_body};

#[tokio::test]
async fn a_resource_is_read_under_conditions() -> Result<()> {
    let world = World::start("conditional").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    let posted = caller.report("device-1", "1").await?;
    let read = caller.read_after(&posted, "device-1").await?;
    let tag = read.header("etag").context("no ETag")?.to_owned();
    ensure!(tag == "\"1.1\"", "the entity tag is {tag}");

    let unchanged = caller.resource("GET", "device-1")?.header("if-none-match", &tag);
    let unchanged = caller.send(unchanged).await?;
    ensure!(unchanged.status == 304 && unchanged.text.is_empty(), "{unchanged}");
    ensure!(unchanged.header("etag") == Some(&*tag), "a 304 has no ETag");
    let head = caller.send(caller.resource("HEAD", "device-1")?).await?;
    ensure!(head.status == 200 && head.text.is_empty(), "{head}");
    ensure!(head.header("etag") == Some(&*tag), "HEAD has no ETag");

    let posted = caller.report("device-1", "2").await?;
    let request = caller.resource("GET", "device-1")?.header("if-none-match", &tag);
    let token = posted.header("consistency-token").context("no token")?;
    let changed = caller.send(request.header("consistency-token", token)).await?;
    ensure!(changed.status == 200 && changed.json()?["version"] == 2, "{changed}");
    ensure!(changed.header("etag") == Some("\"1.2\""), "the entity tag stays");

    let missing = caller.read("device-of-nobody").await?;
    ensure!(missing.status == 404 && missing.problem() == "not-found", "{missing}");
    let method = caller.send(caller.resource("DELETE", "device-1")?).await?;
    ensure!(method.status == 405 && method.problem() == "method-not-allowed", "{method}");
    ensure!(method.header("allow").is_some_and(|allow| allow.contains("GET")), "no Allow");
    Ok(())
}

#[tokio::test]
async fn a_payload_comes_back_byte_for_byte() -> Result<()> {
    let world = World::start("byte_for_byte").await?;
    let spine = Spine::start(&world).await?;
    for payload in [
        r#"{"n":1e308,"z":-0,"pi":3.141592653589793238462643383279502884197}"#,
        r#"{ "b" : [ 1 , 2 ] , "a":"\u00e9 é 💧" }"#,
        r#""text""#,
        "null",
        "[[[[[[[[]]]]]]]]",
    ] {
        let posted = spine.caller.report("gerät/7", payload).await?;
        ensure!(posted.status == 202, "{payload} was answered {posted}");
        let read = spine.caller.read_after(&posted, "ger%C3%A4t%2F7").await?;
        ensure!(read.text.contains(payload), "{payload} came back as {read}");
    }
    world.must_equal_the_log().await.map(drop)
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_name_and_leaves_nothing_in_the_log() -> Result<()> {
    let world = World::start("limits").await?;
    let spine = Spine::start(&world).await?;
    let caller = &spine.caller;
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let large = format!("\"{}\"", "x".repeat(65_536));
    let cases: Vec<(String, u16, &str, &str)> = vec![
        ("{".into(), 400, "malformed-json", ""),
        ("[]".into(), 400, "invalid-request", ""),
        (r#"{"payload":1}"#.into(), 400, "invalid-request", "/device_id"),
        (r#"{"device_id":"d"}"#.into(), 400, "invalid-request", "/payload"),
        (event_body("", "1"), 400, "invalid-request", "/device_id"),
        (event_body(&"x".repeat(129), "1"), 400, "invalid-request", "/device_id"),
        (event_body("a b", "1"), 400, "invalid-request", "/device_id"),
        (r#"{"device_id":"d","payload":1,"extra":1}"#.into(), 400, "invalid-request", "/extra"),
        (event_body("d", &deep), 400, "invalid-request", "max-depth"),
        (event_body("d", "1e309"), 400, "invalid-request", "/payload"),
        (event_body("d", &"1".repeat(41)), 400, "invalid-request", "/payload"),
        (event_body("d", r#""\u0000""#), 400, "invalid-request", "/payload"),
        (event_body("d", r#""\ud800""#), 400, "invalid-request", "/payload"),
        (event_body("d", r#"{"a":1,"a":2}"#), 400, "invalid-request", "/payload/a"),
        (event_body("d", &large), 413, "content-too-large", "/payload"),
        (
            r#"{"device_id":"d","payload":1,"occurred_at":"2999-01-01T00:00:00Z"}"#.into(),
            400,
            "invalid-request",
            "/occurred_at",
        ),
    ];
    for (body, status, problem, named) in cases {
        let shown: String = body.chars().take(80).collect();
        let answer = caller.send(caller.post(body)?).await?;
        ensure!(answer.status == status, "{shown} was answered {answer}");
        ensure!(answer.problem() == problem, "{shown} was answered {answer}");
        ensure!(answer.text.contains(named), "{named} is not named for {shown}: {answer}");
    }
    // A body beyond the limit is not read to its end: some clients see the connection close first.
    let endless = event_body("d", &format!("\"{}\"", "x".repeat(2_000_000)));
    if let Ok(answer) = caller.send(caller.post(endless)?).await {
        ensure!(answer.status == 413 && answer.problem() == "content-too-large", "{answer}");
    }
    ensure!(world.log()?.len().await? == 0, "something is in the log");
    let valid = caller.report(&"x".repeat(128), &format!("\"{}\"", "x".repeat(65_534))).await?;
    ensure!(valid.status == 202, "the largest event that keeps all rules was answered {valid}");
    Ok(())
}

#[tokio::test]
async fn another_media_type_path_or_method_is_a_problem_document_too() -> Result<()> {
    let world = World::start("problems").await?;
    let spine = Spine::start(&world).await?;
    let client = test_support::Client::new()?;
    let bearer = format!("Bearer {}", world.token().sign()?);
    let ask = async |method: &str, url: String, media: Option<&str>| {
        let mut request = client.request(method, &url)?.header("authorization", &bearer);
        if let Some(media) = media {
            request = request.header("content-type", media).body(event_body("d", "1"));
        }
        client.send(request).await
    };
    let events = || spine.command_api.url("/api/v1/events");
    for (answer, status, problem) in [
        (ask("POST", events(), Some("text/plain")).await?, 415, "unsupported-media-type"),
        (ask("GET", events(), None).await?, 405, "method-not-allowed"),
        (ask("GET", spine.command_api.url("/nowhere"), None).await?, 404, "not-found"),
        (ask("GET", spine.query_api.url("/nowhere"), None).await?, 404, "not-found"),
    ] {
        ensure!(answer.status == status && answer.problem() == problem, "{answer}");
    }
    ensure!(world.log()?.len().await? == 0, "something is in the log");
    Ok(())
}
