//! The description of the API: that it is what the processes say, and where it is read.

use anyhow::{Context as _, Result, ensure};
use problem_details::ProblemType;
use serde_json::Value;
use test_support::{AccessToken, Answer, Client, Spine, World, alone};
use xtask::checkout;
use xtask::fuzz_api::FuzzedApi;

use super::front_door::FrontDoor;

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

/// Set by the command that writes the description anew.
const WRITE: &str = "WRITE_API_DESCRIPTION";

/// As much of the fuzzing as every run of the tests has time for.
const FUZZED_SECONDS: u64 = 20;

/// What the processes say of themselves.
pub(super) fn said() -> Value {
    command_api::description().merge(query_api::description()).openapi()
}

pub(super) fn stored() -> Result<Value> {
    let text = std::fs::read_to_string(STORED).context("reading docs/openapi.json")?;
    serde_json::from_str(&text).context("docs/openapi.json is no JSON")
}

#[test]
fn the_stored_description_is_what_the_processes_say_of_themselves() -> Result<()> {
    let said = said();
    if std::env::var_os(WRITE).is_some() {
        let text = serde_json::to_string_pretty(&said)? + "\n";
        std::fs::write(STORED, text).context("writing docs/openapi.json")?;
    }
    let stored = stored()?;
    if let Some(place) = difference("", &stored, &said) {
        anyhow::bail!("docs/openapi.json is another at {place}: cargo xtask write-api-description");
    }
    Ok(())
}

/// The first place, as a JSON pointer, at which two values differ.
fn difference(place: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) if ones.keys().eq(others.keys()) => ones
            .iter()
            .find_map(|(name, one)| difference(&format!("{place}/{name}"), one, &others[name])),
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            let mut pairs = ones.iter().zip(others).enumerate();
            pairs.find_map(|(n, (one, other))| difference(&format!("{place}/{n}"), one, other))
        }
        _ => (one != other)
            .then(|| format!("{place}: {one} and {other}").chars().take(300).collect()),
    }
}

#[test]
fn every_problem_that_is_described_is_in_the_catalogue_under_its_status() -> Result<()> {
    let described = said();
    let paths = described["paths"].as_object().context("no paths")?;
    let operations = paths.values().filter_map(Value::as_object).flatten();
    let mut seen = 0;
    for (_, operation) in operations {
        for (status, response) in operation["responses"].as_object().context("no responses")? {
            let content = &response["content"]["application/problem+json"];
            let uris = content["schema"]["allOf"][1]["properties"]["type"]["enum"].as_array();
            for uri in uris.into_iter().flatten() {
                let kind = ProblemType::ALL.iter().find(|kind| kind.uri() == uri);
                let kind = kind.with_context(|| format!("{uri} is no type"))?;
                ensure!(kind.status().as_str() == status, "{uri} under {status}");
                seen += 1;
            }
        }
    }
    ensure!(seen > 50, "only {seen} problems are described");
    Ok(())
}

#[tokio::test]
async fn every_path_takes_the_methods_that_are_described_and_says_so() -> Result<()> {
    let world = World::start("described_methods").await?;
    let spine = Spine::start(&world).await?;
    let front_door = FrontDoor::start(&world, &spine).await?;
    let (client, token) = (Client::new()?, world.token().sign()?);
    let described = stored()?;
    for (path, operations) in described["paths"].as_object().context("no paths")? {
        let operations = operations.as_object().context("no operations")?;
        let mut allowed: Vec<String> = operations.keys().map(|name| name.to_uppercase()).collect();
        allowed.extend(operations.contains_key("get").then(|| "HEAD".to_owned()));
        allowed.sort_unstable();
        let url = front_door.url(&any_of(path));
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if allowed.iter().any(|known| known == method) {
                continue;
            }
            let request = client.request(method, &url)?.bearer_auth(&token);
            let answer = client.send(request).await?;
            ensure!(answer.status == 405, "{method} {path} is answered {answer}");
            ensure!(answer.problem() == "method-not-allowed", "{method} {path}: {answer}");
            let told = answer.header("allow").with_context(|| format!("no Allow: {answer}"))?;
            let mut told: Vec<_> = told.split(',').map(|name| name.trim().to_owned()).collect();
            told.sort_unstable();
            ensure!(told == allowed, "{method} {path}: {told:?} and not {allowed:?}");
            must_be_protected(&answer)?;
        }
    }
    Ok(())
}

/// A path in which something stands in each place.
fn any_of(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "device-123" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// What every answer says to browsers, whoever wrote it.
pub(super) fn must_be_protected(answer: &Answer) -> Result<()> {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cache-control", "no-store"),
    ] {
        ensure!(answer.header(name) == Some(value), "{name} is not {value}: {:?}", answer.headers);
        let lines = answer.headers.get_all(name).iter().count();
        ensure!(lines == 1, "{name} stands {lines} times");
    }
    ensure!(answer.header("x-request-id").is_some(), "no id: {:?}", answer.headers);
    ensure!(answer.headers.get_all("x-request-id").iter().count() == 1, "two ids");
    Ok(())
}

#[tokio::test]
async fn the_api_answers_as_it_is_described_whatever_it_is_sent() -> Result<()> {
    let _alone = alone().await?;
    let world = World::start("fuzzed").await?;
    let spine = Spine::start_whole(&world).await?;
    let front_door = FrontDoor::start(&world, &spine).await?;
    let (url, token) = (front_door.url(""), AccessToken::tester().sign()?);
    let fuzzed = tokio::task::spawn_blocking(move || {
        let checkout = checkout::find()?;
        FuzzedApi {
            checkout: &checkout,
            url: &url,
            access_token: &token,
            seconds: FUZZED_SECONDS,
            seed: 1,
        }
        .run()
    });
    fuzzed.await.context("fuzzing")??;
    world.level().await?;
    world.must_equal_the_log().await.map(drop)
}
