//! What the front door answers by itself: problems like everybody's, with the id of the request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::{HeaderMap, HeaderName};
use problem_details::ProblemType;
use test_support::{Answer, Client, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use xtask::stack::edge_limits::EdgeLimits;

use super::api_description::must_be_protected;
use super::front_door::{FrontDoor, free_address};

/// Far above what an answer takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests that an address may have under way.
const UNDER_WAY: usize = 20;

/// A front door behind which nobody listens.
async fn deserted(name: &str) -> Result<(FrontDoor, std::path::PathBuf)> {
    let dir = std::env::temp_dir().join(format!("millrace-{name}-{}", std::process::id()));
    let front_door = FrontDoor::before(&dir, free_address()?, free_address()?).await?;
    Ok((front_door, dir))
}

fn must_be(answer: &Answer, kind: ProblemType) -> Result<()> {
    ensure!(answer.status == kind.status().as_u16(), "{kind:?}: {answer}");
    ensure!(answer.header("content-type") == Some("application/problem+json"), "{answer}");
    let document = answer.json()?;
    ensure!(document["type"] == kind.uri() && document["title"] == kind.title(), "{answer}");
    ensure!(document["status"] == kind.status().as_u16(), "{answer}");
    ensure!(document["detail"].is_string(), "{answer}");
    must_be_protected(answer)
}

#[tokio::test]
async fn a_side_that_is_down_is_a_problem_and_the_other_is_not_asked() -> Result<()> {
    let (front_door, dir) = deserted("deserted").await?;
    let client = Client::new()?;
    for (method, path) in [("GET", "/api/v1/resources/a"), ("POST", "/events"), ("GET", "/health")]
    {
        let request = client.request(method, &front_door.url(path))?;
        let answer = client.send(request.header("x-request-id", "mine-7")).await?;
        must_be(&answer, ProblemType::NoProcess)?;
        ensure!(answer.header("x-request-id") == Some("mine-7"), "{:?}", answer.headers);
        ensure!(answer.header("retry-after") == Some("1"), "{:?}", answer.headers);
    }
    let hidden = client.get(&front_door.url("/metrics")).await?;
    must_be(&hidden, ProblemType::NotFound)?;
    std::fs::remove_dir_all(dir).context("removing the front door's files")
}

#[tokio::test]
async fn what_the_front_door_cannot_pass_on_is_a_problem() -> Result<()> {
    let (front_door, dir) = deserted("refusing").await?;
    let long = "a".repeat(9_000);
    for (request, kind) in [
        ("TRACE /events HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), ProblemType::MethodNotAllowed),
        (
            "POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n".to_owned(),
            ProblemType::ContentTooLarge,
        ),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), ProblemType::UriTooLong),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {long}\r\n\r\n"), ProblemType::HeaderTooLarge),
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(), ProblemType::VersionNotSupported),
        (
            "POST /events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n".to_owned(),
            ProblemType::NotImplemented,
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), ProblemType::InvalidRequest),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), ProblemType::InvalidRequest),
        ("GET /%%00 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), ProblemType::InvalidRequest),
        ("nonsense\r\n\r\n".to_owned(), ProblemType::InvalidRequest),
        (
            "POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_owned(),
            ProblemType::InvalidRequest,
        ),
    ] {
        let answer = ask(front_door.address(), &request).await?;
        let shown: String = request.chars().take(80).collect();
        must_be(&answer, kind).with_context(|| format!("{shown:?}"))?;
        let is_named = answer.header("allow") == Some("POST");
        ensure!(is_named == (kind == ProblemType::MethodNotAllowed), "{shown:?}: Allow");
    }
    std::fs::remove_dir_all(dir).context("removing the front door's files")
}

#[tokio::test]
async fn an_address_that_asks_for_more_than_is_let_through_is_told_so_whoever_it_says_it_is()
-> Result<()> {
    let dir = std::env::temp_dir().join(format!("millrace-limited-{}", std::process::id()));
    let (nobody, limits) = (free_address()?, EdgeLimits::STRICT);
    let front_door = FrontDoor::limited(&dir, nobody, nobody, limits).await?;
    let client = Client::new()?;
    let ask = async |number: u32, method: &str, path: &str| {
        let request = client.request(method, &front_door.url(path))?;
        // A client may write what it wants: what counts is where it comes from.
        client.send(request.header("x-forwarded-for", format!("198.51.100.{number}"))).await
    };
    let began = std::time::Instant::now();
    let (mut passed, mut refused) = (0, 0);
    for number in 0..100 {
        let answer = ask(number, "GET", "/api/v1/resources/a").await?;
        match answer.status {
            // Nobody listens behind it.
            502 => passed += 1,
            _ => {
                must_be(&answer, ProblemType::QuotaExceeded)?;
                ensure!(answer.header("retry-after") == Some("1"), "{:?}", answer.headers);
                refused += 1;
            }
        }
    }
    // Ten at once and one more, and ten in each second.
    let most = 11 + 10 * (began.elapsed().as_secs() + 1);
    ensure!(refused > 0 && (11..=most).contains(&passed), "{passed} of 100 passed");
    for (method, path) in [("POST", "/events"), ("GET", "/health"), ("GET", "/front-door/health")] {
        for number in 0..50 {
            let answer = ask(number, method, path).await?;
            ensure!(answer.status != 429, "{method} {path} is answered {answer}");
        }
    }
    std::fs::remove_dir_all(dir).context("removing the front door's files")
}

