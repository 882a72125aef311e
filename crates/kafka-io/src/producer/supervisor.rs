//! What keeps a producer usable: it asks the brokers while they are away, and replaces a client
//! that cannot go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;
use tokio::task::spawn_blocking;

use super::client::{self, Client};
use super::{Occurrence, Shared, Unavailable};

/// How often the state is looked at without a wake-up.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long one question to the brokers may take. Asking also makes the client connect, which it
/// does only for a reason.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1000);

/// Runs until the producer is dropped.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut reported = None;
    loop {
        let client = shared.client.load_full();
        if let Some((code, reason)) = client.client().fatal_error() {
            replace(&shared, client, code, reason).await;
        } else if shared.state.availability.needs_answer() && probe(client).await {
            shared.state.availability.answered();
        }
        report(&shared, &mut reported);
        // The time-out is the usual way out: nothing woke us.
        let _ = tokio::time::timeout(INTERVAL, shared.state.wake.notified()).await;
        report(&shared, &mut reported);
    }
}

/// Says whether records are taken: the first time, and whenever that has changed.
fn report(shared: &Shared, reported: &mut Option<Result<(), Unavailable>>) {
    let now = shared.state.availability.check(Instant::now());
    if *reported != Some(now) {
        (shared.state.observe)(now.err().map_or(Occurrence::Available, Occurrence::Unavailable));
        *reported = Some(now);
    }
}

async fn probe(client: Arc<Client>) -> bool {
    let asked = spawn_blocking(move || client.client().fetch_metadata(None, PROBE_TIMEOUT).is_ok());
    asked.await.unwrap_or(false)
}

/// Puts a new client in the place of one that cannot go on. What the old one still has under way
/// settles in the background, as unknown at the latest when its time is over.
async fn replace(shared: &Arc<Shared>, old: Arc<Client>, code: RDKafkaErrorCode, reason: String) {
    let (config, state) = (shared.config.clone(), Arc::clone(&shared.state));
    let created = spawn_blocking(move || client::create(&config, &state)).await;
    match created {
        Ok(Ok(new)) => {
            shared.client.store(Arc::new(new));
            shared.state.replaced.fetch_add(1, Ordering::Relaxed);
            (shared.state.observe)(Occurrence::Replaced { code, reason });
            let settle_within = shared.config.message_timeout;
            // Dropping the last handle gives up what is left; neither may hold up the runtime.
            drop(spawn_blocking(move || {
                let _ = old.flush(settle_within);
                drop(old);
            }));
        }
        Ok(Err(error)) => tracing::error!(%error, "a new Kafka producer could not be created"),
        Err(error) => tracing::error!(%error, "a new Kafka producer could not be created"),
    }
}
