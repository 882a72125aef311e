//! Asking our processes over HTTP.

use std::fmt;

use anyhow::{Context as _, Result};
use reqwest::header::HeaderMap;

/// An HTTP client that keeps its connections.
#[derive(Debug, Clone)]
pub struct Client(reqwest::Client);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Client {
    /// A client that follows nothing and waits 30 seconds for an answer.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn new() -> Result<Self> {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(30))
            .build()
            .context("making an HTTP client")
            .map(Self)
    }

    /// GET without further headers.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn get(&self, url: &str) -> Result<Answer> {
        self.send(self.request("GET", url)?).await
    }

    /// A request that is to be completed and [sent](Self::send).
    ///
    /// # Errors
    /// The method is none.
    pub fn request(&self, method: &str, url: &str) -> Result<reqwest::RequestBuilder> {
        let method = method.parse().with_context(|| format!("{method} is no method"))?;
        Ok(self.0.request(method, url))
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let answer = request.send().await.context("sending a request")?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.context("reading an answer")?;
        Ok(Answer { status, headers, text })
    }
}

impl Client {
    /// Sends a request and leaves the body of its answer where it is.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn download(&self, request: reqwest::RequestBuilder) -> Result<Download> {
        Ok(Download(request.send().await.context("sending a request")?))
    }
}

/// An answer whose body is read piece by piece.
#[derive(Debug)]
pub struct Download(reqwest::Response);

impl Download {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// A header, or nothing where it is absent or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    /// The answer breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.0.chunk().await.context("reading an answer")?.map(|chunk| chunk.to_vec()))
    }
}

impl Answer {
    /// A header, or nothing where it is absent or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none; then with the whole answer.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.text).with_context(|| format!("no JSON in the answer {self}"))
    }

    /// The last part of the `type` of a problem document; empty where the answer is none.
    pub fn problem(&self) -> String {
        if self.header("content-type") != Some("application/problem+json") {
            return String::new();
        }
        let problem: serde_json::Value = serde_json::from_str(&self.text).unwrap_or_default();
        let kind = problem.get("type").and_then(|kind| kind.as_str()).unwrap_or_default();
        kind.rsplit(['/', ':']).next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)
    }
}
