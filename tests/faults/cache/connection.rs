//! HTTP/1.1 over one connection that is kept, as cheap as a client can be: a general one would cost
//! the machine more than the processes that it asks.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any read may take to be answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to one of our processes.
#[derive(Debug)]
pub(in crate::faults) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// What has arrived of the answer.
    received: Vec<u8>,
}

/// An answer, borrowed from its connection.
#[derive(Debug)]
pub(in crate::faults) struct Reply<'a> {
    pub(in crate::faults) status: u16,
    head: &'a str,
    pub(in crate::faults) body: &'a [u8],
}

impl Connection {
    pub(in crate::faults) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, received: Vec::with_capacity(4096) }
    }

    /// Sends a request as it stands and reads its answer. What went wrong on the way ends the
    /// connection; the next request has a new one.
    pub(in crate::faults) async fn ask(&mut self, request: &[u8]) -> Result<Reply<'_>> {
        self.send(request).await?;
        self.receive().await
    }

    /// Connects, if it is not.
    pub(in crate::faults) async fn connect(&mut self) -> Result<&mut TcpStream> {
        match &mut self.stream {
            Some(stream) => Ok(stream),
            empty => {
                let stream = TcpStream::connect(self.address).await.context("connecting")?;
                stream.set_nodelay(true)?;
                Ok(empty.insert(stream))
            }
        }
    }

    /// Sends a request, whose answer is to be [received](Self::receive).
    pub(in crate::faults) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.received.clear();
        let sent = async { anyhow::Ok(self.connect().await?.write_all(request).await?) };
        let sent = timeout(PATIENCE, sent).await.context("no connection in time").flatten();
        sent.inspect_err(|_| self.stream = None)
    }

    /// Reads an answer.
    pub(in crate::faults) async fn receive(&mut self) -> Result<Reply<'_>> {
        let head = timeout(PATIENCE, self.whole_answer()).await.context("no answer in time");
        let head = head.flatten().inspect_err(|_| self.stream = None)?;
        let (head, body) = self.received.split_at(head);
        let head = std::str::from_utf8(head).context("a head that is no text")?;
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        Ok(Reply { status: status.context("no status")?, head, body })
    }

    /// Returns the length of the answer's head.
    async fn whole_answer(&mut self) -> Result<usize> {
        let stream = self.stream.as_mut().context("nothing was asked")?;
        loop {
            let count = stream.read_buf(&mut self.received).await?;
            ensure!(count > 0, "the connection was closed");
            let Some(head) = end_of_head(&self.received) else { continue };
            let length = head + content_length(&self.received[..head])?;
            match self.received.len() {
                received if received == length => return Ok(head),
                received if received > length => bail!("more than an answer"),
                _ => {}
            }
        }
    }
}

impl Reply<'_> {
    /// The value of a header, by its name in lower case.
    pub(in crate::faults) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }

    /// The version that the `ETag` names: `"<generation>.<version>"`.
    pub(in crate::faults) fn tagged_version(&self) -> Option<u64> {
        let tag = self.header("etag")?.strip_prefix('"')?.strip_suffix('"')?;
        tag.split_once('.')?.1.parse().ok()
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|place| place + 4)
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head).context("a head that is no text")?;
    match header(head, "content-length") {
        Some(length) => length.parse().context("a length that is none"),
        // Only an answer without a body has none.
        None => {
            ensure!(head.get(9..12) == Some("304"), "an answer without a length: {head}");
            Ok(0)
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
