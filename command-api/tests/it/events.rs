//! Reporting events: what is taken, what is refused and what is said of it.

use axum::body::Body;
use command_api::deployment::Known;
use consistency_token::{Entry, Token};
use domain::device::Dedupe;
use http::StatusCode;
use kafka_io::producer::{LostOutcome, Refusal, SendError, Unavailable};
use serde_json::json;
use uuid::Uuid;

use crate::world::{Answer, World, an_event, bearer, tester};

async fn post(world: &World, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let authorization = bearer(&tester());
    let mut all = vec![("authorization", authorization.as_str())];
    all.extend_from_slice(headers);
    world.post(&all, body).await
}

fn request_id(answer: &Answer) -> Uuid {
    Uuid::try_parse(answer.body["request_id"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn an_event_is_accepted_once_it_is_in_the_log() {
    let world = World::new();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("traceparent", trace), ("x-request-id", "request-1")];
    let answer = post(&world, &headers, an_event()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.header("content-type"), "application/json");
    let id = request_id(&answer);
    assert_eq!(answer.body, json!({"request_id": id.to_string(), "status": "accepted"}));
    let token = Token::decode(answer.header("consistency-token"), &world.token_key).unwrap();
    let entry = Entry::Log { topic: "events-input", epoch: 1, partition: 3, offset: 41 };
    assert_eq!(token.entries().collect::<Vec<_>>(), [entry]);

    let [sent] = &world.sent()[..] else { panic!("{:?}", world.sent()) };
    assert_eq!((sent.topic.as_str(), sent.stream_id.as_str()), ("events-input", "device-123"));
    let header = |name: &str| sent.headers.get(name).map(String::as_str);
    assert_eq!(header("ce_id"), Some(id.to_string().as_str()));
    assert_eq!(header("ce_subject"), Some("device-123"));
    assert!(header("ce_actor").unwrap().starts_with("hmac:"), "a name is not in the log");
    assert_eq!(header("ce_correlationid"), Some("request-1"));
    assert!(header("traceparent").unwrap().starts_with(&trace[..36]), "the trace goes on");
    assert_ne!(header("traceparent"), Some(trace), "with our span as the parent");
    let event = sent.event();
    assert_eq!((event.request_id, event.dedupe, event.body_hash), (id, Dedupe::None, None));
    assert_eq!(event.payload, r#"{"status":"ok","temp_c":21.5}"#);
}

#[tokio::test]
async fn an_event_whose_place_in_the_log_is_not_known_is_accepted_without_a_token() {
    let world = World::new();
    world.log_says_no_offsets();
    let answer = post(&world, &[], an_event()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.body["status"], "accepted");
    assert_eq!(answer.headers.get("consistency-token"), None);
}

#[tokio::test]
async fn the_older_path_is_the_same_and_names_the_canonical_one() {
    let world = World::new();
    let authorization = bearer(&tester());
    let headers = [("authorization", authorization.as_str())];
    for (body, status) in [(an_event(), 202), ("{}".to_owned(), 400)] {
        let answer = world.post_to("/events", &headers, body).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("link"), r#"</api/v1/events>; rel="canonical""#);
    }
    assert_eq!(world.sent().len(), 1);
}

#[tokio::test]
async fn a_retry_under_the_client_s_id_is_the_same_event() {
    let world = World::new();
    let first = post(&world, &[("idempotency-key", "\"k1\"")], an_event()).await;
    let retry = post(&world, &[("idempotency-key", "k1")], an_event()).await;
    let other = post(&world, &[("idempotency-key", "k2")], an_event()).await;
    assert_eq!(request_id(&first), request_id(&retry));
    assert_ne!(request_id(&first), request_id(&other));
    assert_eq!(request_id(&first).get_version_num(), 8);
    let events: Vec<_> = world.sent().iter().map(|sent| sent.event()).collect();
    assert_eq!(events[0], events[1]);
    assert!(events.iter().all(|e| e.dedupe == Dedupe::Client && e.body_hash.is_some()));
}

#[tokio::test]
async fn the_same_id_with_another_body_keeps_its_id_and_shows_another_hash() {
    let world = World::new();
    let key = [("idempotency-key", "k1")];
    for payload in ["1", "2"] {
        let body = format!(r#"{{"device_id":"d","payload":{payload}}}"#);
        assert_eq!(post(&world, &key, body).await.status, StatusCode::ACCEPTED);
    }
    let events: Vec<_> = world.sent().iter().map(|sent| sent.event()).collect();
    assert_eq!(events[0].request_id, events[1].request_id);
    assert_ne!(events[0].body_hash, events[1].body_hash);
}

#[tokio::test]
async fn the_same_key_of_another_caller_is_another_event() {
    let world = World::new();
    let mut claims = tester();
    let mut ids = Vec::new();
    for subject in ["ann", "bob"] {
        claims["sub"] = json!(subject);
        let authorization = bearer(&claims);
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k1")];
        ids.push(request_id(&world.post(&headers, an_event()).await));
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn an_address_of_a_person_does_not_enter_the_log() {
    let world = World::new();
    let mut claims = tester();
    for subject in ["ann@example.org", "ann.smith", "4915123456789"] {
        claims["sub"] = json!(subject);
        let authorization = bearer(&claims);
        let answer = world.post(&[("authorization", &authorization)], an_event()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert!(!format!("{:?}", world.sent()).contains(subject));
    }
}

#[tokio::test]
async fn a_request_that_breaks_rules_is_refused_and_nothing_is_sent() {
    let world = World::new();
    let large = format!(r#"{{"device_id":"d","payload":"{}"}}"#, "x".repeat(70_000));
    let too_large = format!(r#"{{"device_id":"d","payload":"{}"}}"#, "x".repeat(100_000));
    let deep = format!(r#"{{"device_id":"d","payload":{}{}}}"#, "[".repeat(33), "]".repeat(33));
    for (body, status, problem, errors) in [
        ("", 400, "malformed-json", vec![("", "json")]),
        ("{\"device_id\":\"d\",", 400, "malformed-json", vec![("/device_id", "json")]),
        ("7", 400, "invalid-request", vec![("", "object")]),
        ("[]", 400, "invalid-request", vec![("", "min-items")]),
        ("{}", 400, "invalid-request", vec![("/device_id", "required"), ("/payload", "required")]),
        (
            r#"{"device_id":"d","payload":1,"request_id":"x"}"#,
            400,
            "invalid-request",
            vec![("/request_id", "known-members")],
        ),
        (
            r#"{"device_id":"","occurred_at":"2999-01-01T00:00:00Z","payload":1}"#,
            400,
            "invalid-request",
            vec![("/device_id", "min-characters"), ("/occurred_at", "max-ahead-ms")],
        ),
        (
            r#"{"device_id":"d","payload":{"a":"\u0000"}}"#,
            400,
            "invalid-request",
            vec![("/payload/a", "no-nul")],
        ),
        (
            r#"{"device_id":"d","payload":{"a":1,"a":2}}"#,
            400,
            "invalid-request",
            vec![("/payload/a", "unique-names")],
        ),
        (&large, 413, "content-too-large", vec![("/payload", "max-bytes")]),
        (&too_large, 413, "content-too-large", vec![("", "max-bytes")]),
    ] {
        let answer = post(&world, &[], body.to_owned()).await;
        assert_eq!(answer.status, status, "{body:.80}");
        assert_eq!(answer.problem(), problem, "{body:.80}");
        assert_eq!(answer.errors(), errors, "{body:.80}");
    }
    let answer = post(&world, &[], deep).await;
    assert_eq!(answer.body["errors"][0]["limit"], 32);
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn a_request_with_wrong_headers_is_refused_and_nothing_is_sent() {
    let world = World::new();
    for (headers, status, problem) in [
        (vec![("content-type", "text/plain")], 415, "unsupported-media-type"),
        (vec![("content-type", "application/xml")], 415, "unsupported-media-type"),
        (vec![("content-encoding", "br")], 415, "unsupported-media-type"),
        (vec![("content-type", "application/json; charset=latin1")], 415, "unsupported-media-type"),
        (vec![("idempotency-key", "\"unclosed")], 400, "invalid-header"),
        (vec![("idempotency-key", "a"), ("idempotency-key", "a")], 400, "invalid-header"),
    ] {
        let answer = post(&world, &headers, an_event()).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{headers:?}");
    }
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn an_event_that_the_log_refuses_was_certainly_not_written() {
    for refusal in [
        Refusal::QueueFull,
        Refusal::Unavailable(Unavailable::BrokersDown),
        Refusal::Replacing,
        Refusal::Stopping,
    ] {
        let world = World::new();
        world.log_answers(SendError::Refused(refusal));
        let answer = post(&world, &[("idempotency-key", "k1")], an_event()).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (503, "broker-unavailable"));
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("consistency-token"), "");
    }
    let world = World::new();
    world.log_answers(SendError::Refused(Refusal::TooLarge));
    let answer = post(&world, &[], an_event()).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (413, "content-too-large"));
}

#[tokio::test]
async fn an_unknown_outcome_says_so_with_the_id_to_send_again() {
    for lost in [LostOutcome::TimedOut, LostOutcome::ProducerEnded] {
        let world = World::new();
        world.log_answers(SendError::Unknown(lost));
        let answer = post(&world, &[("idempotency-key", "k1")], an_event()).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (503, "unknown-outcome"));
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(request_id(&answer), world.sent()[0].event().request_id);
    }
}

#[tokio::test]
async fn before_the_deployment_is_known_nothing_is_taken() {
    let world = World::knowing(Known::default());
    let answer = post(&world, &[], an_event()).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "not-ready"));
    assert_eq!(answer.header("retry-after"), "1");
    assert!(world.sent().is_empty());
}
