//! What is asked once at the start: whether database or cache refuse these settings.

use std::time::Duration;

use lifecycle::Health;

use crate::Config;

/// Longest time for an answer.
const WITHIN: Duration = Duration::from_secs(10);

/// Ends the process if one of them does.
pub(crate) fn spawn(config: &Config, health: &Health) {
    let database = config.database.clone();
    let database = async move { database.probe(WITHIN).await };
    tokio::spawn(health.clone().must_not_be_refused(database));
    if let Some(cache) = config.cache.clone() {
        let cache = async move { cache.probe(WITHIN).await };
        tokio::spawn(health.clone().must_not_be_refused(cache));
    }
}
