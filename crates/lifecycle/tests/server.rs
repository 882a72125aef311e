//! The server as clients on a socket meet it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which the lint does not know as such")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use lifecycle::http::{ClientAddress, RequestContext, TrustedProxies};
use lifecycle::{Health, HttpConfig, Server};
use settings::{Settings, table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Far above every limit of the tests: what takes longer did not happen.
const NEVER: Duration = Duration::from_secs(10);

fn config() -> HttpConfig {
    HttpConfig {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        max_connections: 100,
        header_timeout: NEVER,
        body_timeout: NEVER,
        idle_timeout: NEVER,
        request_timeout: NEVER,
        max_body: 1024,
        cors_origins: Vec::new(),
        strict_transport: None,
        trusted_proxies: TrustedProxies::default(),
    }
}

async fn start(routes: Router, config: HttpConfig) -> Server {
    Server::start(routes, config, Health::new()).await.unwrap()
}

fn hello() -> Router {
    Router::new().route("/hello", get(|| async { "hello" }))
}

struct Client(TcpStream);

impl Client {
    async fn connect(server: &Server) -> Self {
        Self(TcpStream::connect(server.addr()).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// One answer, by its declared length.
    async fn answer(&mut self) -> String {
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse::<usize>().unwrap());
                if body.len() >= length {
                    return text.into_owned();
                }
            }
            let mut piece = [0; 4096];
            let length = within("an answer", self.0.read(&mut piece)).await.unwrap();
            assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&piece[..length]);
        }
    }

    /// Everything up to the end of the connection.
    async fn rest(&mut self) -> String {
        let mut text = Vec::new();
        // A reset also is an end.
        let _ = within("the end of the connection", self.0.read_to_end(&mut text)).await;
        String::from_utf8(text).unwrap()
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(NEVER, future).await.unwrap_or_else(|_| panic!("{what} never came"))
}

async fn ask(server: &Server, request: &str) -> String {
    let mut client = Client::connect(server).await;
    client.send(request).await;
    client.answer().await
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = start(hello(), config()).await;
    let mut client = Client::connect(&server).await;
    for _ in 0..3 {
        client.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(client.answer().await.ends_with("hello"));
    }
}

