//! The log as the relay sees it: decided events as records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use event_schema::header::{HeaderError, Headers, MAX_COUNT, SOURCE_COMMAND_API};
use event_store::relay::{Log, NotAppended, Tail, TailError};
use event_store::{Event, LogPlace};
use kafka_io::config::KafkaConfig;
use kafka_io::header::RecordHeaders;
use kafka_io::producer::{Producer, Record};
use kafka_io::record_reader::OwnedRecord;
use kafka_io::tail;
use tokio::task::spawn_blocking;

/// Longest time for reading the end of a topic.
const TAIL_WITHIN: Duration = Duration::from_secs(20);

/// The log, written by the process' producer.
pub struct DecisionLog {
    producer: Arc<Producer>,
    kafka: KafkaConfig,
}

impl DecisionLog {
    /// The log behind the producer; its end is read by clients of their own.
    pub fn new(producer: Arc<Producer>, kafka: KafkaConfig) -> Self {
        Self { producer, kafka }
    }
}

impl Log for DecisionLog {
    async fn append(&self, event: &Event) -> Result<LogPlace, NotAppended> {
        let mut headers = RecordHeaders::with_capacity(MAX_COUNT);
        headers_of(event).write(|name, value| headers.push(name, value));
        let (key, payload) = (event.stream_id.as_bytes(), event.value.as_slice());
        let record = Record { topic: &event.topic, key, payload, headers };
        let outcome = self.producer.enqueue(record).map_err(|_| NotAppended::Refused)?;
        let delivered = outcome.await.map_err(|_| NotAppended::Unknown)?;
        // Without its place nobody could wait for it: it is sent again, and readers absorb it.
        let offset = delivered.offset.and_then(|offset| i64::try_from(offset).ok());
        let offset = offset.ok_or(NotAppended::Unknown)?;
        Ok(LogPlace { partition: delivered.partition, offset })
    }

    fn is_away(&self) -> bool {
        self.producer.facts().unavailable.is_some()
    }

    async fn tail(&self, topic: &str, from: &BTreeMap<i32, i64>) -> Result<Tail, TailError> {
        read_tail(&self.kafka, topic, from).await
    }
}

/// Events at the end of a topic. Records that are none are logged and left out.
///
/// # Errors
/// The brokers did not answer in time.
pub(crate) async fn read_tail(
    kafka: &KafkaConfig,
    topic: &str,
    from: &BTreeMap<i32, i64>,
) -> Result<Tail, TailError> {
    let (kafka, name, from) = (kafka.clone(), topic.to_owned(), from.clone());
    let read = spawn_blocking(move || tail::read(&kafka, &name, &from, TAIL_WITHIN)).await;
    let read = read.map_err(|error| TailError(error.to_string()))?;
    let tail::Tail { records, next, is_end } =
        read.map_err(|error| TailError(error.to_string()))?;
    let event = |(partition, record): (i32, OwnedRecord)| {
        let offset = record.offset;
        let event = event_of(topic, partition, record);
        if event.is_none() {
            tracing::warn!(topic, partition, offset, "a record is no event of a stream");
        }
        event
    };
    Ok(Tail { records: records.into_iter().filter_map(event).collect(), next, is_end })
}

/// The headers of the record that an event becomes.
pub fn headers_of(event: &Event) -> Headers<'_> {
    Headers {
        id: event.event_id,
        source: SOURCE_COMMAND_API,
        event_type: &event.event_type,
        stream_id: &event.stream_id,
        time: Some(event.occurred_at),
        stream_version: Some(event.version),
        previous_id: event.previous_id,
        correlation_id: event.correlation_id.as_deref(),
        causation_id: event.causation_id.as_deref(),
        actor: event.actor.as_deref(),
        traceparent: event.traceparent.as_deref(),
    }
}

fn event_of(topic: &str, partition: i32, record: OwnedRecord) -> Option<Event> {
    let place = LogPlace { partition, offset: record.offset };
    let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    let headers: Result<Headers<'_>, HeaderError> = Headers::read(headers);
    let headers = headers.ok()?;
    let is_own_key = record.key.as_deref() == Some(headers.stream_id.as_bytes());
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let event = Event {
        stream_id: headers.stream_id.to_owned(),
        version: headers.stream_version?,
        event_id: headers.id,
        previous_id: headers.previous_id,
        topic: topic.to_owned(),
        event_type: headers.event_type.to_owned(),
        occurred_at: headers.time.unwrap_or(Timestamp::from_millis(record.timestamp_ms)),
        correlation_id: owned(headers.correlation_id),
        causation_id: owned(headers.causation_id),
        actor: owned(headers.actor),
        traceparent: owned(headers.traceparent),
        changed: Vec::new(),
        value: record.value.clone()?,
        place: Some(place),
    };
    is_own_key.then_some(event)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn event(version: u64) -> Event {
        Event {
            stream_id: "user-1".to_owned(),
            version,
            event_id: Uuid::now_v7(),
            previous_id: (version > 1).then(Uuid::now_v7),
            topic: "identity.user".to_owned(),
            event_type: "identity.user.registered.v1".to_owned(),
            occurred_at: Timestamp(1_700_000_000_123_456),
            correlation_id: Some("a request".to_owned()),
            causation_id: None,
            actor: Some("somebody".to_owned()),
            traceparent: None,
            changed: Vec::new(),
            value: vec![0, 1, 2],
            place: Some(LogPlace { partition: 3, offset: 40 }),
        }
    }

    fn record(event: &Event) -> OwnedRecord {
        let mut headers = Vec::new();
        headers_of(event)
            .write(|name, value| headers.push((name.to_owned(), Some(value.to_vec()))));
        OwnedRecord {
            offset: 40,
            timestamp_ms: 1_800_000_000_000,
            key: Some(event.stream_id.clone().into_bytes()),
            value: Some(event.value.clone()),
            headers,
        }
    }

    #[test]
    fn an_event_comes_out_of_the_log_as_it_went_in() {
        for version in [1, 2] {
            let event = event(version);
            assert_eq!(event_of("identity.user", 3, record(&event)), Some(event));
        }
    }

    #[test]
    fn what_others_have_put_there_is_no_event_of_a_stream() {
        let good = record(&event(2));
        let read = |record| event_of("identity.user", 3, record).is_some();
        assert!(read(good.clone()));
        for name in ["ce_id", "ce_type", "ce_subject", "ce_streamversion"] {
            let mut other = good.clone();
            other.headers.retain(|(header, _)| header != name);
            assert!(!read(other), "{name}");
        }
        assert!(!read(OwnedRecord { key: Some(b"user-2".to_vec()), ..good.clone() }));
        assert!(!read(OwnedRecord { key: None, ..good.clone() }));
        assert!(!read(OwnedRecord { value: None, ..good }));
    }
}
