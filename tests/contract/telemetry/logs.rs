//! Log lines hold ids and what became of an event, never what is in it or who may send it.

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{Launch, Running, Spine, World, a_report, event_body, eventually};

use super::{line, lines};

/// Stands in every payload, as a name or as a value.
const PRIVATE: &str = "not-for-the-log";

/// A payload that the database refuses, with the row that it refuses in its message.
const REFUSED: &str = r#"{"not-for-the-log":"refused"}"#;

/// Everything that our own code ever says.
fn talkative(launch: Launch) -> Launch {
    let ours = [
        "access",
        "command_api",
        "event_schema",
        "kafka_io",
        "lifecycle",
        "problem_details",
        "projector",
        "query_api",
        "read_cache",
        "read_models",
        "telemetry",
    ];
    let ours: String = ours.iter().map(|name| format!(",{name}=trace")).collect();
    launch.setting("MILLRACE_LOG", format!("debug{ours}"))
}

#[tokio::test]
async fn logs_hold_ids_and_no_payload_whatever_becomes_of_an_event() -> Result<()> {
    let world = World::start("logs").await?;
    let projector = talkative(world.projector_of("resource,device_history")?);
    let (command_api, query_api) = (talkative(world.command_api()?), talkative(world.query_api()?));
    let spine = Spine::start_with(command_api, projector, query_api).await?;
    let refuse = "ALTER TABLE resource_rows ADD CONSTRAINT refused
                  CHECK (payload::text NOT LIKE '%refused%')";
    world.pool().execute(refuse).await.context("refusing a payload")?;

    let payload = format!(r#"{{"{PRIVATE}":"{PRIVATE}"}}"#);
    let written = spine.caller.report("device-1", &payload).await?;
    ensure!(written.status == 202, "it answers {written}");
    let read = spine.caller.read_after(&written, "device-1").await?;
    ensure!(read.json()?["payload"][PRIVATE] == PRIVATE, "{read}");
    spine.caller.read("device-1").await?;
    refused_by_command_api(&spine).await?;
    become_letters(&world).await?;

    let processes = [&spine.command_api, &spine.projector, &spine.query_api];
    let token = world.token().sign()?;
    for process in processes {
        for secret in [PRIVATE, token.as_str()] {
            let told: Vec<_> = lines_with(process, secret)?;
            ensure!(told.is_empty(), "the log tells what it must not: {}", told.join("\n"));
        }
    }
    must_tell_what_became(&spine, written.json()?["request_id"].as_str().context("no id")?)
}

/// Bodies and payloads that break rules of each kind.
async fn refused_by_command_api(spine: &Spine) -> Result<()> {
    let deep = format!("{}\"{PRIVATE}\"{}", "[".repeat(40), "]".repeat(40));
    let bodies = [
        format!(r#"{{"device_id":"device-1","payload":{{"{PRIVATE}":}}}}"#),
        format!(r#"{{"device_id":"device-1","payload":1,"{PRIVATE}":2}}"#),
        event_body("device-1", &deep),
        event_body("device-1", &format!(r#"{{"{PRIVATE}":1,"{PRIVATE}":2}}"#)),
        format!("[{},{PRIVATE}]", event_body("device-1", "1")),
    ];
    for body in bodies {
        let answer = spine.caller.send(spine.caller.post(body.clone())?).await?;
        ensure!((400..500).contains(&answer.status), "{body} is answered {answer}");
    }
    Ok(())
}

/// What cannot be read, what the database refuses, and an id that is used for something else.
async fn become_letters(world: &World) -> Result<()> {
    let log = world.log()?;
    let private = |payload: &str| a_report("device-2").saying(payload);
    let text = format!(r#""{PRIVATE}""#);
    log.append([private(&text).named(7, 1), private(&text).named(7, 2)]).await?;
    log.append([private(PRIVATE), private(REFUSED)]).await?;
    let sound = log.record(&private(&text))?;
    let value = sound.value.clone().context("an event without a value")?;
    let unreadable = test_support::Outgoing { value: Some(value[1..].to_vec()), ..sound };
    log.append_raw(vec![unreadable]).await?;
    eventually("all are set aside", async || {
        let letters = "SELECT count(*) FROM letters WHERE projection = 'resource'";
        let letters: i64 = sqlx::query_scalar(letters).fetch_one(world.pool()).await?;
        ensure!(letters == 4, "{letters} are");
        Ok(())
    })
    .await
}

fn lines_with(process: &Running, text: &str) -> Result<Vec<String>> {
    let log = process.log()?;
    Ok(log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect())
}

/// That the silence is not that of a log in which nothing stands.
fn must_tell_what_became(spine: &Spine, event_id: &str) -> Result<()> {
    let processed = line(&spine.projector, |line| line["event.id"] == event_id)?;
    ensure!(processed["device.id"] == "device-1", "{processed}");
    let aside = lines(&spine.projector)?.into_iter().filter(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("a record was set aside") && line["kafka.offset"].is_i64()
    });
    let codes: Vec<_> = aside.map(|line| line["error.code"].clone()).collect();
    ensure!(
        codes.iter().any(|code| code == "23514"),
        "what the database refused is not told: {codes:?}"
    );
    for process in [&spine.command_api, &spine.query_api] {
        let served = line(process, |line| line["message"] == "request served")?;
        ensure!(served["request.id"].is_string() && served["http.status"].is_i64(), "{served}");
    }
    Ok(())
}
