//! The last step of a start: an event goes in through the front door and is read back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// The device of the first event.
const DEVICE: &str = "device-hello";

/// Longer than the read waits for the event's position.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends an event and reads it back by its consistency token; the answer is the resource.
///
/// # Errors
/// Any answer but the right one, with its status and body.
pub fn travel(url: &str, access_token: &str) -> Result<Value> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let authorization = format!("Bearer {access_token}");

    let mut accepted = agent
        .post(format!("{url}/events"))
        .header("Authorization", &authorization)
        .content_type("application/json")
        .send(json!({ "device_id": DEVICE, "payload": { "message": "hello" } }).to_string())
        .context("sending the first event")?;
    let answer = accepted.body_mut().read_to_string().context("reading the answer")?;
    ensure!(
        accepted.status() == 202,
        "the first event was answered {}: {answer}",
        accepted.status()
    );
    let token = accepted
        .headers()
        .get("Consistency-Token")
        .and_then(|token| token.to_str().ok())
        .context("the answer to the first event carries no Consistency-Token")?;

    let mut read = agent
        .get(format!("{url}/resource/{DEVICE}"))
        .header("Authorization", &authorization)
        .header("Consistency-Token", token)
        .header("Prefer", "wait=5")
        .call()
        .context("reading the first event back")?;
    let status = read.status();
    let answer = read.body_mut().read_to_string().context("reading the answer")?;
    ensure!(status == 200, "reading the first event back was answered {status}: {answer}");
    serde_json::from_str(&answer).context("reading the resource")
}
