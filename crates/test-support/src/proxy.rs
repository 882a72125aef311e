//! A link between two processes that can be cut, frozen or slowed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Passes everything on.
    Open,
    /// Breaks every connection and takes no new one.
    Cut,
    /// Takes everything and passes nothing on until it is open again: a black hole.
    Frozen,
    /// Passes requests on and keeps the answers: outcomes become unknown.
    OneWay,
    /// Passes everything on this much later.
    Slow(Duration),
}

/// A TCP proxy in front of one address. Dropped, it ends with its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes on to `target`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening")?;
        let address = listener.local_addr().context("reading the address")?;
        let (link, state) = watch::channel(Link::Open);
        let task = tokio::spawn(accept(listener, target.to_owned(), state));
        Ok(Self { address, link, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what the link does, for connections that exist too.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Link::Cut);
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: String, state: watch::Receiver<Link>) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.borrow() == Link::Cut {
            continue;
        }
        let (target, state) = (target.clone(), state.clone());
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(&target).await else { return };
            // Without it small answers wait for acknowledgements.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::join!(
                pass(from_client, to_server, state.clone(), false),
                pass(from_server, to_client, state, true)
            );
        });
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<Link>,
    is_answer: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            _ = state.wait_for(|link| *link == Link::Cut) => return,
            read = from.read(&mut buffer) => read,
        };
        let Ok(count @ 1..) = read else { return };
        let link = *state.borrow();
        if let Link::Slow(delay) = link {
            tokio::time::sleep(delay).await;
        }
        let moves = |link: &Link| match link {
            Link::Open | Link::Slow(_) | Link::Cut => true,
            Link::OneWay => !is_answer,
            Link::Frozen => false,
        };
        match state.wait_for(moves).await.map(|link| *link) {
            Ok(Link::Cut) | Err(_) => return,
            Ok(_) => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (from, to) = stream.into_split();
                let (_keep, state) = watch::channel(Link::Open);
                tokio::spawn(async move {
                    let _keep = _keep;
                    pass(from, to, state, false).await;
                });
            }
        });
        address
    }

    async fn round_trip(stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(b"x").await?;
        let mut answer = [0];
        stream.read_exact(&mut answer).await.map(drop)
    }

    #[tokio::test]
    async fn a_cut_breaks_connections_and_an_open_link_takes_new_ones() {
        let proxy = Proxy::start(&echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut stream).await.unwrap();
        proxy.set(Link::Cut);
        assert!(round_trip(&mut stream).await.is_err());
        proxy.set(Link::Open);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut stream).await.unwrap();
    }

    #[tokio::test]
    async fn a_frozen_link_keeps_bytes_until_it_is_open() {
        let proxy = Proxy::start(&echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        round_trip(&mut stream).await.unwrap();
        proxy.set(Link::Frozen);
        let waits = tokio::time::timeout(Duration::from_millis(50), round_trip(&mut stream)).await;
        assert!(waits.is_err());
        proxy.set(Link::Open);
        let mut answer = [0];
        stream.read_exact(&mut answer).await.unwrap();
    }
}
