//! What is asked once at the start: whether brokers, database, cache or registry refuse these settings.
//!
//! The first three end the process if they do. The registry does not, since records of known schemas are
//! folded whatever it says: the process is not ready for as long as it refuses.

use std::error::Error;
use std::time::Duration;

use event_schema::registry::{RegistryConfig, Reply};
use lifecycle::{Component, Health};
use tokio::time::sleep;

use crate::runner::RunnerConfig;

/// Longest time for an answer.
const WITHIN: Duration = Duration::from_secs(10);

/// How long until a registry that refuses us is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// Asks all of them. The projections of a process share their settings, so that those of one are asked
/// with.
pub(crate) fn spawn(config: &RunnerConfig, health: &Health) {
    let RunnerConfig { consumer, database, registry, cache, .. } = config.clone();
    let kafka = consumer.kafka;
    let brokers = async move { kafka_io::probe::probe(&kafka, WITHIN).await };
    tokio::spawn(health.clone().must_not_be_refused(brokers));
    let database = async move { database.probe(WITHIN).await };
    tokio::spawn(health.clone().must_not_be_refused(database));
    if let Some(cache) = cache {
        let cache = async move { cache.probe(WITHIN).await };
        tokio::spawn(health.clone().must_not_be_refused(cache));
    }
    if registry.can_refuse() {
        tokio::spawn(ask_registry(registry, health.component("schema registry")));
    }
}

/// Asks until the registry accepts us, and tells of a refusal until then. One that is away has neither
/// refused us nor taken a refusal back.
async fn ask_registry(registry: RegistryConfig, component: Component) {
    let mut is_refused = false;
    loop {
        match registry.probe(registry.timeout).await {
            Ok(Reply::Accepted) => break,
            Ok(Reply::Missing) if is_refused => {}
            Ok(Reply::Missing) => component.ready(),
            Err(refused) => {
                component.not_ready(refused.to_string());
                if !is_refused {
                    let error = &refused as &dyn Error;
                    tracing::error!(error, "the schema registry refuses the process");
                    is_refused = true;
                }
            }
        }
        sleep(AGAIN).await;
    }
    component.ready();
    component.finish();
}
