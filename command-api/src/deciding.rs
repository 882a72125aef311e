//! The parts of the process that make and publish decisions.

use std::sync::Arc;
use std::time::Duration;

use event_schema::schema::Family;
use event_store::EventStore as _;
use event_store::postgres::Postgres;
use event_store::publications::Publications;
use event_store::relay::{Relay, RelayConfig};
use kafka_io::producer::Producer;
use kafka_io::topic::Topic;
use read_models::database::{SessionLimits, identity_schema};
use settings::Prefix;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::Config;
use crate::database::{CONNECT_TIMEOUT, LIMITS};
use crate::decision::log::DecisionLog;
use crate::decision::{Commands, Deciding};
use crate::deployment::Known;
use crate::occurrence;
use crate::throttle::PostgresFailures;
use crate::user::Mailing;

/// Connections for failures to log in, each of which is needed for a moment: a flood of attempts holds no
/// decision up.
const LOGIN_CONNECTIONS: u32 = 2;

/// Limits of the relay's session, which keeps its lock between transactions.
const OWNER_LIMITS: SessionLimits = SessionLimits {
    transaction: Duration::from_secs(30),
    statement: Duration::from_secs(30),
    ..LIMITS
};

/// How long the relay's session may idle: it never does for so long, so that a process that is frozen or cut
/// off gives the outbox up.
const OWNER_IDLE: Duration = Duration::from_secs(30);

/// Between two times that old answers are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// While there are more.
const FORGET_NEXT: Duration = Duration::from_millis(500);

/// Before a relay that panicked is started anew.
const START_AGAIN: Duration = Duration::from_secs(1);

/// The store of a configuration, without anything that runs, which waits so long for a connection.
pub(crate) fn store(config: &Config, connect_timeout: Duration) -> Postgres {
    let decisions = &config.decisions;
    let pool = decisions.store.pool("command-api", LIMITS, decisions.connections, connect_timeout);
    let idle = format!("{}ms", OWNER_IDLE.as_millis());
    let owner = decisions.store.session("command-api relay", OWNER_LIMITS);
    let owner = owner.options([("idle_session_timeout", idle)]);
    let (prefix, identity) = (config.prefix.to_string(), identity_schema(&config.prefix));
    Postgres::new(pool, owner, &prefix, &identity, &decisions.claim_key)
}

/// Where failures to log in are counted.
pub(crate) fn login_failures(config: &Config) -> PostgresFailures {
    let store = &config.decisions.store;
    let pool = store.pool("command-api logins", LIMITS, LOGIN_CONNECTIONS, CONNECT_TIMEOUT);
    PostgresFailures::new(pool)
}

/// Starts what makes, publishes and tells of decisions, sends their mails, and forgets what is old, `failures`
/// to log in with it.
pub(crate) fn start(
    config: &Config,
    producer: &Arc<Producer>,
    known: &Known,
    failures: &PostgresFailures,
    background: &mut JoinSet<()>,
) -> (Commands<Postgres>, Publishing) {
    let (store, publications) = (store(config, CONNECT_TIMEOUT), Publications::default());
    let commands = commands(config, &store, &publications, producer, known);
    let publishing = publishing(config, &store, &publications, producer);
    background.spawn(forget(store.clone(), failures.clone(), config.decisions.keep_requests));
    let (hears, publishes) = (store.clone(), publications.clone());
    background.spawn(async move { hears.hear(&publishes).await });
    let tells = store.clone();
    background.spawn(async move { tells.tell_appended().await });
    send_mails(config, &store, &commands, background);
    background.spawn(async move { publications.look_up(&store).await });
    (commands, publishing)
}

/// What makes decisions.
fn commands(
    config: &Config,
    store: &Postgres,
    publications: &Publications,
    producer: &Arc<Producer>,
    known: &Known,
) -> Commands<Postgres> {
    let producer = Arc::clone(producer);
    Commands::new(Deciding {
        store: store.clone(),
        publications: publications.clone(),
        known: known.clone(),
        claim_key: config.decisions.claim_key.clone(),
        token_key: config.token_key.clone(),
        claim_term: config.decisions.claim_term,
        revocations_hold: config.access_tokens.revocations_hold(),
        wait: config.decisions.wait,
        log_is_away: Arc::new(move || producer.facts().unavailable.is_some()),
    })
}

