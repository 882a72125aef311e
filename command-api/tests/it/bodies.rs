//! How bodies come: compressed, too large, hostile.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::world::{Answer, World, an_event, bearer, tester};

async fn post_gzip(world: &World, media_type: &str, body: Vec<u8>) -> Answer {
    let authorization = bearer(&tester());
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", media_type),
        ("content-encoding", "gzip"),
    ];
    world.post(&headers, body).await
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_body_is_the_same_event_in_every_form() {
    let world = World::new();
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"device-123","data":1}"#;
    for (media_type, body) in [
        ("application/json", an_event()),
        ("application/json", format!("[{}]", an_event())),
        ("application/cloudevents+json", event.to_owned()),
        ("application/cloudevents-batch+json", format!("[{event}]")),
    ] {
        let answer = post_gzip(&world, media_type, gzip(body.as_bytes())).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    let payloads: Vec<_> = world.sent().iter().map(|sent| sent.event().payload).collect();
    let payload = r#"{"status":"ok","temp_c":21.5}"#;
    assert_eq!(payloads, [payload, payload, "1", "1"]);
}

#[tokio::test]
async fn a_compressed_body_that_is_not_whole_is_refused() {
    let world = World::new();
    let body = gzip(an_event().as_bytes());
    let behind = [&body[..], b"x"].concat();
    for body in [&body[..body.len() - 1], b"", an_event().as_bytes(), &behind] {
        let answer = post_gzip(&world, "application/json", body.to_vec()).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"));
        assert_eq!(answer.errors(), [("", "gzip")]);
    }
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn another_coding_is_refused_with_the_one_that_is_taken() {
    let world = World::new();
    let authorization = bearer(&tester());
    for coding in ["br", "deflate", "gzip, gzip", "zstd"] {
        let headers = [("authorization", authorization.as_str()), ("content-encoding", coding)];
        let answer = world.post(&headers, an_event()).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (415, "unsupported-media-type"));
        assert_eq!(answer.header("accept-encoding"), "gzip", "{coding}");
    }
}

#[tokio::test]
async fn bombs_are_refused_at_little_cost() {
    let world = World::new();
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let names: String = (0..7_000).map(|n| format!(r#""n{n}":0,"#)).collect();
    for (body, status, problem, rule) in [
        // 1,000 times as large as it comes.
        (vec![b' '; 64 << 20], 413, "content-too-large", "max-bytes"),
        (nested(49_000).into_bytes(), 400, "invalid-request", "max-depth"),
        (
            format!(r#"{{"device_id":"d","payload":{}}}"#, nested(30_000)).into_bytes(),
            400,
            "invalid-request",
            "max-depth",
        ),
        (
            format!("[{}]", vec!["0"; 49_000].join(",")).into_bytes(),
            413,
            "content-too-large",
            "max-items",
        ),
        (
            format!(r#"{{{names}"device_id":"d"}}"#).into_bytes(),
            400,
            "invalid-request",
            "known-members",
        ),
        (
            format!(r#"{{"device_id":"d","payload":1{}}}"#, "0".repeat(90_000)).into_bytes(),
            400,
            "invalid-request",
            "max-digits",
        ),
    ] {
        let body = gzip(&body);
        let began = Instant::now();
        let answer = post_gzip(&world, "application/json", body).await;
        assert!(began.elapsed() < Duration::from_millis(500), "{rule} took {:?}", began.elapsed());
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{rule}");
        let errors = if answer.body["results"].is_null() {
            answer.errors()
        } else {
            crate::world::errors(&answer.results()[0]["problem"])
        };
        assert_eq!(errors[0].1, rule);
    }
    assert!(world.sent().is_empty());
}
