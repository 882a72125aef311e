//! Every example of the description, sent as it stands.

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use test_support::{Answer, Client, Spine, World, eventually};

use super::api_description::stored;
use super::front_door::FrontDoor;

/// An example and what it belongs to.
struct Example<'a> {
    name: String,
    method: &'a str,
    path: String,
    request: &'a Value,
    operation: &'a Value,
}

#[tokio::test]
async fn every_example_of_the_description_is_answered_as_it_says() -> Result<()> {
    let world = World::start("examples").await?;
    let spine = Spine::start_whole(&world).await?;
    let front_door = FrontDoor::start(&world, &spine).await?;
    let token = world.token().sign()?;
    let described = stored()?;
    let mut examples = examples(&described)?;
    ensure!(examples.len() >= 20, "there are only {} examples", examples.len());
    // What is read has to be written first.
    examples.sort_by_key(|example| example.method != "post");
    for example in &examples {
        // A view follows the log: what was written a moment ago is there soon.
        eventually(&format!("{} is answered as it says", example.name), async || {
            let answer = example.send(&front_door, &token).await?;
            let expected = &example.request["status"];
            ensure!(*expected == answer.status, "{} is answered {answer}", example.name);
            example.must_describe(&answer)
        })
        .await?;
    }
    world.level().await?;
    world.must_equal_the_log().await.map(drop)
}

fn examples(described: &Value) -> Result<Vec<Example<'_>>> {
    let mut examples = Vec::new();
    for (path, operations) in described["paths"].as_object().context("no paths")? {
        for (method, operation) in operations.as_object().context("no operations")? {
            let all = operation["x-examples"].as_object();
            let is_older = operation["deprecated"] == true;
            ensure!(all.is_some() || is_older, "{method} {path} has no example");
            for (name, request) in all.into_iter().flatten() {
                examples.push(Example {
                    name: format!("{method} {path} {name}"),
                    method,
                    path: request["path"]
                        .as_str()
                        .map_or_else(|| with_parameters(path, operation), str::to_owned),
                    request,
                    operation,
                });
            }
        }
    }
    Ok(examples)
}

/// The path with the parameters' own examples.
pub(super) fn with_parameters(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(|it| it["in"] == "path").fold(path.to_owned(), |path, it| {
        let name = format!("{{{}}}", it["name"].as_str().unwrap_or_default());
        path.replace(&name, it["example"].as_str().unwrap_or_default())
    })
}

impl Example<'_> {
    async fn send(&self, front_door: &FrontDoor, token: &str) -> Result<Answer> {
        let query = self.request["query"].as_str().map(|query| format!("?{query}"));
        let url = front_door.url(&format!("{}{}", self.path, query.unwrap_or_default()));
        let client = Client::new()?;
        let mut request = client.request(&self.method.to_uppercase(), &url)?.bearer_auth(token);
        let headers = self.request["headers"].as_object();
        for (name, value) in headers.into_iter().flatten() {
            request = request.header(name, value.as_str().context("a header that is no text")?);
        }
        if let Some(media_type) = self.request["contentType"].as_str() {
            let body = self.request["body"].to_string();
            let body = match self.request["headers"]["Content-Encoding"].as_str() {
                Some("gzip") => gzip(body.as_bytes())?,
                _ => body.into_bytes(),
            };
            request = request.header("content-type", media_type).body(body);
        }
        client.send(request).await
    }

    /// The answer's status, media type and headers are those of the description.
    fn must_describe(&self, answer: &Answer) -> Result<()> {
        let response = &self.operation["responses"][answer.status.to_string()];
        ensure!(response.is_object(), "{} is not described", answer.status);
        if let Some(media_type) = answer.header("content-type") {
            ensure!(!response["content"][media_type].is_null(), "{media_type} is not described");
        }
        let described = response["headers"].as_object().context("no headers")?;
        for name in ["consistency-token", "etag", "link", "retry-after", "www-authenticate"] {
            let is_described = described.keys().any(|key| key.eq_ignore_ascii_case(name));
            ensure!(answer.header(name).is_none() || is_described, "{name} is not described");
        }
        Ok(())
    }
}

fn gzip(body: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    encoder.finish().context("compressing")
}
