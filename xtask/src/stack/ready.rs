//! Whether a process serves, asked in its own protocol.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};

/// How long one question may take; the asking is repeated until the process' start budget is spent.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A question that only a process which serves answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// Kafka: which requests do you take?
    Kafka(u16),
    /// Any HTTP server: a GET that is answered 200.
    Http {
        /// Its port.
        port: u16,
        /// The path asked for.
        path: String,
    },
    /// Any server of HTTP over TLS: the same, with a certificate that its authority has signed.
    Https {
        /// Its port.
        port: u16,
        /// The path asked for.
        path: String,
        /// The authority's file.
        authority: PathBuf,
    },
    /// Postgres: a session that answers a query.
    Postgres(String),
    /// Redis: PING.
    Redis(u16),
}

impl Probe {
    /// Asks once; the error says what came instead of the right answer.
    pub(crate) fn ask(&self) -> Result<()> {
        match self {
            Self::Kafka(port) => kafka(*port),
            Self::Http { port, path } => http(*port, path),
            Self::Https { port, path, authority } => https(*port, path, authority),
            Self::Postgres(url) => postgres(url),
            Self::Redis(port) => redis(*port),
        }
    }
}

pub(crate) fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, QUESTION_TIMEOUT)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(QUESTION_TIMEOUT))?;
    stream.set_write_timeout(Some(QUESTION_TIMEOUT))?;
    Ok(stream)
}

/// ApiVersions, version 0: a broker answers it once it takes requests.
fn kafka(port: u16) -> Result<()> {
    const API_VERSIONS: [u8; 2] = [0, 18];
    const VERSION: [u8; 2] = [0, 0];
    const CORRELATION: [u8; 4] = *b"mill";
    const NO_CLIENT_ID: [u8; 2] = [0xff, 0xff];
    let body = [&API_VERSIONS[..], &VERSION, &CORRELATION, &NO_CLIENT_ID].concat();

    let mut stream = connect(port)?;
    stream.write_all(&[&10_u32.to_be_bytes()[..], &body].concat())?;
    let mut head = [0_u8; 10];
    stream.read_exact(&mut head).context("reading the broker's answer")?;
    ensure!(head[4..8] == CORRELATION, "the answer is not a Kafka broker's");
    ensure!(head[8..10] == [0, 0], "the broker answered with error {}", head[9]);
    Ok(())
}

fn http(port: u16, path: &str) -> Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(QUESTION_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut answer = agent.get(&url).call().with_context(|| format!("GET {url}"))?;
    if answer.status() == 200 {
        return Ok(());
    }
    let text = answer.body_mut().read_to_string().unwrap_or_default();
    bail!("GET {url} was answered {}{}", answer.status(), faults(&text));
}

/// What a process of ours says it lacks, a line for each component; of any other answer, nothing.
fn faults(answer: &str) -> String {
    #[derive(Deserialize)]
    struct Health {
        faults: BTreeMap<String, String>,
    }
    let Ok(Health { faults }) = serde_json::from_str(answer) else { return String::new() };
    faults.iter().map(|(component, reason)| format!("\n  {component}: {reason}")).collect()
}

fn postgres(url: &str) -> Result<()> {
    let question = async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query("SELECT 1").execute(&mut connection).await?;
        connection.close().await
    };
    block_on(async { tokio::time::timeout(QUESTION_TIMEOUT, question).await })?
        .context("waiting for Postgres")?
        .context("asking Postgres")
}

fn https(port: u16, path: &str, authority: &Path) -> Result<()> {
    let pem =
        std::fs::read(authority).with_context(|| format!("reading {}", authority.display()))?;
    let authority = reqwest::Certificate::from_pem(&pem).context("reading the authority")?;
    let client = reqwest::Client::builder().timeout(QUESTION_TIMEOUT).no_proxy();
    let client = client.tls_certs_only([authority]).build().context("making a client")?;
    let url = format!("https://localhost:{port}{path}");
    let answer =
        block_on(async { client.get(&url).send().await })?.with_context(|| format!("GET {url}"))?;
    ensure!(answer.status() == 200, "GET {url} was answered {}", answer.status());
    Ok(())
}

fn block_on<F: Future>(question: F) -> Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(question))
}

fn redis(port: u16) -> Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0_u8; 5];
    stream.read_exact(&mut answer).context("reading Redis' answer")?;
    ensure!(&answer == b"+PONG", "Redis answered {}", String::from_utf8_lossy(&answer));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_process_that_is_not_ready_says_why() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map(Result::unwrap).take_while(|line| !line.is_empty()).for_each(drop);
            let body = r#"{"ready":false,"faults":{"events-input/3":"halted at offset 7"}}"#;
            let head =
                format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}", body.len());
            write!(stream, "{head}\r\n\r\n{body}").unwrap();
        });
        let error = http(port, "/health/ready").unwrap_err().to_string();
        server.join().unwrap();
        assert!(error.contains("503"), "{error}");
        assert!(error.ends_with("\n  events-input/3: halted at offset 7"), "{error}");
    }
}
