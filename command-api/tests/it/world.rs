//! A router over a log that notes what it is sent, and requests to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::{AccessConfig, Verifier};
use axum::Router;
use axum::body::Body;
use command_api::deployment::{Deployed, DeployedFamily, Known};
use command_api::device::{self, ReportLimits, Reporting};
use command_api::log::{Log, NewRecord};
use consistency_token::TokenKey;
use domain::device::{DeviceEvent, DeviceEventReported};
use domain::json_text;
use event_schema::decode::{Decoder, KnownId};
use event_schema::device::WRITTEN;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use jsonwebtoken::{EncodingKey, Header, encode};
use kafka_io::producer::{Delivered, LostOutcome, Refusal, SendError};
use kafka_io::topic::Topic;
use parking_lot::Mutex;
use problem_details::BodyLimits;
use serde_json::{Value, json};
use settings::{Prefix, Settings};
use tower::ServiceExt;

pub(crate) const SECRET: &[u8] = b"local-dev-secret";
pub(crate) const SCHEMA_ID: u32 = 7;

/// A record as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    pub(crate) stream_id: String,
    pub(crate) headers: BTreeMap<String, String>,
    value: Vec<u8>,
}

impl Sent {
    /// The event in its value.
    pub(crate) fn event(&self) -> DeviceEventReported {
        let record_name = WRITTEN.record_name().to_owned();
        let known = KnownId { schema_id: SCHEMA_ID, record_name, version: WRITTEN.version() };
        let DeviceEvent::Reported(event) = Decoder::new([known]).decode(&self.value).unwrap();
        event
    }
}

/// A log that notes what it is sent and answers as it is told.
struct NotedLog {
    sent: Mutex<Vec<Sent>>,
    answer: Mutex<Result<(), SendError>>,
    /// What it answers first, one record after another.
    answers: Mutex<VecDeque<Result<(), SendError>>>,
    says_offsets: AtomicBool,
    partitions: AtomicU32,
}

impl NotedLog {
    fn note(&self, record: &NewRecord<'_>) -> usize {
        let mut headers = BTreeMap::new();
        record.headers.write(|name, value| {
            let value = String::from_utf8(value.to_vec()).unwrap();
            assert_eq!(headers.insert(name.to_owned(), value), None, "{name} stands twice");
        });
        let mut sent = self.sent.lock();
        sent.push(Sent {
            topic: record.topic.to_owned(),
            stream_id: record.stream_id.to_owned(),
            value: record.value.to_vec(),
            headers,
        });
        sent.len()
    }
}

impl Log for NotedLog {
    fn append(
        &self,
        record: NewRecord<'_>,
    ) -> Result<impl Future<Output = Result<Delivered, LostOutcome>> + Send + use<>, Refusal> {
        let count = self.note(&record);
        let answer = self.answers.lock().pop_front().unwrap_or_else(|| self.answer.lock().clone());
        let offset = self.says_offsets.load(Ordering::Relaxed).then_some(count as u64 + 40);
        // The stream decides the partition, where there is more than one.
        let hash = record.stream_id.bytes().map(u32::from).sum::<u32>();
        let partition = 3 + hash % self.partitions.load(Ordering::Relaxed);
        let outcome = match answer {
            Ok(()) => Ok(Delivered { partition: partition.cast_signed(), offset }),
            Err(SendError::Refused(refusal)) => return Err(refusal),
            Err(SendError::Unknown(lost)) => Err(lost),
        };
        Ok(std::future::ready(outcome))
    }
}

/// The API in front of such a log.
pub(crate) struct World {
    router: Router,
    log: Arc<NotedLog>,
    pub(crate) token_key: TokenKey,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The slug of a problem's type.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status.as_u16());
        slug(&self.body)
    }

    /// Pointers and rules of a problem's errors.
    pub(crate) fn errors(&self) -> Vec<(&str, &str)> {
        errors(&self.body)
    }

    /// The results for several events.
    pub(crate) fn results(&self) -> &[Value] {
        self.body["results"].as_array().unwrap_or_else(|| panic!("no results in {self:?}"))
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::knowing(Self::deployed())
    }

    /// One that takes bodies of so many bytes.
    pub(crate) fn with_room_for(bytes: usize) -> Self {
        Self::of(Self::deployed(), bytes)
    }

    /// One that knows of the deployment what is given.
    pub(crate) fn knowing(known: Known) -> Self {
        Self::of(known, 100_000)
    }

    fn deployed() -> Known {
        Known::new(Deployed::new(|family| DeployedFamily {
            topic: Topic::of(family).name(&Prefix::default()),
            epoch: 1,
            schema_ids: family.schemas().zip(SCHEMA_ID + 100 * family as u32..).collect(),
        }))
    }

    fn of(known: Known, bytes: usize) -> Self {
        let mut settings = Settings::new([("MILLRACE_PROFILE".into(), "dev".into())]);
        let verifier = Arc::new(Verifier::new(&AccessConfig::from_settings(&mut settings)));
        let token_key = TokenKey::from_settings(&mut settings);
        let sent = Mutex::new(Vec::new());
        let says_offsets = AtomicBool::new(true);
        let (answer, answers) = (Mutex::new(Ok(())), Mutex::default());
        let partitions = AtomicU32::new(1);
        let log = Arc::new(NotedLog { sent, answer, answers, says_offsets, partitions });
        let router = device::routes(Reporting {
            verifier,
            token_key: token_key.clone(),
            limits: ReportLimits {
                payload: json_text::Limits::default(),
                device_id_characters: 128,
                occurred_at_max_ahead: 300_000_000,
                items: 1_000,
            },
            body: BodyLimits { bytes, timeout: Duration::from_secs(10) },
            known,
            log: Arc::clone(&log),
        });
        Self { router, log, token_key }
    }

    pub(crate) fn log_answers(&self, error: SendError) {
        *self.log.answer.lock() = Err(error);
    }

    /// What becomes of the next records, one after another.
    pub(crate) fn log_answers_in_turn(
        &self,
        answers: impl IntoIterator<Item = Result<(), SendError>>,
    ) {
        self.log.answers.lock().extend(answers);
    }

    /// From now on streams lie in so many partitions, from the third on.
    pub(crate) fn log_has_partitions(&self, count: u32) {
        self.log.partitions.store(count, Ordering::Relaxed);
    }

    /// From now on records are acknowledged without saying where they stand.
    pub(crate) fn log_says_no_offsets(&self) {
        self.log.says_offsets.store(false, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.log.sent.lock().clone()
    }

    /// POSTs an event with these headers besides the media type.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.post_to(device::PATH, headers, body).await
    }

    pub(crate) async fn post_to(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::POST).uri(path);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        // An empty media type is none.
        for (name, value) in headers.iter().filter(|header| **header != ("content-type", "")) {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await;
        let (parts, body) = response.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// The slug of the type of a problem document.
pub(crate) fn slug(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default()
}

/// Pointers and rules of the errors of a problem document.
pub(crate) fn errors(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|e| (e["pointer"].as_str().unwrap(), e["rule"].as_str().unwrap())).collect()
}

pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// The walk-through's caller.
pub(crate) fn tester() -> Value {
    json!({"sub": "device-tester", "roles": ["device", "user"], "exp": now() + 3600})
}

pub(crate) fn bearer(claims: &Value) -> String {
    let token = encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET)).unwrap();
    format!("Bearer {token}")
}

pub(crate) fn an_event() -> String {
    json!({"device_id": "device-123", "payload": {"status": "ok", "temp_c": 21.5}}).to_string()
}
