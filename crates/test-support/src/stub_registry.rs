//! A schema registry that answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the registry answers to a question.
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
    asked: Asked,
    told: watch::Sender<Told>,
    task: JoinHandle<()>,
}

/// How often it was asked, by id.
type Asked = Arc<Mutex<BTreeMap<u32, usize>>>;

/// What to answer.
#[derive(Debug, Clone)]
struct Told {
    usually: RegistryAnswer,
    by_id: BTreeMap<u32, RegistryAnswer>,
}

impl Told {
    fn usually(usually: RegistryAnswer) -> Self {
        Self { usually, by_id: BTreeMap::new() }
    }
}

impl StubRegistry {
    /// Listens on a free port.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(answer: RegistryAnswer) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening")?;
        let address = listener.local_addr().context("reading the address")?;
        let asked = Asked::default();
        let (told, listens) = watch::channel(Told::usually(answer));
        let task = tokio::spawn(accept(listener, asked.clone(), listens));
        Ok(Self { url: format!("http://{address}/apis/ccompat/v7"), asked, told, task })
    }

    /// The base of its API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often it was asked, whatever for.
    pub fn asked(&self) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// How often it was asked for an id.
    pub fn asked_for(&self, id: u32) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(&id).copied().unwrap_or_default()
    }

    /// Changes what it answers to everything; requests that hang are dropped without an answer.
    pub fn set(&self, answer: RegistryAnswer) {
        self.told.send_replace(Told::usually(answer));
    }

    /// Changes what it answers for an id.
    pub fn set_for(&self, id: u32, answer: RegistryAnswer) {
        self.told.send_modify(|told| {
            told.by_id.insert(id, answer);
        });
    }
}

impl Drop for StubRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, asked: Asked, told: watch::Receiver<Told>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, asked.clone(), told.clone()));
    }
}

async fn answer(mut stream: TcpStream, asked: Asked, mut told: watch::Receiver<Told>) {
    let mut request = vec![0; 8 * 1024];
    // A request without a body comes in one piece.
    let Ok(length @ 1..) = stream.read(&mut request).await else { return };
    // What is no question for an id counts as one for 0.
    let id = id_of(&String::from_utf8_lossy(&request[..length])).unwrap_or_default();
    *asked.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
    let answer = {
        let told = told.borrow_and_update();
        told.by_id.get(&id).unwrap_or(&told.usually).clone()
    };
    let (status, body) = match answer {
        RegistryAnswer::Status(status) => (status, "<html>out of order</html>".to_owned()),
        RegistryAnswer::NotFound => {
            (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned())
        }
        RegistryAnswer::Schema(text) => (200, serde_json::json!({ "schema": text }).to_string()),
        RegistryAnswer::Hang => {
            let _ = told.changed().await;
            return;
        }
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    // Whoever has gone away needs no answer.
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
}

/// The id that `GET .../schemas/ids/<id>` asks for.
fn id_of(request: &str) -> Option<u32> {
    let (_, rest) = request.split_once("/schemas/ids/")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_in_the_request() {
        assert_eq!(id_of("GET /apis/ccompat/v7/schemas/ids/7?deleted=true HTTP/1.1"), Some(7));
        assert_eq!(id_of("GET /apis/ccompat/v7/schemas/ids/12 HTTP/1.1"), Some(12));
        assert_eq!(id_of("GET /subjects HTTP/1.1"), None);
    }
}
