//! What the deploy steps recorded and whether the cluster is as they left it: learnt in the
//! background, because neither the database nor a broker need answer for the process to start.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use event_schema::device::WRITTEN;
use kafka_io::admin::AdminError;
use kafka_io::config::KafkaConfig;
use kafka_io::doctor::{self, Finding, FindingKind, NeededTopic, Needs};
use kafka_io::topic::Topic;
use lifecycle::Component;
use read_models::database::{DatabaseConfig, SessionLimits};
use read_models::deployment::{self, RecordedTopic, RegisteredSchema};
use settings::Prefix;
use sqlx::PgPool;
use tokio::time::sleep;

use crate::occurrence;

/// Time between attempts to learn it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for a connection to the database.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for the brokers' description of themselves.
const EXAMINE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is needed to write device events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The topic's name in the cluster.
    pub topic: String,
    /// Which life of the topic.
    pub epoch: u32,
    /// The registry's id of the schema that events are written in.
    pub schema_id: u32,
}

/// Where [`Deployed`] stands once it is known. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Known(Arc<OnceLock<Deployed>>);

impl Known {
    /// Known already.
    pub fn new(deployed: Deployed) -> Self {
        Self(Arc::new(OnceLock::from(deployed)))
    }

    /// What is known, if it is.
    pub fn get(&self) -> Option<&Deployed> {
        self.0.get()
    }
}

/// How to learn it.
#[derive(Clone)]
pub(crate) struct Learning {
    pub(crate) database: DatabaseConfig,
    pub(crate) kafka: KafkaConfig,
    pub(crate) prefix: Prefix,
    pub(crate) batch_bytes: u64,
    pub(crate) largest_record_bytes: u64,
}

