//! CloudEvents in every mode of HTTP: the device is the subject, the payload is the data.

use domain::device::{Dedupe, DeviceEventReported};
use kafka_io::producer::{LostOutcome, Refusal, SendError};
use serde_json::{Value, json};

use crate::world::{Answer, Sent, World, bearer, errors, slug, tester};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

async fn post(world: &World, headers: &[(&str, &str)], body: impl Into<String>) -> Answer {
    let authorization = bearer(&tester());
    let all = [&[("authorization", authorization.as_str())], headers].concat();
    world.post(&all, body.into()).await
}

async fn structured(world: &World, event: &Value) -> Answer {
    post(world, &[("content-type", STRUCTURED)], event.to_string()).await
}

/// An event as JSON, with these members besides or instead; null takes one away.
fn event(changes: Value) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": "A-1",
        "source": "/plant/7",
        "type": "com.example.measured",
        "subject": "device-123",
        "time": "2026-03-01T12:00:00.123456Z",
        "datacontenttype": "application/json",
        "data": {"temp_c": 21.5},
    });
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.as_object_mut().unwrap().retain(|name, value| name == "data" || !value.is_null());
    event
}

/// The same event's headers in binary mode.
const HEADERS: [(&str, &str); 7] = [
    ("content-type", "application/json"),
    ("ce-specversion", "1.0"),
    ("ce-id", "A-1"),
    ("ce-source", "/plant/7"),
    ("ce-type", "com.example.measured"),
    ("ce-subject", "device-123"),
    ("ce-time", "2026-03-01T12:00:00.123456Z"),
];

/// The headers with others instead; an empty value takes one away.
fn headers<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    let kept = HEADERS.iter().copied().filter(|(name, _)| !is_changed(name));
    let is_there = |(name, value): &(&str, &str)| *name == "content-type" || !value.is_empty();
    kept.chain(changes.iter().copied()).filter(is_there).collect()
}

fn only(world: &World) -> (Sent, DeviceEventReported) {
    let [sent] = &world.sent()[..] else { panic!("{:?}", world.sent()) };
    (sent.clone(), sent.event())
}

