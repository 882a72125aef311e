//! The Kafka client under the producer: its callbacks, turned into facts.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Statistics};

use super::{Delivered, LostOutcome, Occurrence, Settle, State};
use crate::config::ProducerConfig;
use crate::statistics::ProducerStatistics;

/// One life of the client, with its own polling thread.
pub(super) type Client = ThreadedProducer<Context>;

/// What the client calls back, from its own threads.
pub(super) struct Context {
    state: Arc<State>,
}

/// Creates a client; no broker is asked.
pub(super) fn create(config: &ProducerConfig, state: &Arc<State>) -> KafkaResult<Client> {
    let context = Context { state: Arc::clone(state) };
    ThreadedProducer::from_config_and_context(&config.client(), context)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::client_log::emit(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        (self.state.observe)(Occurrence::Statistics(ProducerStatistics::of(&statistics)));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, reason, "the Kafka producer reports an error");
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.state.availability.brokers_down();
                self.state.wake.notify_one();
            }
            Some(RDKafkaErrorCode::Fatal) => self.state.wake.notify_one(),
            _ => {}
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = Settle;

    fn delivery(&self, result: &DeliveryResult<'_>, settle: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => {
                self.state.availability.acknowledged(Instant::now());
                Ok(delivered(message.partition(), message.offset()))
            }
            Err((error, _)) => {
                let lost = lost_outcome(error);
                self.state.availability.failed(lost == LostOutcome::TimedOut);
                self.state.wake.notify_one();
                Err(lost)
            }
        };
        // Nobody waits any more when the caller dropped its future.
        let _ = settle.send(outcome);
    }
}

/// The client reports an offset below 0 for a record that the broker knew already.
fn delivered(partition: i32, offset: i64) -> Delivered {
    Delivered { partition, offset: u64::try_from(offset).ok() }
}

fn lost_outcome(error: &KafkaError) -> LostOutcome {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageTimedOut) => LostOutcome::TimedOut,
        Some(
            RDKafkaErrorCode::PurgeQueue
            | RDKafkaErrorCode::PurgeInflight
            | RDKafkaErrorCode::Fatal,
        ) => LostOutcome::ProducerEnded,
        code => LostOutcome::Broker(code.unwrap_or(RDKafkaErrorCode::Unknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_the_broker_does_not_say_is_not_made_up() {
        assert_eq!(delivered(3, -1), Delivered { partition: 3, offset: None });
        assert_eq!(delivered(3, 0), Delivered { partition: 3, offset: Some(0) });
    }
}
