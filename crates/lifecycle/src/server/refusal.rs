//! The answer to a connection past the cap.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How many connections are refused with an answer at the same time.
pub(crate) const AT_ONCE: usize = 64;

/// How long a refused client may take to read the answer and close.
const PATIENCE: Duration = Duration::from_secs(1);

const BODY: &str = r#"{"type":"/problems/not-ready","title":"The service is not ready","status":503,"detail":"as many connections as allowed are open; come back later"}"#;

/// Answers 503 without reading the request, then waits for the client to close: closing first, with
/// its request unread, would make its system throw the answer away.
pub(crate) async fn refuse(mut stream: TcpStream) {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let polite = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut scrap = [0; 1024];
        while stream.read(&mut scrap).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A client that does not wait for the answer has its own reason.
    let _ = tokio::time::timeout(PATIENCE, polite).await;
}