#[tokio::test]
async fn the_three_modes_are_the_same_event() {
    let mut events = Vec::new();
    for mode in 0..3 {
        let world = World::new();
        let answer = match mode {
            0 => post(&world, &HEADERS, r#"{"temp_c":21.5}"#).await,
            1 => structured(&world, &event(json!({}))).await,
            _ => {
                post(&world, &[("content-type", BATCH)], json!([event(json!({}))]).to_string())
                    .await
            }
        };
        assert_eq!(answer.status, 202, "{answer:?}");
        let (sent, event) = only(&world);
        let accepted = json!({"request_id": event.request_id.to_string(), "status": "accepted"});
        let expected = if mode == 2 { json!({"results": [accepted]}) } else { accepted };
        assert_eq!(answer.body, expected);
        assert_ne!(answer.header("consistency-token"), "");
        assert_eq!(
            (sent.stream_id.as_str(), event.payload.as_str()),
            ("device-123", r#"{"temp_c":21.5}"#)
        );
        assert_eq!(sent.headers["ce_time"], "2026-03-01T12:00:00.123456Z");
        // What the log says of itself stays ours.
        assert_eq!(sent.headers["ce_source"], "/millrace/command-api");
        assert_eq!(sent.headers["ce_type"], "millrace.device.event-reported.v1");
        assert_eq!((event.dedupe, event.request_id.get_version_num()), (Dedupe::Client, 8));
        events.push(event);
    }
    assert_eq!(events[0], events[1]);
    assert_eq!(events[0], events[2]);
}

#[tokio::test]
async fn source_and_id_name_the_event_wherever_it_stands() {
    let world = World::new();
    let changed = |changes| event(changes).to_string();
    let body = format!(
        "[{},{},{},{},{}]",
        changed(json!({})),
        changed(json!({"id": "A-2"})),
        changed(json!({"source": "/plant/8"})),
        changed(
            json!({"type": "other", "dataschema": "http://x", "comexample": 7, "other": {"a": []}})
        ),
        changed(json!({"data": 7})),
    );
    let answer = post(&world, &[("content-type", BATCH)], body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let events: Vec<_> = world.sent().iter().map(Sent::event).collect();
    let ids: Vec<_> = events.iter().map(|event| event.request_id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert_eq!(
        (ids[0], events[0].body_hash),
        (ids[3], events[3].body_hash),
        "what else it says is not stored"
    );
    assert_eq!(ids[0], ids[4]);
    assert_ne!(events[0].body_hash, events[4].body_hash, "the same id with another body is told");
    // An Idempotency-Key that reads the same names another event.
    let plain = r#"{"device_id":"device-123","payload":1}"#;
    let answer = post(&world, &[("idempotency-key", "A-1")], plain).await;
    assert_ne!(answer.body["request_id"], ids[0].to_string());
}

#[tokio::test]
async fn headers_of_binary_mode_are_decoded_as_the_specification_says() {
    let world = World::new();
    let changes = [
        ("ce-subject", "gr%C3%B6%C3%9fe/%E2%82%AC"),
        ("ce-source", "\"/plant/7\""),
        ("CE-Id", "%41-1"),
        ("ce-id", ""),
        ("ce-time", "2026-03-01T14:00:00%2B02:00"),
        ("content-type", "application/vnd.acme+JSON; charset=utf-8"),
        ("ce-datacontenttype", "text/xml"),
    ];
    let answer = post(&world, &headers(&changes), " [1 , 2.50]\n").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let (sent, event) = only(&world);
    assert_eq!((sent.stream_id.as_str(), event.payload.as_str()), ("größe/€", "[1 , 2.50]"));
    assert_eq!(sent.headers["ce_time"], "2026-03-01T12:00:00.000000Z");

    let same = World::new();
    let body = event_text("größe/€", "2026-03-01T14:00:00+02:00", "[1 , 2.50]");
    assert_eq!(post(&same, &[("content-type", STRUCTURED)], body).await.status, 202);
    assert_eq!(only(&same).1, event);
}

/// An event with its data as it is written.
fn event_text(subject: &str, time: &str, data: &str) -> String {
    let mut event = event(json!({"subject": subject, "time": time}));
    event.as_object_mut().unwrap().remove("data");
    let text = event.to_string();
    format!("{},\"data\":{data}}}", text.strip_suffix('}').unwrap())
}

#[tokio::test]
async fn data_without_a_media_type_is_json() {
    for headers in [headers(&[("content-type", "")]), headers(&[])] {
        let world = World::new();
        assert_eq!(post(&world, &headers, "null").await.status, 202);
        assert_eq!(only(&world).1.payload, "null");
    }
    for (data, payload) in [(json!(null), "null"), (json!("x"), "\"x\""), (json!(7), "7")] {
        let world = World::new();
        let event = event(json!({"datacontenttype": null, "time": null, "data": data}));
        assert_eq!(structured(&world, &event).await.status, 202, "{event}");
        assert_eq!(only(&world).1.payload, payload);
        assert_eq!(only(&world).1.occurred_at, None);
    }
}

/// The event with this text as its data in base64.
fn in_base64(data: impl AsRef<[u8]>) -> Value {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(data);
    let mut event = event(json!({"data_base64": encoded}));
    event.as_object_mut().unwrap().remove("data");
    event
}

#[tokio::test]
async fn data_in_base64_is_taken_where_it_is_json() {
    let world = World::new();
    assert_eq!(structured(&world, &in_base64(" {\"temp_c\":21.50} ")).await.status, 202);
    assert_eq!(only(&world).1.payload, "{\"temp_c\":21.50}");
    let largest = format!("\"{}\"", "x".repeat(65_534));
    assert_eq!(structured(&world, &in_base64(largest)).await.status, 202);
    let too_large = format!("\"{}\"", "x".repeat(65_535));
    for (data, status, rule) in [
        (too_large.as_bytes(), 413, "max-bytes"),
        (b"{\"a\":1", 400, "json"),
        (b"", 400, "json"),
        (b"{\"a\":[0,1e309]}", 400, "max-exponent"),
        (b"\"\xff\"", 400, "utf-8"),
    ] {
        let answer = structured(&world, &in_base64(data)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.errors(), [("/data_base64", rule)]);
    }
    let answer = structured(&world, &in_base64(b"{\"a\":[0,1e309]}")).await;
    let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
    assert_eq!(detail, "encodes a text that at /a/1 must have an exponent from -308 to 308");
    for (value, rule) in [(json!("a"), "base64"), (json!("e30"), "base64"), (json!(7), "string")] {
        let mut event = in_base64("1");
        event["data_base64"] = value;
        assert_eq!(structured(&world, &event).await.errors(), [("/data_base64", rule)], "{event}");
    }
    let both = event(json!({"data_base64": "MQ=="}));
    assert_eq!(structured(&world, &both).await.errors()[0].1, "one-data");
}

#[tokio::test]
async fn what_is_wrong_is_named_by_its_place_in_the_event() {
    let world = World::new();
    let absent = |names: &[&str]| {
        let mut event = event(json!({}));
        names.iter().for_each(|name| drop(event.as_object_mut().unwrap().remove(*name)));
        event
    };
    for (event, expected) in [
        (
            json!({}),
            vec![
                ("/specversion", "required"),
                ("/id", "required"),
                ("/source", "required"),
                ("/type", "required"),
                ("/subject", "required"),
                ("/data", "required"),
            ],
        ),
        (absent(&["subject", "data"]), vec![("/subject", "required"), ("/data", "required")]),
        (event(json!({"specversion": "0.3"})), vec![("/specversion", "spec-version")]),
        (event(json!({"specversion": 1.0})), vec![("/specversion", "string")]),
        (
            event(json!({"id": "", "source": "", "type": "", "subject": ""})),
            vec![
                ("/id", "min-characters"),
                ("/source", "min-characters"),
                ("/type", "min-characters"),
                ("/subject", "min-characters"),
            ],
        ),
        (event(json!({"subject": "a b"})), vec![("/subject", "visible-characters")]),
        (event(json!({"time": "yesterday"})), vec![("/time", "rfc-3339")]),
        (event(json!({"time": "2999-01-01T00:00:00Z"})), vec![("/time", "max-ahead-ms")]),
        (event(json!({"datacontenttype": "text/xml"})), vec![("/datacontenttype", "media-type")]),
        (event(json!({"data": {"a": "\u{0}"}})), vec![("/data/a", "no-nul")]),
    ] {
        let answer = structured(&world, &event).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"), "{event}");
        assert_eq!(answer.errors(), expected, "{event}");
    }
    let large = event(json!({"data": "x".repeat(70_000)}));
    let answer = structured(&world, &large).await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (413, vec![("/data", "max-bytes")]));
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn what_is_wrong_in_binary_mode_is_named_as_in_json() {
    let world = World::new();
    for (changes, body, status, expected) in [
        (
            vec![("ce-specversion", ""), ("ce-type", "")],
            "1",
            400,
            vec![("/specversion", "required"), ("/type", "required")],
        ),
        (vec![("ce-specversion", "0.3")], "1", 400, vec![("/specversion", "spec-version")]),
        (vec![("ce-subject", "")], "", 400, vec![("/subject", "required"), ("/data", "required")]),
        (vec![("ce-subject", "50%")], "1", 400, vec![("/subject", "percent-encoding")]),
        (vec![("ce-subject", "%C0%A0")], "1", 400, vec![("/subject", "utf-8")]),
        (vec![("ce-subject", "a%20b")], "1", 400, vec![("/subject", "visible-characters")]),
        (vec![("ce-id", "1"), ("ce-id", "2")], "1", 400, vec![("/id", "unique-names")]),
        (vec![("ce-time", "now")], "1", 400, vec![("/time", "rfc-3339")]),
        (vec![], r#"{"a":[1e309]}"#, 400, vec![("/data/a/0", "max-exponent")]),
        (vec![], r#"{"a":"#, 400, vec![("/data/a", "json")]),
    ] {
        let answer = post(&world, &headers(&changes), body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.errors(), expected, "{changes:?}");
    }
    let other = headers(&[("content-type", "text/xml")]);
    assert_eq!(post(&world, &other, "<a/>").await.problem(), "unsupported-media-type");
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn each_event_of_a_batch_has_a_result_of_its_own() {
    let world = World::new();
    let events = [
        event(json!({})),
        event(json!({"subject": null})),
        json!(7),
        event(json!({"data": {"a": "\u{0}"}, "id": "A-2"})),
        event(json!({"id": "A-3"})),
    ];
    let answer = post(&world, &[("content-type", BATCH)], json!(events).to_string()).await;
    assert_eq!(answer.status, 207);
    let told: Vec<_> = answer
        .results()
        .iter()
        .map(|result| (result["status"].as_str().unwrap(), errors(&result["problem"])))
        .collect();
    assert_eq!(
        told,
        [
            ("accepted", vec![]),
            ("refused", vec![("/1/subject", "required")]),
            ("refused", vec![("/2", "object")]),
            ("refused", vec![("/3/data/a", "no-nul")]),
            ("accepted", vec![]),
        ]
    );
    assert_eq!(world.sent().len(), 2);
    world.log_answers_in_turn([
        Err(SendError::Refused(Refusal::TooLarge)),
        Err(SendError::Unknown(LostOutcome::TimedOut)),
    ]);
    let events = json!([event(json!({})), event(json!({"id": "A-2"}))]);
    let answer = post(&world, &[("content-type", BATCH)], events.to_string()).await;
    assert_eq!(errors(&answer.results()[0]["problem"]), [("/0/data", "max-record-bytes")]);
    let unknown = &answer.results()[1]["problem"];
    assert!(unknown["detail"].as_str().unwrap().contains("the same source and id"), "{unknown}");
    assert_eq!(slug(unknown), "unknown-outcome");
}

#[tokio::test]
async fn a_batch_may_be_empty_and_must_be_an_array() {
    let world = World::new();
    let answer = post(&world, &[("content-type", BATCH)], "[]").await;
    assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({"results": []})));
    assert_eq!(answer.headers.get("consistency-token"), None);
    let answer = post(&world, &[("content-type", BATCH)], event(json!({})).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (400, vec![("", "array")]));
    let answer = post(&world, &[("content-type", STRUCTURED)], "[]").await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (400, vec![("", "object")]));
    let many = json!(vec![event(json!({})); 1_001]).to_string();
    let world = World::with_room_for(1 << 20);
    let answer = post(&world, &[("content-type", BATCH)], many).await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (413, vec![("", "max-items")]));
}

#[tokio::test]
async fn a_key_beside_a_cloud_event_is_a_contradiction() {
    let world = World::new();
    let key = ("idempotency-key", "k");
    for (headers, body) in [
        ([&HEADERS[..], &[key]].concat(), "1".to_owned()),
        (vec![("content-type", STRUCTURED), key], event(json!({})).to_string()),
        (vec![("content-type", BATCH), key], json!([event(json!({}))]).to_string()),
    ] {
        let answer = post(&world, &headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-header"));
    }
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn an_event_s_own_trace_and_correlation_go_on_in_its_record() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let other = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";
    let world = World::new();
    let own = event(
        json!({"traceparent": trace, "tracestate": "a=b", "correlationid": "order-7", "partitionkey": "x"}),
    );
    let headers = [("content-type", STRUCTURED), ("x-request-id", "r")];
    assert_eq!(post(&world, &headers, own.to_string()).await.status, 202);
    let with_trace = [&headers[..], &[("traceparent", other)]].concat();
    assert_eq!(post(&world, &with_trace, own.to_string()).await.status, 202);
    let unusable = event(json!({"traceparent": "x", "correlationid": "a b"}));
    assert_eq!(post(&world, &headers, unusable.to_string()).await.status, 202);
    let binary =
        [&HEADERS[..], &[("ce-traceparent", trace), ("ce-correlationid", "order-7")]].concat();
    assert_eq!(post(&world, &binary, "1").await.status, 202);
    let sent = world.sent();
    let unrecorded = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    assert_eq!(sent[0].headers["traceparent"], unrecorded, "whether it is recorded is ours to say");
    assert_eq!(sent[0].headers["ce_correlationid"], "order-7");
    assert_eq!(
        (sent[0].stream_id.as_str(), &*sent[0].headers["ce_partitionkey"]),
        ("device-123", "device-123")
    );
    assert_eq!(
        sent[1].headers["traceparent"][..36],
        other[..36],
        "the request's own trace goes first"
    );
    assert_ne!(sent[2].headers["traceparent"], "x");
    assert_eq!(sent[2].headers["ce_correlationid"], "r");
    assert_eq!(
        (&sent[3].headers["traceparent"], &sent[3].headers["ce_correlationid"]),
        (&sent[0].headers["traceparent"], &sent[0].headers["ce_correlationid"])
    );
}

#[tokio::test]
async fn a_device_s_token_reports_of_that_device_alone() {
    let world = World::new();
    let mut claims = tester();
    claims["device_id"] = json!("device-7");
    let authorization = bearer(&claims);
    let binary = [&HEADERS[..], &[("authorization", authorization.as_str())]].concat();
    assert_eq!(world.post(&binary, "1").await.problem(), "forbidden");
    let batch = [("content-type", BATCH), ("authorization", authorization.as_str())];
    let events = json!([event(json!({})), event(json!({"subject": "device-7"}))]);
    let answer = world.post(&batch, events.to_string()).await;
    assert_eq!(answer.status, 207);
    assert_eq!(slug(&answer.results()[0]["problem"]), "forbidden");
    assert_eq!(only(&world).0.stream_id, "device-7");
}
