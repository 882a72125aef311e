//! Arrays of events: each is taken or refused on its own.

use command_api::deployment::Known;
use consistency_token::{Entry, Token};
use domain::device::Dedupe;
use kafka_io::producer::{LostOutcome, Refusal, SendError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Answer, World, bearer, errors, slug, tester};

async fn post(world: &World, headers: &[(&str, &str)], body: impl Into<String>) -> Answer {
    let authorization = bearer(&tester());
    let all = [&[("authorization", authorization.as_str())], headers].concat();
    world.post(&all, body.into()).await
}

fn event(device: &str, payload: &str) -> String {
    format!(r#"{{"device_id":"{device}","payload":{payload}}}"#)
}

fn array(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

/// Streams and payloads in the order in which they were sent.
fn sent(world: &World) -> Vec<(String, String)> {
    world.sent().into_iter().map(|sent| (sent.stream_id.clone(), sent.event().payload)).collect()
}

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.results().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_event_of_an_array_is_appended_in_order_and_named_in_the_answer() {
    let world = World::new();
    world.log_has_partitions(2);
    let events = [event("a", "1"), event("b", r#"{"x": 1.0}"#), event("a", "[]")];
    let answer = post(&world, &[("x-request-id", "r")], array(&events)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (202, "application/json"));
    let texts = [("a", "1"), ("b", r#"{"x": 1.0}"#), ("a", "[]")];
    assert_eq!(sent(&world), texts.map(|(a, b)| (a.to_owned(), b.to_owned())));
    for (result, sent) in answer.results().iter().zip(world.sent()) {
        let id = sent.event().request_id.to_string();
        assert_eq!(*result, json!({"request_id": id, "status": "accepted"}));
        assert_eq!(sent.headers["ce_correlationid"], "r");
        assert_eq!(sent.event().dedupe, Dedupe::None);
    }
    let token = Token::decode(answer.header("consistency-token"), &world.token_key).unwrap();
    let entry =
        |partition, offset| Entry::Log { topic: "events-input", epoch: 1, partition, offset };
    assert_eq!(token.entries().collect::<Vec<_>>(), [entry(3, 42), entry(4, 43)]);
}

#[tokio::test]
async fn an_event_that_breaks_rules_is_refused_and_the_others_are_taken() {
    let world = World::new();
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let large = format!("\"{}\"", "x".repeat(65_535));
    let events = [
        event("a", "1"),
        event("", "{}"),
        event("b", r#"{"a":1e309}"#),
        "7".to_owned(),
        event("c", &deep),
        event("d", &large),
        r#"{"device_id":"e","payload":1,"time":1,"occurred_at":"soon"}"#.to_owned(),
        event("f", "2"),
    ];
    let answer = post(&world, &[], array(&events)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (207, "application/json"));
    assert_eq!(answer.header("retry-after"), "", "nothing of it passes");
    let told: Vec<_> = answer
        .results()
        .iter()
        .map(|result| (slug(&result["problem"]), errors(&result["problem"])))
        .collect();
    let pointer_of_deep = format!("/4/payload{}", "/0".repeat(32));
    assert_eq!(
        told,
        [
            ("", vec![]),
            ("invalid-request", vec![("/1/device_id", "min-characters")]),
            ("invalid-request", vec![("/2/payload/a", "max-exponent")]),
            ("invalid-request", vec![("/3", "object")]),
            ("invalid-request", vec![(pointer_of_deep.as_str(), "max-depth")]),
            ("content-too-large", vec![("/5/payload", "max-bytes")]),
            ("invalid-request", vec![("/6/time", "known-members"), ("/6/occurred_at", "rfc-3339")]),
            ("", vec![]),
        ]
    );
    let refused = &answer.results()[5];
    assert_eq!(
        (&refused["status"], &refused["problem"]["status"]),
        (&json!("refused"), &json!(413))
    );
    assert_eq!(refused["request_id"], Value::Null);
    assert_eq!(sent(&world), [("a".into(), "1".into()), ("f".into(), "2".into())]);
    let token = Token::decode(answer.header("consistency-token"), &world.token_key).unwrap();
    assert_eq!(token.len(), 1);
}

#[tokio::test]
async fn what_is_refused_alike_is_answered_as_one_would_be() {
    let world = World::new();
    let answer = post(&world, &[], array(&[event("", "1"), "{}".to_owned()])).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"));
    assert_eq!(statuses(&answer), ["refused", "refused"]);
    assert_eq!(errors(&answer.results()[1]["problem"])[0], ("/1/device_id", "required"));
    let answer = post(&world, &[], array(&[event("", "1")])).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"));
    assert!(world.sent().is_empty());

    world.log_answers(SendError::Refused(Refusal::QueueFull));
    let answer = post(&world, &[], array(&[event("a", "1"), event("b", "1")])).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "broker-unavailable"));
    assert_eq!((answer.header("retry-after"), answer.header("consistency-token")), ("1", ""));
    assert_eq!(statuses(&answer), ["refused", "refused"]);

    world.log_answers(SendError::Unknown(LostOutcome::TimedOut));
    let answer = post(&world, &[], array(&[event("a", "1"), event("b", "1")])).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "unknown-outcome"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(statuses(&answer), ["unknown", "unknown"]);
}

#[tokio::test]
async fn each_outcome_says_whether_to_send_the_event_again() {
    let world = World::new();
    let lost = SendError::Unknown(LostOutcome::TimedOut);
    world.log_answers_in_turn([
        Ok(()),
        Err(lost),
        Err(SendError::Refused(Refusal::TooLarge)),
        Ok(()),
    ]);
    let events = ["a", "b", "c", "", "d"].map(|device| event(device, "1"));
    let answer = post(&world, &[("idempotency-key", "k")], array(&events)).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (207, "1"));
    assert_eq!(statuses(&answer), ["accepted", "unknown", "refused", "refused", "accepted"]);
    let unknown = &answer.results()[1];
    assert_eq!(slug(&unknown["problem"]), "unknown-outcome");
    assert_eq!(unknown["request_id"], world.sent()[1].event().request_id.to_string());
    assert_eq!(unknown["problem"]["request_id"], unknown["request_id"]);
    assert!(unknown["problem"]["detail"].as_str().unwrap().contains("Idempotency-Key"));
    let large = &answer.results()[2]["problem"];
    assert_eq!(errors(large), [("/2/payload", "max-record-bytes")]);
}

#[tokio::test]
async fn once_the_log_takes_nothing_what_follows_is_not_tried() {
    let world = World::new();
    let full = SendError::Refused(Refusal::QueueFull);
    world.log_answers_in_turn([Ok(()), Err(full), Ok(())]);
    let events = ["1", "2", "3", "4"].map(|payload| event("a", payload));
    let answer = post(&world, &[], array(&events)).await;
    assert_eq!(answer.status, 207);
    assert_eq!(statuses(&answer), ["accepted", "refused", "refused", "refused"]);
    for result in &answer.results()[1..] {
        assert_eq!(slug(&result["problem"]), "broker-unavailable");
    }
    assert_eq!(sent(&world).len(), 2, "the third would have got ahead of the second");
}

#[tokio::test]
async fn a_token_that_would_not_name_all_is_left_out() {
    let world = World::new();
    world.log_says_no_offsets();
    let answer = post(&world, &[], array(&[event("a", "1")])).await;
    assert_eq!((answer.status.as_u16(), answer.headers.get("consistency-token")), (202, None));
}

#[tokio::test]
async fn what_is_no_json_or_too_long_refuses_the_whole() {
    let world = World::new();
    let good = event("a", "1");
    for (body, status, problem, error) in [
        (format!("[{good},"), 400, "malformed-json", ("/1", "json")),
        (format!("[{good}"), 400, "malformed-json", ("/0", "json")),
        (format!("[{good}] x"), 400, "malformed-json", ("", "json")),
        (format!("[{good},{{\"device_id\":}}]"), 400, "malformed-json", ("/1/device_id", "json")),
        (
            format!("[{good},{{\"payload\":1e999,\"device_id\":}}]"),
            400,
            "malformed-json",
            ("/1", "json"),
        ),
        (format!("[{}]", vec!["{}"; 1_001].join(",")), 413, "content-too-large", ("", "max-items")),
        (format!("[{}", "0,".repeat(40_000)), 413, "content-too-large", ("", "max-items")),
        (" \n[ ] ".to_owned(), 400, "invalid-request", ("", "min-items")),
    ] {
        let answer = post(&world, &[], body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{body:.80}");
        assert_eq!(answer.errors(), [error], "{body:.80}");
    }
    let answer = post(&world, &[("idempotency-key", "\"")], array(&[good])).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-header"));
    assert!(world.sent().is_empty());
    let most = array(&vec![event("a", "1"); 1_000]);
    assert_eq!(post(&world, &[], most).await.status, 202);
    assert_eq!(world.sent().len(), 1_000);
}

#[tokio::test]
async fn of_very_many_faults_an_answer_names_a_bounded_number() {
    let world = World::new();
    let unknown: String = (0..20).map(|n| format!(r#""m{n}":1,"#)).collect();
    let wrong = format!(r#"{{{unknown}"device_id":"d","payload":1}}"#);
    let answer = post(&world, &[], array(&vec![wrong; 200])).await;
    assert_eq!(answer.status, 400);
    let named: Vec<usize> =
        answer.results().iter().map(|result| errors(&result["problem"]).len()).collect();
    assert_eq!((named[0], named[15], named[16], named[199]), (16, 16, 1, 1));
    assert_eq!(
        answer.results()[199]["problem"]["detail"],
        "the item /199 breaks several rules; /199/m0 is not a member of a device event; only device_id, payload and occurred_at are"
    );
}

#[tokio::test]
async fn a_key_names_each_event_together_with_its_place() {
    let world = World::new();
    let key = [("idempotency-key", "\"k\"")];
    let events = [event("a", "1"), event("a", "1"), event("b", "1")];
    post(&world, &key, array(&events)).await;
    post(&world, &key, array(&events)).await;
    let alone = post(&world, &key, event("a", "1")).await;
    let ids: Vec<_> = world.sent().iter().map(|sent| sent.event().request_id).collect();
    assert_eq!(ids[..3], ids[3..6], "a retry is the same events");
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    // An array of one is the same event as the one alone.
    assert_eq!(alone.body["request_id"], ids[0].to_string());
    assert!(world.sent().iter().all(|sent| sent.event().dedupe == Dedupe::Client));
}

#[tokio::test]
async fn a_device_s_token_reports_of_that_device_alone_in_an_array_too() {
    let world = World::new();
    let mut claims = tester();
    claims["device_id"] = json!("a");
    let authorization = bearer(&claims);
    let headers = [("authorization", authorization.as_str())];
    let events = ["a", "b", "c"].map(|device| event(device, "1"));
    let answer = world.post(&headers, array(&events)).await;
    assert_eq!(answer.status, 207);
    assert_eq!(statuses(&answer), ["accepted", "refused", "refused"]);
    assert_eq!(slug(&answer.results()[2]["problem"]), "forbidden");
    assert_eq!(sent(&world), [("a".to_owned(), "1".to_owned())]);
    let answer = world.post(&headers, array(&events[1..])).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (403, "forbidden"));
    assert!(answer.header("www-authenticate").contains("insufficient_scope"));
}

#[tokio::test]
async fn before_the_deployment_is_known_no_array_is_taken() {
    let world = World::knowing(Known::default());
    let answer = post(&world, &[], array(&[event("a", "1")])).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "not-ready"));
    assert!(world.sent().is_empty());
}

/// Events that are taken and others that break some rule.
fn items() -> impl Strategy<Value = String> {
    let device = prop::sample::select(vec!["\"a\"", "\"b\"", "\"\"", "7", "\"a b\""]);
    let payload = prop::sample::select(vec![
        "1",
        "{\"a\":[1, 2.50]}",
        "\"\\u0000\"",
        "{\"a\":1,\"a\":2}",
        "[1e309]",
        "\"ü\"",
    ]);
    let time = prop::sample::select(vec!["", ",\"occurred_at\":null", ",\"occurred_at\":\"x\""]);
    let whole = (device, payload, time).prop_map(|(id, payload, time)| {
        format!("{{\"device_id\":{id},\"payload\":{payload}{time}}}")
    });
    prop_oneof![6 => whole, 1 => Just("{}".to_owned()), 1 => Just("[]".to_owned())]
}

/// What an answer says of an event, told without the place where it stands.
fn told(problem: &Value, root: &str) -> (String, Vec<(String, String)>) {
    let within = |pointer: &str| pointer.strip_prefix(root).unwrap_or("outside").to_owned();
    let errors = errors(problem);
    let errors = errors.iter().map(|(pointer, rule)| (within(pointer), (*rule).to_owned()));
    (slug(problem).to_owned(), errors.collect())
}

async fn must_equal_its_items_alone(events: &[String], key: bool) {
    let (together, apart) = (World::new(), World::new());
    let headers = if key { &[("idempotency-key", "k")][..] } else { &[] };
    let answer = post(&together, headers, array(events)).await;
    for (index, (event, result)) in events.iter().zip(answer.results()).enumerate() {
        let alone = post(&apart, &[], event.as_str()).await;
        match result["status"].as_str() {
            Some("accepted") => assert_eq!(alone.status, 202, "{event}"),
            _ => {
                // Alone, an array is several events.
                if event != "[]" {
                    let told_alone = told(&alone.body, "");
                    assert_eq!(
                        told(&result["problem"], &format!("/{index}")),
                        told_alone,
                        "{event}"
                    );
                }
            }
        }
    }
    let records = |world: &World| -> Vec<_> {
        let told = |sent: &crate::world::Sent| {
            let event = sent.event();
            (sent.stream_id.clone(), event.payload, event.occurred_at)
        };
        world.sent().iter().map(told).collect()
    };
    assert_eq!(answer.results().len(), events.len());
    assert_eq!(records(&together), records(&apart));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_array_is_its_items_sent_alone(
        events in prop::collection::vec(items(), 1..8),
        key: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(must_equal_its_items_alone(&events, key));
    }
}