#[tokio::test]
async fn a_client_that_sends_its_head_drop_by_drop_is_cut() {
    let limit = Duration::from_millis(100);
    let server = start(hello(), HttpConfig { header_timeout: limit, ..config() }).await;
    let mut client = Client::connect(&server).await;
    let began = Instant::now();
    // Each drop would reset a clock that only looked at the last byte.
    let (mut reading, mut writing) = client.0.split();
    let dripping = async {
        writing.write_all(b"GET /hello HTTP/1.1\r\n").await?;
        let mut drop = tokio::time::interval(limit / 10);
        loop {
            drop.tick().await;
            writing.write_all(b"x-a: b\r\n").await?;
        }
    };
    let mut read = Vec::new();
    tokio::select! {
        _ = reading.read_to_end(&mut read) => {}
        ended = within("the cut", dripping) => { let _: Result<(), std::io::Error> = ended; }
    }
    assert!(began.elapsed() >= limit, "cut after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_like_one_with_a_slow_head() {
    let limit = Duration::from_millis(50);
    let server = start(hello(), HttpConfig { header_timeout: limit, ..config() }).await;
    assert_eq!(Client::connect(&server).await.rest().await, "");
}

#[tokio::test]
async fn a_head_later_on_a_connection_has_its_own_time() {
    let limit = Duration::from_millis(100);
    let server = start(hello(), HttpConfig { header_timeout: limit, ..config() }).await;
    let mut client = Client::connect(&server).await;
    client.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.answer().await;
    client.send("GET /hel").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let limit = Duration::from_millis(100);
    let server = start(hello(), HttpConfig { idle_timeout: limit, ..config() }).await;
    let mut client = Client::connect(&server).await;
    client.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.answer().await;
    let began = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(began.elapsed() >= limit / 2);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let large = Router::new().route("/large", get(|| async { vec![b'x'; 64 << 20] }));
    let limit = Duration::from_millis(200);
    let server = start(large, HttpConfig { idle_timeout: limit, ..config() }).await;
    let mut client = Client::connect(&server).await;
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut first = [0; 1];
    within("the first byte", client.0.read_exact(&mut first)).await.unwrap();
    // Nothing is read from here on: the stop ends before its budget only where the server cuts.
    assert_eq!(server.stop(NEVER).await.cut, 0);
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_answered_408() {
    let echo = Router::new().route("/echo", post(|body: Bytes| async { body }));
    let limit = Duration::from_millis(50);
    let server = start(echo, HttpConfig { body_timeout: limit, ..config() }).await;
    let mut client = Client::connect(&server).await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("/problems/request-timeout"), "{answer}");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_answered_503() {
    let never = || async { std::future::pending::<&str>().await };
    let routes = Router::new().route("/never", get(never).post(never));
    let limit = Duration::from_millis(50);
    let server = start(routes, HttpConfig { request_timeout: limit, ..config() }).await;
    let read = ask(&server, "GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(read.starts_with("HTTP/1.1 503") && read.contains("/problems/not-ready"), "{read}");
    let write = ask(&server, "POST /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(write.contains("/problems/unknown-outcome"), "{write}");
    assert!(write.contains("without one it may take effect twice"), "{write}");
    assert!(write.contains("retry-after: 1"), "{write}");
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_500_and_the_server_goes_on() {
    let routes = hello().route("/panic", get(async || -> &'static str { panic!("on purpose") }));
    let server = start(routes, config()).await;
    let answer = ask(&server, "GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(!answer.contains("on purpose"), "{answer}");
    assert!(ask(&server, "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await.ends_with("hello"));
}

#[tokio::test]
async fn a_connection_past_the_cap_is_told_so() {
    let server = start(hello(), HttpConfig { max_connections: 1, ..config() }).await;
    let mut first = Client::connect(&server).await;
    first.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    first.answer().await;
    let refused = ask(&server, "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    first.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(first.answer().await.ends_with("hello"));
}

#[tokio::test]
async fn a_request_has_the_client_s_id_or_a_new_one() {
    let whoami = |context: RequestContext| async move { context.request_id.to_string() };
    let server = start(Router::new().route("/id", get(whoami)), config()).await;
    let sent = ask(&server, "GET /id HTTP/1.1\r\nhost: x\r\nx-request-id: mine-1\r\n\r\n").await;
    assert!(sent.contains("x-request-id: mine-1\r\n") && sent.ends_with("mine-1"), "{sent}");
    let made = ask(&server, "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let id = made.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    assert_eq!(id.len(), 36, "{made}");
    assert!(made.starts_with("HTTP/1.1 404") && made.contains("/problems/not-found"), "{made}");
}

#[tokio::test]
async fn a_handler_is_told_whom_a_request_comes_from_and_nobody_can_pretend_to_be_another() {
    let mut settings = Settings::new([
        (table::COMMAND_API_BIND.name.to_owned(), "127.0.0.1:0".to_owned()),
        (table::TRUSTED_PROXIES.name.to_owned(), "127.0.0.1/32".to_owned()),
    ]);
    let behind_a_proxy = HttpConfig::from_settings(&mut settings, &table::COMMAND_API_BIND);
    let whence = |ClientAddress(address): ClientAddress| async move { address.to_string() };
    let asked = "GET /whence HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9, 198.51.100.7\r\n\r\n";
    for (config, seen) in [(config(), "127.0.0.1"), (behind_a_proxy, "198.51.100.7")] {
        let server = start(Router::new().route("/whence", get(whence)), config).await;
        let answer = ask(&server, asked).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{seen}")), "{answer}");
    }
}

#[tokio::test]
async fn health_says_which_component_is_not_ready_and_why() {
    let health = Health::new();
    let kafka = health.component("kafka");
    kafka.not_ready("the brokers do not answer");
    let server = Server::start(hello(), config(), health.clone()).await.unwrap();
    let ready = "GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = ask(&server, ready).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains(r#""kafka":"the brokers do not answer""#), "{answer}");
    assert!(answer.contains("cache-control: no-store"), "{answer}");
    for path in ["/health", "/health/live"] {
        let live = ask(&server, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert!(live.starts_with("HTTP/1.1 200"), "{live}");
    }
    kafka.ready();
    assert!(ask(&server, ready).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn metrics_time_requests_by_route_and_not_by_path() {
    let routes = Router::new().route("/things/{id}", get(|| async { "thing" }));
    let server = start(routes, config()).await;
    ask(&server, "GET /things/42 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    ask(&server, "BREW /things/42 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let text = ask(&server, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let count = "http_server_request_duration_seconds_count";
    let series = |method, status| {
        format!("{count}{{method=\"{method}\",route=\"/things/{{id}}\",status=\"{status}\"}} 1")
    };
    assert!(text.contains(&series("GET", 200)), "{text}");
    assert!(text.contains(&series("other", 405)), "{text}");
    assert!(!text.contains("/things/42"), "{text}");
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_takes_nothing_new() {
    let (entered, leave) =
        (&*Box::leak(Box::new(Notify::new())), &*Box::leak(Box::new(Notify::new())));
    let slow = get(move || async move {
        entered.notify_one();
        leave.notified().await;
        "done"
    });
    let server = start(Router::new().route("/slow", slow), config()).await;
    let address = server.addr();
    let mut client = Client::connect(&server).await;
    let mut idle = Client::connect(&server).await;
    client.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within("the request", entered.notified()).await;
    let stopping = tokio::spawn(server.stop(NEVER));
    assert_eq!(idle.rest().await, "");
    within("the closed port", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    leave.notify_one();
    assert!(client.rest().await.ends_with("done"));
    assert!(within("the stop", stopping).await.unwrap().is_clean());
}

#[tokio::test]
async fn a_stop_cuts_what_outlasts_its_budget() {
    let entered = &*Box::leak(Box::new(Notify::new()));
    let never = get(move || async move {
        entered.notify_one();
        std::future::pending::<&str>().await
    });
    let server = start(Router::new().route("/never", never), config()).await;
    let mut client = Client::connect(&server).await;
    client.send("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within("the request", entered.notified()).await;
    let drained = within("the stop", server.stop(Duration::from_millis(50))).await;
    assert_eq!(drained.cut, 1);
    assert_eq!(client.rest().await, "");
}