#[tokio::test]
async fn whoever_tries_to_log_in_is_let_through_less_often_and_asks_for_the_rest_all_the_same()
-> Result<()> {
    let dir = std::env::temp_dir().join(format!("millrace-limited-auth-{}", std::process::id()));
    let (nobody, limits) = (free_address()?, EdgeLimits::STRICT);
    let front_door = FrontDoor::limited(&dir, nobody, nobody, limits).await?;
    let client = Client::new()?;
    let ask = async |method: &str, path: &str| {
        client.send(client.request(method, &front_door.url(path))?).await
    };
    let began = std::time::Instant::now();
    let (mut passed, mut refused) = (0, 0);
    // All of them count as one, by whatever path.
    let paths =
        ["/login", "/token", "/users", "/api/v1/auth/login", "/api/v1/auth/forgot-password"];
    for path in paths.into_iter().cycle().take(50) {
        let answer = ask("POST", path).await?;
        match answer.status {
            502 => passed += 1,
            _ => {
                must_be(&answer, ProblemType::QuotaExceeded)?;
                ensure!(answer.header("retry-after") == Some("1"), "{:?}", answer.headers);
                refused += 1;
            }
        }
    }
    // Five at once and one more, and five in each second.
    let most = 6 + 5 * (began.elapsed().as_secs() + 1);
    ensure!(refused > 0 && (6..=most).contains(&passed), "{passed} of 50 passed");
    // What one may ask for beside is as much as ever.
    for _ in 0..10 {
        let answer = ask("GET", "/api/v1/auth/me").await?;
        must_be(&answer, ProblemType::NoProcess)?;
    }
    std::fs::remove_dir_all(dir).context("removing the front door's files")
}

#[tokio::test]
async fn an_address_that_has_twenty_requests_under_way_has_to_wait_for_one_of_them() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("millrace-connected-{}", std::process::id()));
    let (silent, reached) = keep_waiting().await?;
    // Else the rate would refuse them first.
    let limits = EdgeLimits::USUAL;
    let front_door = FrontDoor::limited(&dir, free_address()?, silent, limits).await?;
    let mut under_way = Vec::new();
    for _ in 0..UNDER_WAY {
        let mut stream = TcpStream::connect(front_door.address()).await.context("connecting")?;
        let request = b"GET /api/v1/resources/a HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).await.context("sending")?;
        under_way.push(stream);
    }
    eventually("all of them are under way", async || {
        let reached = reached.load(Ordering::Relaxed);
        ensure!(reached == UNDER_WAY, "{reached} have come through");
        Ok(())
    })
    .await?;
    let client = Client::new()?;
    let ask = async |method: &str, path: &str| {
        client.send(client.request(method, &front_door.url(path))?).await
    };
    for (method, path) in [("GET", "/api/v1/resources/a"), ("POST", "/login")] {
        let answer = ask(method, path).await?;
        must_be(&answer, ProblemType::QuotaExceeded)?;
        ensure!(answer.header("retry-after") == Some("1"), "{:?}", answer.headers);
    }
    // Devices that report, and who looks after the processes, have nothing to do with it.
    for (method, path) in [("POST", "/events"), ("GET", "/command-api/health")] {
        must_be(&ask(method, path).await?, ProblemType::NoProcess)?;
    }
    drop(under_way);
    eventually("it is let through again", async || {
        must_be(&ask("POST", "/login").await?, ProblemType::NoProcess)
    })
    .await?;
    std::fs::remove_dir_all(dir).context("removing the front door's files")
}

#[tokio::test]
async fn a_process_that_hangs_up_is_a_problem_wherever_it_does() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("millrace-hung-up-{}", std::process::id()));
    let (at_once, halfway) = (listen(b"").await?, listen(b"HTTP/1.1 200 OK\r\nContent-Ty").await?);
    let front_door = FrontDoor::before(&dir, at_once, halfway).await?;
    let client = Client::new()?;
    for (method, path) in [("POST", "/events"), ("GET", "/api/v1/resources")] {
        let request = client.request(method, &front_door.url(path))?;
        must_be(&client.send(request).await?, ProblemType::NoProcess)?;
    }
    std::fs::remove_dir_all(dir).context("removing the front door's files")
}

/// Somebody who reads a request, answers this and closes.
async fn listen(answer: &'static [u8]) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
    let address = listener.local_addr().context("asking for the address")?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    Ok(address)
}

/// Somebody who takes requests and answers none, and how many have come.
async fn keep_waiting() -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
    let address = listener.local_addr().context("asking for the address")?;
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reached);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
            counted.store(held.len(), Ordering::Relaxed);
        }
    });
    Ok((address, reached))
}

/// Sends these bytes and reads what is answered.
async fn ask(address: SocketAddr, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    stream.write_all(request.as_bytes()).await.context("sending")?;
    let mut bytes = Vec::new();
    let read = async {
        while !bytes.ends_with(b"}") && stream.read_buf(&mut bytes).await? > 0 {}
        std::io::Result::Ok(())
    };
    tokio::time::timeout(PATIENCE, read).await.context("there is no whole answer")??;
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(
            HeaderName::try_from(name.to_lowercase())?,
            value.parse().context("a header that is none")?,
        );
    }
    Ok(Answer { status: status.parse()?, headers, text: body.to_owned() })
}
