//! Load over HTTP/1.1 on raw connections, so that the client costs little beside the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the last answer's body begins.
    body: usize,
}

/// An answer: its status and its head.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), body: 0 })
    }

    /// Sends a request and reads the whole answer, which must say how long it is.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let status =
            head.get(9..12).and_then(|code| code.parse().ok()).context("no status line")?;
        let answer = Answer { status, head };
        let length: usize =
            answer.header("content-length").and_then(|l| l.parse().ok()).unwrap_or_default();
        while self.buffer.len() < head_end + length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the answer was cut off");
        }
        self.body = head_end;
        Ok(answer)
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer[self.body..]
    }
}

/// What a flood is made of.
pub(crate) trait Load: Send + Sync + 'static {
    /// A request, by its number in the flood.
    fn request(&self, index: u64) -> Vec<u8>;

    /// Refuses an answer that is not what is measured.
    fn check(&self, answer: &Answer) -> Result<()>;
}

/// POSTs of device events under an access token, each to be answered 202.
pub(crate) struct Posts {
    pub(crate) token: String,
}

impl Load for Posts {
    fn request(&self, index: u64) -> Vec<u8> {
        post(&self.token, index % 10_000, index)
    }

    fn check(&self, answer: &Answer) -> Result<()> {
        ensure!(answer.status == 202, "answered {} instead of 202", answer.status);
        Ok(())
    }
}

/// A POST of a device event.
pub(crate) fn post(token: &str, device: u64, index: u64) -> Vec<u8> {
    let body = format!(
        r#"{{"device_id":"device-{device:06}","payload":{{"status":"ok","temp_c":{}.5,"battery":{},"note":"{}"}}}}"#,
        index % 40,
        index % 100,
        "x".repeat(160)
    );
    format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends `requests` over `connections`, each waiting for its answer before the next. Returns the
/// wall time.
pub(crate) async fn flood(
    server: SocketAddr,
    load: &Arc<impl Load>,
    connections: u64,
    requests: u64,
) -> Result<Duration> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (next, load) = (next.clone(), load.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(server).await?;
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= requests {
                        return Ok::<(), anyhow::Error>(());
                    }
                    let answer = connection.send(&load.request(index)).await?;
                    load.check(&answer)?;
                }
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(started.elapsed())
}
