//! A schema registry that answers as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the registry answers to whatever it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryAnswer {
    /// This status, and a page that says nothing about schemas.
    Status(u16),
    /// Nothing, on a connection that stays open for as long as it is told to hang.
    Hang,
    /// A definite "there is no such schema".
    NotFound,
    /// This text, as that of the id that was asked for.
    Schema(&'static str),
}

/// An HTTP server in place of the registry. Dropped, it ends.
#[derive(Debug)]
pub struct StubRegistry {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: watch::Sender<RegistryAnswer>,
    task: JoinHandle<()>,
}

impl StubRegistry {
    /// Listens on a free port.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(answer: RegistryAnswer) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening")?;
        let address = listener.local_addr().context("reading the address")?;
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, told) = watch::channel(answer);
        let task = tokio::spawn(accept(listener, asked.clone(), told));
        Ok(Self { url: format!("http://{address}/apis/ccompat/v7"), asked, answer, task })
    }

    /// The base of its API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Changes what it answers; requests that hang are dropped without an answer.
    pub fn set(&self, answer: RegistryAnswer) {
        self.answer.send_replace(answer);
    }
}

impl Drop for StubRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    asked: Arc<AtomicUsize>,
    told: watch::Receiver<RegistryAnswer>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, asked.clone(), told.clone()));
    }
}

async fn answer(
    mut stream: TcpStream,
    asked: Arc<AtomicUsize>,
    mut told: watch::Receiver<RegistryAnswer>,
) {
    let mut request = vec![0; 8 * 1024];
    // A request without a body comes in one piece.
    let Ok(1..) = stream.read(&mut request).await else { return };
    asked.fetch_add(1, Ordering::SeqCst);
    let (status, body) = match &*told.borrow_and_update() {
        RegistryAnswer::Status(status) => (*status, "<html>out of order</html>".to_owned()),
        RegistryAnswer::NotFound => {
            (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned())
        }
        RegistryAnswer::Schema(text) => (200, serde_json::json!({ "schema": text }).to_string()),
        RegistryAnswer::Hang => (0, String::new()),
    };
    if status == 0 {
        // A registry that is gone hangs no longer.
        let _ = told.changed().await;
        return;
    }
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    // Whoever has gone away needs no answer.
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
}
