//! What `show` shows, and what it masks.

use dlq_replayer::Exit;
use uuid::Uuid;

use crate::desk::{Desk, Given, a_letter, contents};

#[tokio::test]
async fn a_letter_is_shown_with_its_event_and_its_history() {
    let desk = Desk::start("show").await;
    let value = Some(desk.a_value("dev-1", Uuid::from_u128(5), r#"{"name":"Ann"}"#).await);
    let letter = desk.given(Given { value, ..a_letter("dev-1", 7) }).await;
    let id = letter.to_string();
    desk.calls(&["discard", &id, "--reason", "vendor test", "--yes"]).await;
    let answer = desk.calls(&["show", &id, "--json"]).await;
    assert_eq!(answer.exit, Exit::Done);
    let shown = answer.json();
    assert_eq!(shown["letter"]["state"], "discarded");
    assert_eq!(shown["key"]["value"], "dev-1");
    assert_eq!(shown["value"]["schema"], "millrace.device.DeviceEventReported version 1");
    assert_eq!(shown["value"]["event"]["device_id"], "dev-1");
    assert_eq!(shown["headers"][0]["value"], "dev-1");
    assert_eq!(shown["tries"][0]["tried_by"], "projector");
    assert_eq!(shown["actions"][0]["reason"], "vendor test");
    let text = desk.calls(&["show", &id]).await.out;
    for part in ["events-input[3]@7", "22P05", "vendor test", "request_id", "dev-1"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[tokio::test]
async fn persons_data_is_masked_until_it_is_asked_for() {
    let desk = Desk::start("show-masks").await;
    let value = Some(desk.a_value("dev-1", Uuid::from_u128(5), r#"{"name":"Ann"}"#).await);
    let event = desk.given(Given { value, ..a_letter("dev-1", 7) }).await.to_string();
    let bytes = desk
        .given(Given {
            headers: vec![
                ("x-customer", Some("ann@example.org")),
                ("authorization", Some("hunter2")),
            ],
            ..a_letter("dev-1", 8)
        })
        .await
        .to_string();
    let before = contents(&desk).await;
    for arguments in
        [&["show"][..], &["show", "--json"], &["list"], &["list", "--json"], &["stats"]]
    {
        for id in [&event, &bytes] {
            let arguments = match arguments.first() {
                Some(&"show") => [arguments, &[id.as_str()]].concat(),
                _ => arguments.to_vec(),
            };
            let answer = desk.calls(&arguments).await;
            let all = format!("{}{}", answer.out, answer.err);
            for secret in ["Ann", "ann@", "secret of", "hunter2", "73656372"] {
                assert!(!all.contains(secret), "{arguments:?} shows {secret}: {all}");
            }
        }
    }
    let revealed = desk.calls(&["show", &event, "--reveal"]).await;
    assert!(revealed.out.contains(r#"{"name":"Ann"}"#), "{}", revealed.out);
    assert!(revealed.out.contains("ann@example.org"), "{}", revealed.out);
    assert!(revealed.err.contains("persons' data"), "it is announced: {}", revealed.err);
    let revealed = desk.calls(&["show", &bytes, "--reveal"]).await;
    assert!(revealed.out.contains("unknown-schema-id"), "{}", revealed.out);
    assert!(revealed.out.contains("csecret.of.a"), "{}", revealed.out);
    assert!(!revealed.out.contains("hunter2"), "a credential is never shown");
    assert_eq!(contents(&desk).await, before, "showing writes nothing");
}

#[tokio::test]
async fn a_letter_that_is_not_there_is_said() {
    let desk = Desk::start("show-unknown").await;
    let answer = desk.calls(&["show", &Uuid::now_v7().to_string()]).await;
    assert_eq!(answer.exit, Exit::NothingMatched);
    assert!(answer.err.contains("there is no letter"), "{}", answer.err);
}
