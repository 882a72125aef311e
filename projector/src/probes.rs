//! What is asked once at the start: whether brokers, database or cache refuse these settings. Not
//! the registry: records of known schemas are folded whatever it says.

use std::time::Duration;

use lifecycle::Health;

use crate::runner::RunnerConfig;

/// Longest time for an answer.
const WITHIN: Duration = Duration::from_secs(10);

/// Ends the process if one of them does. The projections of a process share their settings, so that
/// those of one are asked with.
pub(crate) fn spawn(config: &RunnerConfig, health: &Health) {
    let RunnerConfig { consumer, database, cache, .. } = config.clone();
    let kafka = consumer.kafka;
    let brokers = async move { kafka_io::probe::probe(&kafka, WITHIN).await };
    tokio::spawn(health.clone().must_not_be_refused(brokers));
    let database = async move { database.probe(WITHIN).await };
    tokio::spawn(health.clone().must_not_be_refused(database));
    if let Some(cache) = cache {
        let cache = async move { cache.probe(WITHIN).await };
        tokio::spawn(health.clone().must_not_be_refused(cache));
    }
}