/// Starts what brings them into the log.
fn publishing(
    config: &Config,
    store: &Postgres,
    publications: &Publications,
    producer: &Arc<Producer>,
) -> Publishing {
    let log = DecisionLog::new(Arc::clone(producer), config.producer.kafka.clone());
    let relay_config = RelayConfig {
        topics: decided_topics(&config.prefix),
        longest_delivery: config.settle_time(),
    };
    let relay = Relay::new(
        store.clone(),
        Arc::new(log),
        publications.clone(),
        store.wake(),
        relay_config,
        |occurrence| occurrence::relay(&occurrence),
    );
    let relay = Arc::new(relay);
    let runs = Arc::clone(&relay);
    Publishing { relay, task: tokio::spawn(publish(runs)) }
}

/// Starts what sends the mails that they cause, where mails leave.
fn send_mails(
    config: &Config,
    store: &Postgres,
    commands: &Commands<Postgres>,
    background: &mut JoinSet<()>,
) {
    let Some(mailer) = config.mail.mailer.clone() else { return };
    let (public_url, link_key) = (config.mail.public_url.clone(), &config.mail_link_key);
    let registrations = config.registrations.clone();
    let mailing = Mailing::new(commands.clone(), mailer, public_url, link_key, registrations);
    let mail_wake = store.mail_wake();
    background.spawn(async move { mailing.run(&mail_wake).await });
}

/// The topics that must hold nothing which the store does not know.
fn decided_topics(prefix: &Prefix) -> Vec<String> {
    Family::decided().map(|family| Topic::of(family).name(prefix)).collect()
}

/// Publishes until the relay is stopped, whatever becomes of it before.
async fn publish(relay: Arc<Relay<Postgres, DecisionLog>>) {
    loop {
        let runs = Arc::clone(&relay);
        match tokio::spawn(async move { runs.run().await }).await {
            Ok(()) => return,
            Err(error) if error.is_panic() => {
                tracing::error!("the relay of decisions has panicked; it is started anew");
                sleep(START_AGAIN).await;
            }
            Err(_) => return,
        }
    }
}

/// Forgets answers and mails that were settled long ago, what is said of access tokens that have expired, registrations
/// that wait no more, and failures to log in that count no more. Never returns.
async fn forget(store: Postgres, failures: PostgresFailures, older_than: Duration) {
    loop {
        let settled = store.forget(older_than).await;
        let settled = settled.inspect_err(|error| not_forgotten("old answers to requests", error));
        let counted = failures.forget().await;
        let counted = counted.inspect_err(|error| not_forgotten("failures to log in", error));
        let has_more = matches!((settled, counted), (Ok(s), Ok(c)) if s + c > 0);
        sleep(if has_more { FORGET_NEXT } else { FORGET_EVERY }).await;
    }
}

fn not_forgotten(what: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "{what} could not be forgotten");
}

/// The relay of the process.
pub(crate) struct Publishing {
    relay: Arc<Relay<Postgres, DecisionLog>>,
    task: JoinHandle<()>,
}

impl Publishing {
    /// Ends the relay once nothing is under way, or the time is over.
    pub(crate) async fn stop(mut self, within: Duration) {
        self.relay.stop();
        let _ = tokio::time::timeout(within, &mut self.task).await;
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use event_schema::schema::Schema;

    use super::*;

    #[test]
    fn the_relay_compares_every_topic_whose_records_stand_in_a_stream() {
        let prefix = Prefix::default();
        let compared = decided_topics(&prefix);
        for schema in Schema::ALL {
            let stands_in_a_stream = schema.text().contains(r#""stream_version""#);
            let topic = Topic::of(schema.family()).name(&prefix);
            assert_eq!(compared.contains(&topic), stands_in_a_stream, "{schema:?}");
        }
    }
}
