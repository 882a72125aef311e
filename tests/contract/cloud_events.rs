//! CloudEvents of other people's SDKs: sent through the front door in every mode, read back from the
//! log and by a GET.

mod sdk;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Client, Spine, World};

use super::front_door::FrontDoor;
use sdk::Sdk;

#[tokio::test]
async fn events_of_the_python_sdk_arrive_in_every_mode_and_are_read_back() -> Result<()> {
    let sdk = Sdk::python().await?;
    travel(&sdk, "ce_python", "2026-03-01T12:00:00.123456+00:00").await
}

#[tokio::test]
async fn events_of_the_javascript_sdk_arrive_in_every_mode_and_are_read_back() -> Result<()> {
    let sdk = Sdk::javascript().await?;
    travel(&sdk, "ce_javascript", "2026-03-01T12:00:00.123Z").await
}

/// What was sent for a device, and the id under which it was taken.
type Sent = BTreeMap<String, (Value, String)>;

async fn travel(sdk: &Sdk, name: &str, time: &str) -> Result<()> {
    let world = World::start(name).await?;
    let spine = Spine::start(&world).await?;
    let front_door = FrontDoor::start(&world, &spine).await?;
    let (events, token) = (front_door.url("/api/v1/events"), world.token().sign()?);

    let answers = sdk.send(&events, &token).await?;
    ensure!(answers.len() == 4, "{answers:?}");
    let mut sent = Sent::new();
    for answer in &answers {
        let taken = taken(answer)?;
        for (device, (payload, _)) in &taken {
            must_be_read(&front_door, &token, answer, device, payload).await?;
        }
        sent.extend(taken);
    }
    ensure!(sent.len() == 6, "{sent:?}");

    let records = world.log()?.read().await?;
    ensure!(records.len() == sent.len(), "the log has {} records", records.len());
    for event in sdk.read(world.stack().registry_url()?, &records).await? {
        must_be_the_event(&event, &sent, time)?;
    }

    // Sent again, each is the same event and takes effect once.
    for answer in &sdk.send(&events, &token).await? {
        for (device, (_, id)) in taken(answer)? {
            ensure!(sent.get(&device).is_some_and(|(_, first)| *first == id), "{device}: {answer}");
        }
    }
    world.level().await?;
    let rows = world.rows().await?;
    ensure!(rows.len() == sent.len(), "{rows:?}");
    ensure!(rows.values().all(|row| row.version == 1), "a retry was counted: {rows:?}");
    world.must_equal_the_log().await.map(drop)
}

/// What an answer says was taken.
fn taken(answer: &Value) -> Result<Sent> {
    ensure!(answer["status"] == 202, "{answer}");
    let sent = answer["sent"].as_array().context("nothing was sent")?;
    let results = match &answer["body"]["results"] {
        Value::Array(results) => results.iter().collect(),
        _ => vec![&answer["body"]],
    };
    ensure!(results.len() == sent.len(), "{answer}");
    let taken = |(sent, result): (&Value, &Value)| {
        ensure!(result["status"] == "accepted", "{answer}");
        let id = result["request_id"].as_str().context("no request_id")?.to_owned();
        let device = sent["device"].as_str().context("no device")?.to_owned();
        Ok((device, (sent["payload"].clone(), id)))
    };
    sent.iter().zip(results).map(taken).collect()
}

/// GET through the front door, with the token of the answer to the event.
async fn must_be_read(
    front_door: &FrontDoor,
    access_token: &str,
    answer: &Value,
    device: &str,
    payload: &Value,
) -> Result<()> {
    let client = Client::new()?;
    let encoded: String = device.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let request = client
        .request("GET", &front_door.url(&format!("/api/v1/resources/{encoded}")))?
        .header("authorization", format!("Bearer {access_token}"))
        .header("consistency-token", answer["token"].as_str().context("no Consistency-Token")?)
        .header("prefer", "wait=5");
    let read = client.send(request).await?;
    ensure!(read.status == 200, "{device} is answered {read}");
    let resource = read.json()?;
    ensure!(resource["id"] == device && resource["payload"] == *payload, "{device}: {read}");
    ensure!(resource["version"] == 1, "{device}: {read}");
    let time = resource["occurred_at"].as_str().context("no occurred_at")?;
    ensure!(time.starts_with("2026-03-01T12:00:00.123"), "{device}: {read}");
    Ok(())
}

/// What an SDK read from the log, in Kafka's binary mode.
fn must_be_the_event(event: &Value, sent: &Sent, time: &str) -> Result<()> {
    let subject = event["subject"].as_str().context("an event without a subject")?;
    let (payload, id) = sent.get(subject).with_context(|| format!("nobody sent {event}"))?;
    let expected = [
        ("id", id.as_str()),
        ("source", "/millrace/command-api"),
        ("type", "millrace.device.event-reported.v1"),
        ("datacontenttype", "application/avro"),
        ("partitionkey", subject),
        ("time", time),
    ];
    for (attribute, value) in expected {
        ensure!(event[attribute] == value, "{attribute} is not {value} in {event}");
    }
    let data = &event["data"];
    ensure!(data["device_id"] == subject && data["request_id"] == id.as_str(), "{event}");
    let logged = data["payload"].as_str().context("a payload that is no text")?;
    ensure!(serde_json::from_str::<Value>(logged)? == *payload, "{event}");
    ensure!(data["dedupe"] == "client", "{event}");
    Ok(())
}
