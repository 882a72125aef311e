//! What is asked once at the start: whether brokers, database or Redis refuse these settings.

use std::time::Duration;

use lifecycle::Health;
use tokio::task::JoinSet;

use crate::Config;

/// Longest time for an answer.
const WITHIN: Duration = Duration::from_secs(10);

/// Ends the process if one of them does.
pub(crate) fn spawn(config: &Config, health: &Health, background: &mut JoinSet<()>) {
    let (kafka, database) = (config.producer.kafka.clone(), config.database.clone());
    let brokers = async move { kafka_io::probe::probe(&kafka, WITHIN).await };
    background.spawn(health.clone().must_not_be_refused(brokers));
    let database = async move { database.probe(WITHIN).await };
    background.spawn(health.clone().must_not_be_refused(database));
    if let Some(redis) = config.redis.clone() {
        let redis = async move { redis.probe(WITHIN).await };
        background.spawn(health.clone().must_not_be_refused(redis));
    }
}
