//! The three processes of the spine and a client who uses them as people do.

use anyhow::{Context as _, Result};
use reqwest::RequestBuilder;

use crate::{Answer, Client, Running, World};

/// Command-api, projector and query-api of a world, ready, and a tester's client.
#[derive(Debug)]
pub struct Spine {
    /// The write side.
    pub command_api: Running,
    /// The fold.
    pub projector: Running,
    /// The read side.
    pub query_api: Running,
    /// Asks both sides.
    pub caller: Caller,
}

/// Somebody with an access token who knows both sides.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Client,
    events: String,
    resource: String,
    bearer: String,
}

impl Spine {
    /// Starts the three and waits until they are ready.
    ///
    /// # Errors
    /// One of them is not.
    pub async fn start(world: &World) -> Result<Self> {
        let (command_api, projector, query_api) =
            (world.command_api()?, world.projector()?, world.query_api()?);
        let (command_api, projector, query_api) =
            tokio::try_join!(command_api.start(), projector.start(), query_api.start())?;
        tokio::try_join!(command_api.ready(), projector.ready(), query_api.ready())?;
        let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;
        Ok(Self { command_api, projector, query_api, caller })
    }
}

impl Caller {
    /// Somebody with this access token.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn new(command_api: &Running, query_api: &Running, access_token: &str) -> Result<Self> {
        Ok(Self {
            client: Client::new()?,
            events: command_api.url("/api/v1/events"),
            resource: query_api.url("/api/v1/resources"),
            bearer: format!("Bearer {access_token}"),
        })
    }

    /// A POST of a body, to be completed and sent.
    ///
    /// # Errors
    /// The request cannot be made.
    pub fn post(&self, body: impl Into<String>) -> Result<RequestBuilder> {
        let request = self.client.request("POST", &self.events)?;
        Ok(request
            .header("authorization", &self.bearer)
            .header("content-type", "application/json")
            .body(body.into()))
    }

    /// A request for a device's resource, to be completed and sent.
    ///
    /// # Errors
    /// The request cannot be made.
    pub fn resource(&self, method: &str, device: &str) -> Result<RequestBuilder> {
        let request = self.client.request(method, &format!("{}/{device}", self.resource))?;
        Ok(request.header("authorization", &self.bearer))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        self.client.send(request).await
    }

    /// Reports an event whose payload is this JSON text.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn report(&self, device: &str, payload: &str) -> Result<Answer> {
        self.send(self.post(event_body(device, payload))?).await
    }

    /// Reports an event under the client's own id.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn report_named(&self, device: &str, payload: &str, key: &str) -> Result<Answer> {
        let request = self.post(event_body(device, payload))?;
        self.send(request.header("idempotency-key", format!("\"{key}\""))).await
    }

    /// Reads a device's resource, as new as the token of an answer says.
    ///
    /// # Errors
    /// There is no answer, or the written one carries no token.
    pub async fn read_after(&self, written: &Answer, device: &str) -> Result<Answer> {
        let token = written
            .header("consistency-token")
            .with_context(|| format!("there is no Consistency-Token in the answer {written}"))?;
        let request = self.resource("GET", device)?;
        self.send(request.header("consistency-token", token).header("prefer", "wait=5")).await
    }

    /// Reads a device's resource as it is.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn read(&self, device: &str) -> Result<Answer> {
        self.send(self.resource("GET", device)?).await
    }
}

/// The body of an event whose payload is this JSON text.
pub fn event_body(device: &str, payload: &str) -> String {
    format!(r#"{{"device_id":{},"payload":{payload}}}"#, serde_json::Value::from(device))
}
