//! What somebody would write who needs no promises: one `GET` of Redis and its text as the answer;
//! no access token, no trust, no headers, no limits, no way around a Redis that is slow.

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike as _, KeysInterface as _};
use fred::types::Expiration;
use fred::types::config::Config;

/// Bodies are gone at the latest after this many seconds, however the bench ended.
const TTL_SECONDS: i64 = 3600;

/// Where the handler listens and reads.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Reader {
    #[arg(long)]
    redis_url: String,
    /// What stands before an id in its key.
    #[arg(long)]
    keys: String,
    #[arg(long)]
    bind: String,
}

/// The bodies of the baseline.
#[derive(Clone)]
pub(crate) struct Bodies {
    redis: Client,
    keys: String,
}

impl Bodies {
    /// Connects.
    pub(crate) async fn open(redis_url: &str, keys: String) -> Result<Self> {
        let redis = Client::new(Config::from_url_centralized(redis_url)?, None, None, None);
        redis.init().await?;
        Ok(Self { redis, keys })
    }

    /// Puts a body where the handler finds it.
    pub(crate) async fn put(&self, id: &str, body: &[u8]) -> Result<()> {
        let expires = Some(Expiration::EX(TTL_SECONDS));
        let body = Bytes::copy_from_slice(body);
        self.redis.set::<(), _, _>(self.key(id), body, expires, None, false).await?;
        Ok(())
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.keys)
    }
}

/// Serves until it is killed.
pub(crate) async fn run(reader: Reader) -> Result<()> {
    let bodies = Bodies::open(&reader.redis_url, reader.keys).await?;
    // The path of the subject: both sides are sent the same requests.
    let routes = Router::new().route("/api/v1/resources/{id}", get(read)).with_state(bodies);
    let listener = tokio::net::TcpListener::bind(&reader.bind).await?;
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn read(State(bodies): State<Bodies>, Path(id): Path<String>) -> Response {
    match bodies.redis.get::<Option<Bytes>, _>(bodies.key(&id)).await {
        Ok(Some(body)) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
