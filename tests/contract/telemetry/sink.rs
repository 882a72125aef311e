//! A receiver of traces, as OTLP over HTTP, that keeps what it is given and may be told to misbehave.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, span::SpanKind};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a receiver does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    Take,
    /// Never answers.
    Hang,
}

/// A span as it was handed over.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    /// Of the trace, the span and its parent, in hexadecimal; the parent is empty where there is none.
    pub(crate) trace: String,
    pub(crate) span: String,
    pub(crate) parent: String,
    /// Traces and spans that it links to.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// All of it as it came, with what is no text replaced.
    pub(crate) raw: String,
}

type Spans = Arc<Mutex<Vec<Seen>>>;

/// A receiver of traces. Dropped, it is gone.
pub(crate) struct Sink {
    address: SocketAddr,
    spans: Spans,
    conduct: watch::Sender<Conduct>,
    task: JoinHandle<()>,
}

impl Sink {
    pub(crate) async fn start(conduct: Conduct) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening for traces")?;
        let address = listener.local_addr().context("asking where the receiver listens")?;
        let (conduct, told) = watch::channel(conduct);
        let spans = Spans::default();
        let task = tokio::spawn(accept(listener, spans.clone(), told));
        Ok(Self { address, spans, conduct, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, conduct: Conduct) {
        self.conduct.send_replace(conduct);
    }

    /// Everything that was handed over so far.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one span for which this holds.
    pub(crate) fn the(&self, what: &str, is_meant: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| is_meant(span));
        match (found.next(), found.next()) {
            (Some(span), None) => Ok(span.clone()),
            (None, _) => bail!("there is no span of {what} among {}", told(&spans)),
            (Some(_), Some(_)) => bail!("there are several spans of {what} among {}", told(&spans)),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn told(spans: &[Seen]) -> String {
    let line = |span: &Seen| format!("\n  {} {} {}", span.service, span.name, span.trace);
    spans.iter().map(line).collect()
}

async fn accept(listener: TcpListener, spans: Spans, told: watch::Receiver<Conduct>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer_all(stream, spans.clone(), told.clone()));
    }
}

async fn answer_all(mut stream: TcpStream, spans: Spans, mut told: watch::Receiver<Conduct>) {
    let mut buffer = Vec::new();
    while let Ok(Some(body)) = request(&mut stream, &mut buffer).await {
        if *told.borrow_and_update() == Conduct::Hang {
            let _ = told.changed().await;
            return;
        }
        let status = match ExportTraceServiceRequest::decode(&body[..]) {
            Ok(request) => {
                let seen = request.resource_spans.into_iter().flat_map(seen);
                spans.lock().unwrap_or_else(PoisonError::into_inner).extend(seen);
                "200 OK"
            }
            Err(_) => "400 Bad Request",
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
        );
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The body of the next request; `None` where the client has gone away.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>> {
    const END: &[u8] = b"\r\n\r\n";
    let head = loop {
        if let Some(at) = buffer.windows(END.len()).position(|window| window == END) {
            break at + END.len();
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("a request without a length")?.trim().parse()?;
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let rest = buffer.split_off(head + length);
    let body = std::mem::replace(buffer, rest).split_off(head);
    Ok(Some(body))
}

fn seen(of_process: ResourceSpans) -> Vec<Seen> {
    let resource = of_process.resource.map(|resource| text_of_all(resource.attributes));
    let service = resource.and_then(|mut all| all.remove("service.name")).unwrap_or_default();
    let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| seen_one(&service, span)).collect()
}

fn seen_one(service: &str, span: Span) -> Seen {
    let link = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
        (hex(&link.trace_id), hex(&link.span_id))
    };
    Seen {
        raw: String::from_utf8_lossy(&span.encode_to_vec()).into_owned(),
        service: service.to_owned(),
        kind: span.kind(),
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(link).collect(),
        attributes: text_of_all(span.attributes),
        name: span.name,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text_of_all(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|one| (one.key, one.value.map_or_else(String::new, text))).collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
