use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use settings::Settings;
use tokio::sync::mpsc;

use super::*;

const TOPIC: &str = "events-input";

/// A broker in this process, a producer to it, and what the producer says.
struct Fixture {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: Producer,
    occurrences: mpsc::UnboundedReceiver<Occurrence>,
}

impl Fixture {
    async fn start(change: impl FnOnce(&mut ProducerConfig)) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 12, 1).unwrap();
        let mut config = ProducerConfig::from_settings(&mut Settings::new([]));
        config.kafka.brokers = cluster.bootstrap_servers();
        config.message_timeout = Duration::from_secs(3);
        change(&mut config);
        let (tell, occurrences) = mpsc::unbounded_channel();
        let producer = Producer::start(&config, move |occurrence| {
            let _ = tell.send(occurrence);
        });
        let mut fixture = Self { cluster, producer: producer.unwrap(), occurrences };
        fixture.until("available", |occurrence| *occurrence == Occurrence::Available).await;
        fixture
    }

    async fn send(&self, key: &str) -> Result<Delivered, SendError> {
        let mut headers = RecordHeaders::default();
        headers.push("ce_id", b"1");
        let record = Record { topic: TOPIC, key: key.as_bytes(), payload: b"value", headers };
        self.producer.send(record).await
    }

    /// Waits until the producer says something that the condition takes.
    async fn until(&mut self, what: &str, found: impl Fn(&Occurrence) -> bool) {
        let wait = async {
            while let Some(occurrence) = self.occurrences.recv().await {
                if found(&occurrence) {
                    return;
                }
            }
            panic!("the producer ended before {what}");
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "never {what}: {:?}", self.producer.facts());
    }
}

#[tokio::test]
async fn an_acknowledged_record_has_a_partition_and_an_offset() {
    let fixture = Fixture::start(|_| {}).await;
    let first = fixture.send("device-123").await.unwrap();
    let second = fixture.send("device-123").await.unwrap();
    assert_eq!((first.offset, second.offset), (Some(0), Some(1)));
    assert_eq!(first.partition, second.partition);
    assert_eq!(fixture.producer.facts().waiting, 0);
}

#[tokio::test]
async fn a_key_goes_where_java_clients_send_it() {
    // Kafka's own `murmur2("21")` is -973932308, its positive part modulo 12 is 8.
    let fixture = Fixture::start(|_| {}).await;
    assert_eq!(fixture.send("21").await.unwrap().partition, (-973_932_308 & 0x7fff_ffff) % 12);
}

#[tokio::test]
async fn while_the_brokers_are_down_a_record_is_refused_at_once_and_taken_after() {
    let mut fixture = Fixture::start(|_| {}).await;
    fixture.send("a").await.unwrap();
    fixture.cluster.broker_down(1).unwrap();
    let down = Occurrence::Unavailable(Unavailable::BrokersDown);
    fixture.until("down", |occurrence| *occurrence == down).await;

    // A time-out of zero polls once: the refusal waits for nothing.
    let refused = tokio::time::timeout(Duration::ZERO, fixture.send("a")).await;
    let expected = SendError::Refused(Refusal::Unavailable(Unavailable::BrokersDown));
    assert_eq!(refused, Ok(Err(expected)));

    fixture.cluster.broker_up(1).unwrap();
    let back = Instant::now();
    fixture.until("available", |occurrence| *occurrence == Occurrence::Available).await;
    assert!(back.elapsed() < Duration::from_secs(5), "back after {:?}", back.elapsed());
    fixture.send("a").await.unwrap();
}

#[tokio::test]
async fn a_producer_without_brokers_starts_and_refuses() {
    let mut config = ProducerConfig::from_settings(&mut Settings::new([]));
    config.kafka.brokers = "127.0.0.1:1".to_owned();
    let producer = Producer::start(&config, |_| {}).unwrap();
    let headers = RecordHeaders::default();
    let record = Record { topic: TOPIC, key: b"a", payload: b"", headers };
    let refused = producer.send(record).await.unwrap_err();
    assert!(
        matches!(refused, SendError::Refused(Refusal::Unavailable(_))),
        "{refused:?}: nothing was queued, so nothing is unknown"
    );
}

#[tokio::test]
async fn a_record_without_an_answer_is_unknown_and_others_are_refused_until_one_comes() {
    let mut fixture = Fixture::start(|config| {
        config.stall_timeout = Duration::from_millis(300);
    })
    .await;
    fixture.cluster.broker_round_trip_time(1, Duration::from_secs(30)).unwrap();
    let lost = fixture.send("a").await;
    assert_eq!(lost, Err(SendError::Unknown(LostOutcome::TimedOut)));
    let stalled = Occurrence::Unavailable(Unavailable::Stalled);
    fixture.until("stalled", |occurrence| *occurrence == stalled).await;
    let refused = fixture.send("a").await;
    assert!(matches!(refused, Err(SendError::Refused(Refusal::Unavailable(_)))), "{refused:?}");

    fixture.cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    fixture.until("available", |occurrence| *occurrence == Occurrence::Available).await;
    fixture.send("a").await.unwrap();
}

#[tokio::test]
async fn a_fatal_error_replaces_the_client_and_its_record_is_unknown() {
    let mut fixture = Fixture::start(|_| {}).await;
    fixture.send("a").await.unwrap();
    fixture.cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER],
    );
    let lost = fixture.send("a").await;
    assert!(matches!(lost, Err(SendError::Unknown(_))), "{lost:?}");
    fixture.until("replaced", |o| matches!(o, Occurrence::Replaced { .. })).await;
    assert_eq!(fixture.producer.facts().replaced, 1);
    fixture.send("a").await.unwrap();
}

#[tokio::test]
async fn an_oversize_record_is_refused_and_its_neighbours_are_not() {
    let fixture = Fixture::start(|_| {}).await;
    let payload = vec![b'x'; 1_100_000];
    let headers = RecordHeaders::default();
    let large = Record { topic: TOPIC, key: b"a", payload: &payload, headers };
    assert_eq!(fixture.producer.send(large).await, Err(SendError::Refused(Refusal::TooLarge)));
    fixture.send("a").await.unwrap();
    assert_eq!(fixture.producer.facts().waiting, 0);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let fixture = Fixture::start(|config| {
        config.queue_records = 1;
        config.linger = Duration::from_millis(500);
    })
    .await;
    let (first, second) = tokio::join!(fixture.send("a"), fixture.send("a"));
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second, Err(SendError::Refused(Refusal::QueueFull)));
}

#[tokio::test]
async fn draining_settles_what_is_queued_and_refuses_the_rest() {
    let fixture = Fixture::start(|config| config.linger = Duration::from_millis(200)).await;
    let (sent, drained) =
        tokio::join!(fixture.send("a"), fixture.producer.drain(Duration::from_secs(5)));
    assert!(sent.is_ok(), "{sent:?}");
    assert_eq!(drained, Drained { unsettled: 0 });
    assert_eq!(fixture.send("a").await, Err(SendError::Refused(Refusal::Stopping)));
}

#[tokio::test]
async fn draining_counts_what_stays_unknown() {
    let fixture = Fixture::start(|_| {}).await;
    fixture.cluster.broker_round_trip_time(1, Duration::from_secs(30)).unwrap();
    let drain = fixture.producer.drain(Duration::from_millis(200));
    let (_, drained) = tokio::join!(fixture.send("a"), drain);
    assert_eq!(drained, Drained { unsettled: 1 });
}
