//! The process as a whole, with nothing to depend on.

use command_api::App;
use lifecycle::Process;
use serde_json::Value;
use settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{an_event, bearer, tester};

/// Sends a request over a connection of its own and returns status and body.
async fn ask(app: &App, head: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(app.addr()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{head}\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// A process with nothing to depend on, and these settings besides.
async fn start(pairs: &[(&str, &str)]) -> App {
    let fixed = [
        ("MILLRACE_COMMAND_API_BIND", "127.0.0.1:0"),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:1/none"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
    ];
    let pairs = fixed.iter().chain(pairs);
    let mut settings = Settings::new(pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    let config = App::config(&mut settings);
    App::start(settings.finish(config).unwrap()).await.unwrap()
}

#[tokio::test]
async fn without_a_key_it_is_not_ready_and_nobody_is_called_unauthenticated() {
    let app = start(&[
        ("MILLRACE_TOKEN_SECRET", "0123456789abcdef0123456789abcdef"),
        ("MILLRACE_SESSION_SECRET", "fedcba9876543210fedcba9876543210"),
        ("MILLRACE_JWKS_URL", "http://127.0.0.1:1/jwks.json"),
    ])
    .await;
    let (_, health) = ask(&app, "GET /health/ready HTTP/1.1", "").await;
    assert!(health["faults"]["access keys"].is_string(), "{health}");
    let authorization = bearer(&tester());
    let head = format!("POST /events HTTP/1.1\r\nauthorization: {authorization}");
    let (status, problem) = ask(&app, &head, &an_event()).await;
    assert_eq!((status, problem["type"].as_str().unwrap()), (503, "/problems/not-ready"));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("no access token can be verified"), "{detail}");
    assert!(app.stop().await);
}

#[tokio::test]
async fn without_brokers_and_database_it_lives_takes_nothing_and_stops() {
    let app = start(&[("MILLRACE_PROFILE", "dev")]).await;

    let (status, health) = ask(&app, "GET /health/live HTTP/1.1", "").await;
    assert_eq!((status, &health["live"]), (200, &Value::Bool(true)));
    let (status, health) = ask(&app, "GET /health/ready HTTP/1.1", "").await;
    assert_eq!(status, 503);
    let faults = health["faults"].as_object().unwrap();
    assert!(faults.contains_key("kafka") && faults.contains_key("deployment"), "{faults:?}");

    let authorization = bearer(&tester());
    let head = format!(
        "POST /events HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: {authorization}"
    );
    let (status, problem) = ask(&app, &head, &an_event()).await;
    assert_eq!((status, problem["type"].as_str().unwrap()), (503, "/problems/not-ready"));
    let (status, problem) = ask(&app, "GET /nowhere HTTP/1.1", "").await;
    assert_eq!((status, problem["type"].as_str().unwrap()), (404, "/problems/not-found"));

    assert!(app.stop().await, "nothing was in flight");
}
