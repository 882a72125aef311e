//! What a newcomer types first.

use anyhow::{Context as _, Result, ensure};
use test_support::{Spine, World};

#[tokio::test]
async fn an_event_that_is_posted_is_read_back_and_found_in_the_database() -> Result<()> {
    let world = World::start("walk_through").await?;
    let spine = Spine::start(&world).await?;
    let posted = spine.caller.report("device-123", r#"{"status":"ok","temp_c":21.5}"#).await?;
    ensure!(posted.status == 202, "the event was answered {posted}");
    let accepted = posted.json()?;
    ensure!(accepted["status"] == "accepted", "the event was answered {posted}");
    ensure!(accepted["request_id"].as_str().is_some_and(|id| id.len() == 36), "{posted}");

    let read = spine.caller.read_after(&posted, "device-123").await?;
    ensure!(read.status == 200, "the resource was answered {read}");
    let resource = read.json()?;
    ensure!(resource["id"] == "device-123", "{read}");
    ensure!(resource["payload"]["temp_c"] == 21.5, "{read}");
    ensure!(resource["version"] == 1, "{read}");
    ensure!(resource["occurred_at"].is_null(), "{read}");
    ensure!(resource["recorded_at"] == resource["updated_at"], "{read}");

    let shown = psql(&world, "SELECT * FROM resources").await?;
    ensure!(shown.contains("device-123") && shown.contains("21.5"), "psql shows {shown}");
    let log = spine.projector.log()?;
    ensure!(
        log.lines().any(|line| line.contains("Processed message") && line.contains("device-123")),
        "the projector has not said that it processed the message"
    );
    Ok(())
}

async fn psql(world: &World, statement: &str) -> Result<String> {
    let output = tokio::process::Command::new("psql")
        .arg(world.database_url("appuser")?)
        .args(["-c", statement])
        .env("PGOPTIONS", format!("-c search_path={}", world.prefix().underscored("read_models")))
        .output()
        .await
        .context("running psql")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("reading what psql shows")
}

#[tokio::test]
async fn the_older_paths_mean_the_same() -> Result<()> {
    let world = World::start("older_paths").await?;
    let spine = Spine::start(&world).await?;
    let client = test_support::Client::new()?;
    let bearer = format!("Bearer {}", world.token().sign()?);
    let post = client
        .request("POST", &spine.command_api.url("/events"))?
        .header("authorization", &bearer)
        .header("content-type", "application/json")
        .body(test_support::event_body("device-1", "1"));
    let posted = client.send(post).await?;
    ensure!(posted.status == 202, "the event was answered {posted}");
    let token = posted.header("consistency-token").context("no token")?;
    let get = client
        .request("GET", &spine.query_api.url("/resource/device-1"))?
        .header("authorization", &bearer)
        .header("consistency-token", token);
    let read = client.send(get).await?;
    ensure!(read.status == 200 && read.json()?["payload"] == 1, "it was answered {read}");
    Ok(())
}
