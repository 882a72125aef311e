//! The few requests of the Confluent REST API by which a schema is registered.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use event_schema::registry::RegistryConfig;
use reqwest::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use settings::without_userinfo;

/// What every version of a subject must be with every other.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A schema registry.
pub(super) struct Registry {
    client: Client,
    config: RegistryConfig,
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
    /// A client; nothing is asked yet.
    pub(super) fn new(config: &RegistryConfig) -> Result<Self> {
        let client = config
            .client()
            .and_then(|client| client.timeout(ANSWER_TIMEOUT).no_proxy().build())
            .context("making the registry's client")?;
        let shown = without_userinfo(&config.url);
        Ok(Self { client, config: config.clone(), shown })
    }

    /// Registers a schema under a subject, whose compatibility is set first, and returns its id
    /// once the registry gives the same schema back for it.
    pub(super) async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let wanted: Value = serde_json::from_str(schema).context("reading the schema")?;
        let compatibility = json!({ "compatibility": COMPATIBILITY });
        let _: Value =
            self.send(Method::PUT, &format!("/config/{subject}"), Some(&compatibility)).await?;
        // Without normalize another layout of the same schema would become a version of its own.
        let path = format!("/subjects/{subject}/versions?normalize=true");
        let body = json!({ "schema": schema, "schemaType": "AVRO" });
        let registered: Registered = self.send(Method::POST, &path, Some(&body)).await?;
        let path = format!("/schemas/ids/{}", registered.id);
        let stored: Stored = self.send(Method::GET, &path, None).await?;
        let found: Value = serde_json::from_str(&stored.schema).context("reading it back")?;
        ensure!(found == wanted, "the registry gives another schema back for id {}", registered.id);
        Ok(registered.id)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let asked = format!("{method} {}{path}", self.shown);
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.config.url))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json");
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = self.config.authorized(request).send().await;
        // The client's errors name the URL, password and all.
        let answer = answer.map_err(reqwest::Error::without_url).with_context(|| asked.clone())?;
        let status = answer.status();
        let text = answer
            .text()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| asked.clone())?;
        if !status.is_success() {
            bail!("{asked} was answered {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("reading the answer to {asked}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_registry_that_cannot_be_reached_is_named_without_its_password() {
        let registry =
            Registry::new(&RegistryConfig::open("http://user:secret@127.0.0.1:1/apis")).unwrap();
        let error = registry.register("subject", "{}").await.unwrap_err();
        let message = format!("{error:#} {error:?}");
        assert!(message.contains("127.0.0.1:1"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}
