//! A server that goes as far as TLS, with the certificate that it is given, or hangs up before.

use std::net::TcpStream as BlockingStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use native_tls::{Identity, TlsAcceptor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_blocking};
use xtask::stack::pki::Certified;

/// What comes before TLS, or instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Nothing.
    Tls,
    /// A client of Postgres asks for TLS and is told that it may.
    PostgresWithTls,
    /// A client of Postgres asks for TLS and is told that there is none.
    PostgresWithoutTls,
    /// It hangs up on whoever comes, as one that starts or ends.
    HangUp,
    /// A client of Postgres asks for TLS, is told that it may, and is hung up on.
    PostgresHangUp,
}

/// A server on a free port. Dropped, it takes no more connections.
#[derive(Debug)]
pub struct TlsServer {
    port: u16,
    task: JoinHandle<()>,
}

impl TlsServer {
    /// Listens.
    ///
    /// # Errors
    /// There is no free port, or the certificate is none.
    pub async fn start(certified: &Certified, opening: Opening) -> Result<Self> {
        let (certificate, key) = (certified.certificate.as_bytes(), certified.key.as_bytes());
        let identity = Identity::from_pkcs8(certificate, key).context("reading a certificate")?;
        let acceptor = TlsAcceptor::new(identity).context("making a server of TLS")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening")?;
        let port = listener.local_addr().context("reading the address")?.port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that breaks off is what is expected.
                    let _ = serve(stream, opening, acceptor).await;
                });
            }
        });
        Ok(Self { port, task })
    }

    /// Where it listens, by the name that certificates of a local stack are made out to.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, opening: Opening, acceptor: TlsAcceptor) -> Result<()> {
    let answer = match opening {
        Opening::Tls | Opening::HangUp => None,
        Opening::PostgresWithTls | Opening::PostgresHangUp => Some(b'S'),
        Opening::PostgresWithoutTls => Some(b'N'),
    };
    if let Some(answer) = answer {
        // `SSLRequest`: a length and a number.
        stream.read_exact(&mut [0; 8]).await?;
        stream.write_u8(answer).await?;
    }
    if matches!(opening, Opening::Tls | Opening::PostgresWithTls) {
        let stream = stream.into_std()?;
        spawn_blocking(move || shake_hands(stream, &acceptor)).await??;
    }
    Ok(())
}

fn shake_hands(stream: BlockingStream, acceptor: &TlsAcceptor) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    acceptor.accept(stream).map(drop).context("a client that does not believe us")
}