/// Why it is not known yet; each heals by waiting or by a deploy step.
#[derive(Debug, thiserror::Error)]
enum NotYet {
    #[error("the database cannot be asked what was deployed")]
    Database(#[source] sqlx::Error),
    #[error("the topic {0} is not recorded; run the deploy steps")]
    TopicNotRecorded(String),
    #[error("the schema {0} is not recorded; run the deploy steps")]
    SchemaNotRecorded(String),
    #[error("the brokers cannot be asked what they hold")]
    Brokers(#[source] AdminError),
}

/// Learns it, for as long as that takes, and says so in `component`. A cluster that is not as it
/// must be is no fault that waiting heals: every finding is logged and the component ends, and with
/// it the process.
pub(crate) async fn learn(learning: Learning, known: Known, component: Component) {
    let limits = SessionLimits {
        idle_in_transaction: Duration::from_secs(5),
        transaction: Duration::from_secs(5),
        lock: Duration::from_secs(2),
        statement: Duration::from_secs(5),
    };
    let mut told = Told::default();
    let pool = learning.database.pool("command-api", limits, 1, CONNECT_TIMEOUT);
    loop {
        match learning.attempt(&pool).await {
            Ok((deployed, findings)) => {
                if report(&findings) {
                    return;
                }
                let _ = known.0.set(deployed);
                component.ready();
                break;
            }
            Err(not_yet) => told.tell(&not_yet, &component),
        }
        sleep(INTERVAL).await;
    }
    pool.close().await;
    // Held for the rest of the process: a component that is dropped has died.
    std::future::pending::<()>().await;
    drop(component);
}

/// What was logged last of an attempt that failed.
#[derive(Default)]
struct Told(String);

impl Told {
    /// Gives the component's health the sentence alone, for everybody may read it; what caused it
    /// names addresses and goes to the log, when it changes.
    fn tell(&mut self, not_yet: &NotYet, component: &Component) {
        component.not_ready(not_yet.to_string());
        let whole = with_sources(not_yet);
        if self.0 != whole {
            tracing::warn!(
                error = not_yet as &(dyn Error + 'static),
                "what was deployed is not known yet"
            );
            self.0 = whole;
        }
    }
}

impl Learning {
    async fn attempt(&self, pool: &PgPool) -> Result<(Deployed, Vec<Finding>), NotYet> {
        let name = Topic::EventsInput.name(&self.prefix);
        let topic = deployment::topic(pool, &name).await.map_err(NotYet::Database)?;
        let topic = topic.ok_or_else(|| NotYet::TopicNotRecorded(name.clone()))?;
        let schemas = deployment::schemas(pool).await.map_err(NotYet::Database)?;
        let deployed = deployed(name, topic, &schemas)?;
        let needs = self.needs(topic);
        let findings = doctor::examine(&self.kafka, &needs, EXAMINE_TIMEOUT).await;
        Ok((deployed, findings.map_err(NotYet::Brokers)?))
    }

    fn needs(&self, topic: RecordedTopic) -> Needs {
        Needs {
            topics: vec![NeededTopic::new(Topic::EventsInput, &self.prefix, topic.partitions)],
            batch_bytes: self.batch_bytes,
            largest_record_bytes: self.largest_record_bytes,
        }
    }
}

fn deployed(
    topic: String,
    recorded: RecordedTopic,
    schemas: &[RegisteredSchema],
) -> Result<Deployed, NotYet> {
    let subject = WRITTEN.subject(&topic);
    let schema = schemas.iter().find(|s| s.subject == subject && s.version == WRITTEN.version());
    let Some(schema) = schema else {
        return Err(NotYet::SchemaNotRecorded(format!("{subject} version {}", WRITTEN.version())));
    };
    let epoch = u32::try_from(recorded.epoch).unwrap_or_default();
    Ok(Deployed { topic, epoch, schema_id: schema.schema_id })
}

/// Logs the findings; true where one forbids to write.
fn report(findings: &[Finding]) -> bool {
    for finding in findings {
        occurrence::finding(finding, is_definite(finding.kind));
    }
    findings.iter().any(|finding| is_definite(finding.kind))
}

/// Whether events would be lost or misplaced. Not so where we may not ask, or where only others'
/// mistakes would have an effect.
fn is_definite(kind: FindingKind) -> bool {
    match kind {
        FindingKind::SettingsUnreadable | FindingKind::AutoCreateTopics => false,
        FindingKind::TopicMissing
        | FindingKind::PartitionCount
        | FindingKind::TimestampType
        | FindingKind::CleanupPolicy
        | FindingKind::Retention
        | FindingKind::MaxMessageBytes
        | FindingKind::MinInsyncReplicas
        | FindingKind::ReplicationFactor
        | FindingKind::UncleanLeaderElection => true,
    }
}

fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_tells_what_is_missing_and_no_address() {
        let health = lifecycle::Health::new();
        let component = health.component("deployment");
        let refused = std::io::Error::other("connection to 10.0.0.7:5432 refused");
        Told::default().tell(&NotYet::Database(sqlx::Error::Io(refused)), &component);
        let database = "the database cannot be asked what was deployed";
        assert_eq!(health.report().faults["deployment"], database);
        let silent = NotYet::Brokers(AdminError::Unreachable { source: None });
        Told::default().tell(&silent, &component);
        let brokers = "the brokers cannot be asked what they hold";
        assert_eq!(health.report().faults["deployment"], brokers);
    }

    fn registered(version: i32, schema_id: u32) -> RegisteredSchema {
        let subject = "acme.events-input-millrace.device.DeviceEventReported".to_owned();
        RegisteredSchema {
            subject,
            record_name: WRITTEN.record_name().to_owned(),
            version,
            schema_id,
        }
    }

    #[test]
    fn events_are_written_with_the_id_of_their_own_schema_version() {
        let schemas = [registered(WRITTEN.version() + 1, 9), registered(WRITTEN.version(), 7)];
        let recorded = RecordedTopic { epoch: 3, partitions: 12 };
        let found = deployed("acme.events-input".into(), recorded, &schemas).unwrap();
        let topic = "acme.events-input".to_owned();
        assert_eq!(found, Deployed { topic, epoch: 3, schema_id: 7 });
    }

    #[test]
    fn a_schema_that_was_not_registered_is_named() {
        let recorded = RecordedTopic { epoch: 0, partitions: 12 };
        let error = deployed("events-input".into(), recorded, &[registered(1, 7)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the schema events-input-millrace.device.DeviceEventReported version 1 is not recorded; run the deploy steps"
        );
    }
}
