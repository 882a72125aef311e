//! Decisions for tests.

use domain::Timestamp;
use event_store::claim::{Claim, ClaimKey};
use event_store::request::{NewRequest, RequestKey};
use event_store::{Append, Event, Nobody, State};
use uuid::Uuid;

pub(crate) const TOPIC: &str = "identity.user";

/// Who is looked for where nobody has a value.
pub(crate) const NOBODY: Nobody<'_> = Nobody { prefix: "user-", subject: "nobody" };

pub(crate) fn key() -> ClaimKey {
    ClaimKey::derive(b"a secret")
}

/// A decision of `count` events, made on a version of the stream.
pub(crate) fn decision(stream_id: &str, on: u64, last: Option<Uuid>, count: u64) -> Append {
    let mut previous_id = last;
    let events = (1..=count).map(|n| {
        let event = event(stream_id, on + n, previous_id);
        previous_id = Some(event.event_id);
        event
    });
    Append {
        stream_id: stream_id.to_owned(),
        expected_version: on,
        events: events.collect(),
        state: State { json: format!("{{\"version\":{}}}", on + count), revision: 1 },
        claims: Vec::new(),
        beside: Vec::new(),
        request: None,
    }
}

/// The first decision of a stream: one event.
pub(crate) fn first(stream_id: &str) -> Append {
    decision(stream_id, 0, None, 1)
}

/// The next decision of a stream: one event.
pub(crate) fn next(append: &Append) -> Append {
    let last = append.events.last();
    let version = last.map_or(0, |event| event.version);
    decision(&append.stream_id, version, last.map(|event| event.event_id), 1)
}

pub(crate) fn event(stream_id: &str, version: u64, previous_id: Option<Uuid>) -> Event {
    Event {
        stream_id: stream_id.to_owned(),
        version,
        event_id: Uuid::now_v7(),
        previous_id,
        topic: TOPIC.to_owned(),
        event_type: "identity.user.registered.v1".to_owned(),
        occurred_at: Timestamp(1_700_000_000_000_000 + version.cast_signed()),
        correlation_id: Some("a request".to_owned()),
        causation_id: None,
        actor: Some("an actor".to_owned()),
        traceparent: None,
        changed: vec!["bio".to_owned(), "image".to_owned()],
        value: version.to_be_bytes().to_vec(),
        place: None,
    }
}

/// Takes a value at a time, in seconds, for good or until another.
pub(crate) fn take(kind: &'static str, value: &str, at: i64, lapses: Option<i64>) -> Claim {
    Claim::Take {
        kind,
        digest: key().digest(kind, value),
        taken_at: Timestamp(at * 1_000_000),
        lapses_at: lapses.map(|at| Timestamp(at * 1_000_000)),
    }
}

pub(crate) fn request(name: &str, subject: Option<&str>) -> NewRequest {
    NewRequest {
        key: RequestKey { principal: "ann".to_owned(), key: name.to_owned() },
        route: "POST /api/v1/auth/register".to_owned(),
        body_hash: key().body_hash(name.as_bytes()),
        subject: subject.map(str::to_owned),
        answer: b"an answer".to_vec(),
    }
}
