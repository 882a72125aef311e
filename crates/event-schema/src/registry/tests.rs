use std::sync::atomic::{AtomicUsize, Ordering};

use domain::device::{Dedupe, DeviceEvent, DeviceEventReported, DeviceId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::decode::{DecodeError, Decoder};
use crate::device;

/// A registry of one answer, which counts how often it was asked.
struct Stub {
    registry: Registry,
    asked: Arc<AtomicUsize>,
}

/// What the stub does with a request.
#[derive(Clone, Copy)]
enum Behaviour {
    Answers(&'static str, &'static str),
    Hangs,
    Closes,
}

impl Stub {
    async fn start(behaviour: Behaviour) -> Self {
        Self::changing([behaviour]).await
    }

    /// One behaviour after the other; the last stays.
    async fn changing<const N: usize>(behaviours: [Behaviour; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/apis/ccompat/v7/", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                assert!(request.starts_with("GET /apis/ccompat/v7/schemas/ids/7"), "{request}");
                let turn = count.fetch_add(1, Ordering::SeqCst).min(N - 1);
                match behaviours[turn] {
                    Behaviour::Answers(status, body) => {
                        let answer = format!(
                            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                    Behaviour::Hangs => held.push(stream),
                    Behaviour::Closes => drop(stream),
                }
            }
        });
        let mut config = RegistryConfig::from_settings(&mut Settings::new([(
            "SCHEMA_REGISTRY_URL".to_owned(),
            url,
        )]));
        config.timeout = Duration::from_millis(300);
        Self { registry: Registry::new(&config).unwrap(), asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Moves the clock of the cache; the sockets run on real time.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const FOUND: Behaviour =
    Behaviour::Answers("200 OK", r#"{"schema":"{\"type\":\"record\",\"name\":\"a.B\"}"}"#);
const UNKNOWN: Behaviour = Behaviour::Answers(
    "404 Not Found",
    r#"{"error_code":40403,"message":"No schema with id 7 was found"}"#,
);
const ERROR: Behaviour = Behaviour::Answers("500 Internal Server Error", "{}");

#[tokio::test]
async fn an_answer_holds_for_ever() {
    let stub = Stub::start(FOUND).await;
    let first = stub.registry.fetch(7).await.unwrap();
    assert_eq!(first.record_name().unwrap(), "a.B");
    later(Duration::from_secs(1_000_000)).await;
    assert_eq!(stub.registry.fetch(7).await.unwrap(), first);
    assert_eq!(stub.asked(), 1);
}

#[tokio::test]
async fn a_definite_unknown_holds_for_half_a_minute() {
    let stub = Stub::changing([UNKNOWN, FOUND]).await;
    for _ in 0..3 {
        assert_eq!(stub.registry.fetch(7).await, Err(FetchError::UnknownId(7)));
    }
    later(UNKNOWN_HOLDS - Duration::from_secs(1)).await;
    assert_eq!(stub.registry.fetch(7).await, Err(FetchError::UnknownId(7)));
    assert_eq!(stub.asked(), 1);
    later(Duration::from_secs(2)).await;
    assert!(stub.registry.fetch(7).await.is_ok());
}

#[tokio::test]
async fn everything_else_is_transient_and_forgotten_after_a_second() {
    for (name, fault) in [
        ("500", ERROR),
        ("500 in words", Behaviour::Answers("500 Internal Server Error", "<html>")),
        ("429", Behaviour::Answers("429 Too Many Requests", r#"{"error_code":429,"message":""}"#)),
        ("401", Behaviour::Answers("401 Unauthorized", r#"{"error_code":40101,"message":""}"#)),
        ("503", Behaviour::Answers("503 Service Unavailable", "")),
        ("404 of a wrong address", Behaviour::Answers("404 Not Found", "<html>")),
        (
            "404 of no schema",
            Behaviour::Answers("404 Not Found", r#"{"error_code":404,"message":""}"#),
        ),
        ("another body", Behaviour::Answers("200 OK", r#"{"id":7}"#)),
        ("no JSON", Behaviour::Answers("200 OK", "garbage")),
        ("silence", Behaviour::Hangs),
        ("a closed connection", Behaviour::Closes),
    ] {
        let stub = Stub::changing([fault, FOUND]).await;
        let failed = stub.registry.fetch(7).await;
        assert!(matches!(failed, Err(FetchError::Unavailable { id: 7, .. })), "{name}: {failed:?}");
        assert!(failed.unwrap_err().is_transient());
        assert_eq!(stub.asked(), 1, "{name}");
        later(FAILURE_HOLDS).await;
        assert!(stub.registry.fetch(7).await.is_ok(), "{name} was remembered");
    }
}

#[tokio::test]
async fn a_registry_that_is_down_is_transient() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let registry = Registry::new(&RegistryConfig::open(&url)).unwrap();
    assert!(registry.fetch(7).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_question() {
    let stub = Stub::start(ERROR).await;
    let ask = || stub.registry.fetch(7);
    let results = tokio::join!(ask(), ask(), ask(), ask());
    assert!(results.0.is_err() && results.1.is_err() && results.2.is_err() && results.3.is_err());
    assert_eq!(stub.asked(), 1);
}

#[tokio::test]
async fn failures_of_many_ids_do_not_pile_up() {
    let registry = Registry::new(&RegistryConfig::open("http://127.0.0.1:1")).unwrap();
    for id in 0..u32::try_from(FORGET_ABOVE).unwrap() {
        registry.slot(id);
    }
    registry.slot(u32::MAX);
    assert_eq!(registry.slots.lock().len(), 1);
}

#[tokio::test]
async fn a_decoder_learns_an_id_once_and_then_reads_its_values() {
    let body = serde_json::json!({"schema": device::WRITTEN.text()}).to_string();
    let stub = Stub::changing([ERROR, Behaviour::Answers("200 OK", body.leak())]).await;
    let decoder: Decoder<DeviceEvent> = Decoder::new([]);
    let event = DeviceEventReported {
        device_id: DeviceId::from_log("device-123".to_owned()),
        request_id: uuid::Uuid::from_u128(1),
        dedupe: Dedupe::None,
        body_hash: None,
        occurred_at: None,
        payload: "{}".to_owned(),
    };
    let value = device::encode(&event, 7).unwrap();
    assert_eq!(decoder.decode(&value), Err(DecodeError::UnknownSchemaId(7)));
    assert!(decoder.learn(&stub.registry, 7).await.unwrap_err().is_transient());
    assert_eq!(decoder.decode(&value), Err(DecodeError::UnknownSchemaId(7)));
    later(FAILURE_HOLDS).await;
    decoder.learn(&stub.registry, 7).await.unwrap();
    assert_eq!(decoder.decode(&value), Ok(DeviceEvent::Reported(event)));
}

#[test]
fn a_record_is_named_as_avro_names_it() {
    let name =
        |text: &str, is_avro| RegisteredText { text: text.to_owned(), is_avro }.record_name();
    let named = Some("a.b.C".to_owned());
    assert_eq!(name(r#"{"type":"record","name":"C","namespace":"a.b"}"#, true), named);
    assert_eq!(name(r#"{"type":"record","name":"a.b.C"}"#, true), named);
    assert_eq!(name(r#"{"type":"record","name":"a.b.C","namespace":"x"}"#, true), named);
    assert_eq!(name(r#"{"type":"enum","name":"a.b.C"}"#, true), None);
    assert_eq!(name(r#"{"type":"record","name":"a.b.C"}"#, false), None);
    for text in ["", "\"string\"", "[]", "{", r#"{"type":"record"}"#] {
        assert_eq!(name(text, true), None, "{text}");
    }
}

#[test]
fn a_name_without_its_password_is_a_fault() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let ann = variable("MILLRACE_SCHEMA_REGISTRY_USERNAME", "ann");
    let read = |variables: Vec<(String, String)>| {
        let mut settings = Settings::new(variables);
        let config = RegistryConfig::from_settings(&mut settings);
        settings.finish(config)
    };
    let faults = read(vec![ann.clone()]).unwrap_err().0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("MILLRACE_SCHEMA_REGISTRY_PASSWORD"), "{faults:?}");
    // Confluent Cloud's own names of the two.
    let key = variable("SCHEMA_REGISTRY_API_KEY", "ann");
    let config = read(vec![key, variable("SCHEMA_REGISTRY_API_SECRET", "hunter2")]).unwrap();
    assert_eq!(config.credentials.as_ref().unwrap().username, "ann");
    assert!(!format!("{config:?}").contains("hunter2"));
}
