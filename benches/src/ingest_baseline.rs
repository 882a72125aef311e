//! What somebody would write who needs no promises: parse the body, produce it as it is, answer
//! once it is acknowledged; no token, no Avro, no checks, no limits, no unknown outcomes.

use std::time::Duration;

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Where the handler listens and writes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Handler {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    bind: String,
}

#[derive(Deserialize)]
struct Body {
    device_id: String,
    payload: Box<RawValue>,
}

#[derive(Clone)]
struct Log {
    producer: FutureProducer,
    topic: String,
}

/// Serves until it is killed.
pub(crate) async fn run(handler: Handler) -> Result<()> {
    let producer = ClientConfig::new()
        .set("bootstrap.servers", &handler.brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .create()?;
    let routes = Router::new()
        .route("/api/v1/events", post(accept))
        .with_state(Log { producer, topic: handler.topic });
    let listener = tokio::net::TcpListener::bind(&handler.bind).await?;
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn accept(State(log): State<Log>, Json(body): Json<Body>) -> StatusCode {
    let record =
        FutureRecord::to(&log.topic).key(&body.device_id).payload(body.payload.get().as_bytes());
    match log.producer.send(record, Duration::ZERO).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
