//! The few requests of the Confluent REST API by which a schema is registered.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What every version of a subject must be with every other.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A schema registry. Its calls block.
pub(super) struct Registry {
    agent: ureq::Agent,
    url: String,
    /// The URL as it may stand in a message.
    shown: String,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Stored {
    schema: String,
}

impl Registry {
    /// A registry by the URL of its Confluent REST API.
    pub(super) fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .build()
            .into();
        let url = url.trim_end_matches('/').to_owned();
        let shown = without_userinfo(&url);
        Self { agent, url, shown }
    }

    /// Registers a schema under a subject, whose compatibility is set first, and returns its id
    /// once the registry gives the same schema back for it.
    pub(super) fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let wanted: Value = serde_json::from_str(schema).context("reading the schema")?;
        let compatibility = json!({ "compatibility": COMPATIBILITY });
        let _: Value = self.send("PUT", &format!("/config/{subject}"), Some(&compatibility))?;
        // Without normalize another layout of the same schema would become a version of its own.
        let path = format!("/subjects/{subject}/versions?normalize=true");
        let body = json!({ "schema": schema, "schemaType": "AVRO" });
        let registered: Registered = self.send("POST", &path, Some(&body))?;
        let stored: Stored = self.send("GET", &format!("/schemas/ids/{}", registered.id), None)?;
        let found: Value = serde_json::from_str(&stored.schema).context("reading it back")?;
        ensure!(found == wanted, "the registry gives another schema back for id {}", registered.id);
        Ok(registered.id)
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let url = format!("{}{path}", self.shown);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json")
            .body(body.map(Value::to_string).unwrap_or_default())
            .with_context(|| format!("making the request {method} {url}"))?;
        let mut answer = self.agent.run(request).with_context(|| format!("{method} {url}"))?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().with_context(|| format!("{method} {url}"))?;
        if !status.is_success() {
            bail!("{method} {url} was answered {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("reading the answer to {method} {url}"))
    }
}

/// A URL without the user and password that may stand before its host.
fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.find("://").map_or(("", url), |end| url.split_at(end + 3));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let shown = authority.rfind('@').map_or(rest, |end| &rest[end + 1..]);
    format!("{scheme}{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_user_and_password() {
        let cases = [
            ("http://user:secret@host:8085/apis", "http://host:8085/apis"),
            ("https://user:se@cret@host", "https://host"),
            ("http://host:8085/a@b", "http://host:8085/a@b"),
            ("http://host?at=a@b", "http://host?at=a@b"),
            ("user:secret@host/apis", "host/apis"),
        ];
        for (url, shown) in cases {
            assert_eq!(without_userinfo(url), shown, "{url}");
        }
    }

    #[test]
    fn a_registry_that_cannot_be_reached_is_named_without_its_password() {
        for url in ["http://user:secret@127.0.0.1:1/apis", "user:secret@127.0.0.1:1"] {
            let error = Registry::new(url).register("subject", "{}").unwrap_err();
            let message = format!("{error:#} {error:?}");
            assert!(message.contains("127.0.0.1:1"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
