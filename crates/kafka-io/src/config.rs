//! How to reach the cluster and how records are produced.

use std::time::Duration;

use rdkafka::ClientConfig;
use settings::{Settings, table};

use crate::security::Security;
use crate::topic::MAX_MESSAGE_BYTES;

/// The largest `batch.size`: a tenth below what the topics take, since a batch that a broker finds
/// too large fails whole.
pub const MAX_BATCH_BYTES: u64 = MAX_MESSAGE_BYTES / 10 * 9;

/// How to reach the cluster.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// The brokers to start from, `host:port` separated by commas.
    pub brokers: String,
    /// What the brokers' logs and quotas call this process.
    pub client_id: String,
    /// How they are told who we are, and how we know them.
    pub security: Security,
}

/// How records are produced.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// How long a record waits for others to share its batch.
    pub linger: Duration,
    /// Bytes at which a batch is sent without waiting.
    pub batch_bytes: u64,
    /// After this the outcome of an unacknowledged record is unknown. The client looks once a
    /// second, so an answer may take up to a second more.
    pub message_timeout: Duration,
    /// After this long without any acknowledgement while records wait for one, new records are
    /// refused.
    pub stall_timeout: Duration,
    /// Records that may wait for an acknowledgement; past it new ones are refused.
    pub queue_records: u64,
    /// Kilobytes that may wait for an acknowledgement; past it new records are refused.
    pub queue_kilobytes: u64,
    /// Codec of the batches.
    pub compression: String,
}

impl KafkaConfig {
    /// Reads where the brokers are.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let brokers = settings.text(&table::KAFKA_BROKERS);
        if !brokers.split(',').all(is_broker) {
            settings.fault(format!(
                "{} must be host:port, several separated by commas, not \"{brokers}\"",
                table::KAFKA_BROKERS.name
            ));
        }
        let security = Security::from_settings(settings);
        Self { brokers, client_id: "millrace".to_owned(), security }
    }

    /// Brokers that are reached without TLS and ask for no name.
    pub fn plaintext(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        let security = Security::default();
        Self { brokers: brokers.into(), client_id: client_id.into(), security }
    }

    /// What every client is configured with: short waits, so that a dead broker is noticed and a
    /// revived one found within about a second.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("socket.connection.setup.timeout.ms", "3000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500");
        self.security.apply(&mut client);
        client
    }
}

impl ProducerConfig {
    /// Reads where the brokers are and how to produce.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let config = Self {
            kafka: KafkaConfig::from_settings(settings),
            linger: settings.millis(&table::PRODUCER_LINGER),
            batch_bytes: settings.number(&table::PRODUCER_BATCH_BYTES),
            message_timeout: settings.millis(&table::PRODUCER_MESSAGE_TIMEOUT),
            stall_timeout: settings.millis(&table::PRODUCER_STALL_TIMEOUT),
            queue_records: settings.number(&table::PRODUCER_QUEUE_RECORDS),
            queue_kilobytes: settings.number(&table::PRODUCER_QUEUE_KILOBYTES),
            compression: settings.text(&table::PRODUCER_COMPRESSION),
        };
        must_be_below(settings, &table::PRODUCER_STALL_TIMEOUT, &table::PRODUCER_MESSAGE_TIMEOUT);
        config
    }

    /// The client's settings. Idempotence brings `acks=all`, endless retries and order per
    /// partition; `murmur2_random` is how Java clients choose a key's partition.
    pub(crate) fn client(&self) -> ClientConfig {
        let millis = |time: Duration| time.as_millis().to_string();
        let mut client = self.kafka.client();
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", millis(self.linger))
            .set("batch.size", self.batch_bytes.to_string())
            .set("message.max.bytes", MAX_BATCH_BYTES.to_string())
            .set("compression.type", &self.compression)
            .set("message.timeout.ms", millis(self.message_timeout))
            .set("socket.timeout.ms", millis(self.request_timeout()))
            .set("queue.buffering.max.messages", self.queue_records.to_string())
            .set("queue.buffering.max.kbytes", self.queue_kilobytes.to_string())
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("statistics.interval.ms", "5000");
        client
    }

    /// One request's time: below the record's, so that a record outlives one lost request.
    fn request_timeout(&self) -> Duration {
        (self.message_timeout / 2).clamp(Duration::from_secs(1), Duration::from_secs(5))
    }
}

fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.trim().rsplit_once(':') else { return false };
    !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn must_be_below(
    settings: &mut Settings,
    low: &'static settings::Setting,
    high: &'static settings::Setting,
) {
    if settings.millis(low) >= settings.millis(high) {
        settings.fault(format!("{} must be below {}", low.name, high.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(pairs: &[(&str, &str)]) -> Vec<String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings = Settings::new(pairs);
        ProducerConfig::from_settings(&mut settings);
        settings.finish(()).map_or_else(|error| error.0, |()| Vec::new())
    }

    #[test]
    fn the_defaults_make_a_producer() {
        assert!(faults(&[]).is_empty());
        let config = ProducerConfig::from_settings(&mut Settings::new([]));
        let client: Result<rdkafka::producer::BaseProducer, _> = config.client().create();
        assert!(client.is_ok(), "{:?}", client.err());
    }

    #[test]
    fn every_codec_of_the_table_is_built_in() {
        let settings::Kind::OneOf(codecs) = table::PRODUCER_COMPRESSION.kind else { panic!() };
        for codec in codecs {
            let mut config = ProducerConfig::from_settings(&mut Settings::new([]));
            config.compression = (*codec).to_owned();
            let client: Result<rdkafka::producer::BaseProducer, _> = config.client().create();
            assert!(client.is_ok(), "{codec}");
        }
    }

    #[test]
    fn the_largest_batch_stays_a_tenth_below_what_the_topics_take() {
        let settings::Kind::Number { max, .. } = table::PRODUCER_BATCH_BYTES.kind else { panic!() };
        assert_eq!(max, MAX_BATCH_BYTES);
    }

    #[test]
    fn a_stall_is_noticed_before_records_time_out() {
        assert_eq!(
            faults(&[
                ("MILLRACE_PRODUCER_STALL_TIMEOUT_MS", "5000"),
                ("MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS", "5000"),
            ]),
            [
                "MILLRACE_PRODUCER_STALL_TIMEOUT_MS must be below MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS"
            ]
        );
    }

    #[test]
    fn brokers_without_a_port_are_refused_by_name() {
        for brokers in ["localhost", "a:9092,", "a:9092,b:0", ":9092", "a:port"] {
            assert_eq!(faults(&[("KAFKA_BROKERS", brokers)]).len(), 1, "{brokers}");
        }
        assert!(faults(&[("KAFKA_BROKERS", "a:9092, [::1]:9093")]).is_empty());
    }
}
