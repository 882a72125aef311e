//! The three processes of the spine and a client who uses them as people do.

use anyhow::{Context as _, Result};
use reqwest::RequestBuilder;
use settings::table::PROJECTOR_PROJECTIONS;

use crate::{AccessToken, Answer, Client, Download, Launch, Running, World};

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
    reads: String,
    bearer: String,
}

impl Spine {
    /// Starts the three and waits until they are ready. The projector folds `resource`.
    ///
    /// # Errors
    /// One of them is not.
    pub async fn start(world: &World) -> Result<Self> {
        Self::start_with(world.command_api()?, world.projector()?, world.query_api()?).await
    }

    /// The same, with a projector that folds everything.
    ///
    /// # Errors
    /// One of them is not.
    pub async fn start_whole(world: &World) -> Result<Self> {
        let projector = world.projector()?.without(PROJECTOR_PROJECTIONS.name);
        Self::start_with(world.command_api()?, projector, world.query_api()?).await
    }

    /// Starts these three, which are of one world, and waits until they are ready.
    ///
    /// # Errors
    /// One of them is not.
    pub async fn start_with(
        command_api: Launch,
        projector: Launch,
        query_api: Launch,
    ) -> Result<Self> {
        let (command_api, projector, query_api) =
            tokio::try_join!(command_api.start(), projector.start(), query_api.start())?;
        tokio::try_join!(command_api.ready(), projector.ready(), query_api.ready())?;
        let caller = Caller::new(&command_api, &query_api, &AccessToken::tester().sign()?)?;
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
            reads: query_api.url(""),
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
        self.ask(method, &format!("/api/v1/resources/{device}"))
    }

    /// A request for a path of the read side, to be completed and sent.
    ///
    /// # Errors
    /// The request cannot be made.
    pub fn ask(&self, method: &str, path: &str) -> Result<RequestBuilder> {
        let request = self.client.request(method, &format!("{}{path}", self.reads))?;
        Ok(request.header("authorization", &self.bearer))
    }

    /// What the read side answers to a GET of a path.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.ask("GET", path)?).await
    }

    /// What the read side answers to a GET of a path, as new as the token of an answer says.
    ///
    /// # Errors
    /// There is no answer, or the written one carries no token.
    pub async fn get_after(&self, written: &Answer, path: &str) -> Result<Answer> {
        let token = written
            .header("consistency-token")
            .with_context(|| format!("there is no Consistency-Token in the answer {written}"))?;
        let request = self.ask("GET", path)?.header("consistency-token", token);
        self.send(request.header("prefer", "wait=5")).await
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        self.client.send(request).await
    }

    /// Sends a request and leaves the body of its answer where it is.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn download(&self, request: RequestBuilder) -> Result<Download> {
        self.client.download(request).await
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
        self.get_after(written, &format!("/api/v1/resources/{device}")).await
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
