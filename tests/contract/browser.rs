//! The page of the API in a real browser, through the front door.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Spine, World, alone};
use tokio::process::Command;

use super::api_description::stored;
use super::front_door::FrontDoor;
use super::installed::{node_modules, packages};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contract/browser");

/// Where Debian puts it.
const BROWSER: &str = "/usr/bin/chromium";

#[tokio::test]
async fn a_browser_opens_the_page_and_sends_the_example_event_from_it() -> Result<()> {
    let modules = node_modules("browser", SOURCES).await?.join("node_modules");
    let _alone = alone().await?;
    packages(&["chromium:chromium"]).await?;
    let world = World::start("browser").await?;
    let spine = Spine::start(&world).await?;
    let front_door = FrontDoor::start(&world, &spine).await?;

    let output = Command::new("node")
        .arg(Path::new(SOURCES).join("client.cjs"))
        .arg(front_door.url("/api/v1/docs"))
        .arg(world.token().sign()?)
        .arg(BROWSER)
        .env("NODE_PATH", modules)
        .kill_on_drop(true)
        .output()
        .await
        .context("starting the browser's driver")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the driver ended with {}: {errors}", output.status);
    let seen: Value =
        serde_json::from_slice(&output.stdout).context("the driver writes no JSON")?;

    let refused = seen["refused"].as_array().context("nothing is said of what was refused")?;
    ensure!(refused.is_empty(), "the page breaks its own policy or fails: {seen:#}");
    let elsewhere = |url: &Value| {
        let url = url.as_str().unwrap_or_default();
        !url.starts_with(&front_door.url("/")) && !url.starts_with("data:")
    };
    let requests = seen["requests"].as_array().context("the page asks for nothing")?;
    ensure!(!requests.iter().any(elsewhere), "the page asks others: {seen:#}");

    ensure!(seen["answer"]["status"] == 202, "{seen:#}");
    ensure!(seen["shown"][0] == "202" || seen["shown"][1] == "202", "{seen:#}");
    let sent: Value = serde_json::from_str(seen["answer"]["sent"].as_str().context("no body")?)?;
    let described = stored()?;
    let operation = &described["paths"]["/api/v1/events"]["post"];
    let contents = operation["requestBody"]["content"].as_object().context("no bodies")?.values();
    let examples = contents.filter_map(|content| content["examples"].as_object());
    let mut examples = examples.flat_map(|examples| examples.values());
    ensure!(examples.any(|example| example["value"] == sent), "it sent no example: {seen:#}");
    world.level().await?;
    world.must_equal_the_log().await.map(drop)
}
