//! What the deploy steps recorded and whether the cluster is as they left it: learnt in the
//! background, because neither the database nor a broker need answer for the process to start.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use consistency_token::Token;
use event_schema::decode::KnownId;
use event_schema::schema::{Family, Schema};
use event_store::LogPlace;
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

use crate::database::{CONNECT_TIMEOUT, TOOL_CONNECT_TIMEOUT};
use crate::occurrence;

/// Time between attempts to learn it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for the brokers' description of themselves.
const EXAMINE_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits of the sessions that read it.
const LIMITS: SessionLimits = SessionLimits {
    idle_in_transaction: Duration::from_secs(5),
    transaction: Duration::from_secs(5),
    lock: Duration::from_secs(2),
    statement: Duration::from_secs(5),
};

/// What is needed to write events, of every family: one for each of [`Family::ALL`], in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed(Vec<DeployedFamily>);

/// What is needed to write events of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployedFamily {
    /// The topic's name in the cluster.
    pub topic: String,
    /// Which life of the topic.
    pub epoch: u32,
    /// The registry's ids of the family's schemas.
    pub schema_ids: Vec<(Schema, u32)>,
}

impl Deployed {
    /// What is said of each family.
    pub fn new(of: impl FnMut(Family) -> DeployedFamily) -> Self {
        Self(Family::ALL.map(of).into())
    }

    /// The family's part.
    pub fn of_family(&self, family: Family) -> &DeployedFamily {
        // There is one for each, by their numbers.
        &self.0[family as usize]
    }

    /// The token of a record on one of the topics.
    pub fn token(&self, topic: &str, place: LogPlace) -> Option<Token> {
        self.0.iter().find(|family| family.topic == topic)?.token(place)
    }
}

impl DeployedFamily {
    /// The registry's id of a schema; `None` where it is of another family.
    pub fn schema_id(&self, schema: Schema) -> Option<u32> {
        self.schema_ids.iter().find(|(of, _)| *of == schema).map(|(_, id)| *id)
    }

    /// What a decoder needs to know.
    pub fn known_ids(&self) -> impl Iterator<Item = KnownId> {
        self.schema_ids.iter().map(|(schema, schema_id)| KnownId {
            schema_id: *schema_id,
            record_name: schema.record_name().to_owned(),
            version: schema.version(),
        })
    }

    /// The token of a record.
    pub fn token(&self, place: LogPlace) -> Option<Token> {
        let partition = u32::try_from(place.partition).ok()?;
        let offset = u64::try_from(place.offset).ok()?;
        Some(Token::of_record(&self.topic, self.epoch, partition, offset))
    }
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
    let mut told = Told::default();
    let pool = learning.database.pool("command-api", LIMITS, 1, CONNECT_TIMEOUT);
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

/// What the deploy steps recorded, for tools: the cluster is not looked at.
///
/// # Errors
/// The database does not say it.
pub async fn recorded(database: &DatabaseConfig, prefix: &Prefix) -> Result<Deployed, String> {
    let pool = database.pool("command-api tool", LIMITS, 1, TOOL_CONNECT_TIMEOUT);
    let read = read_recorded(&pool, prefix).await.map_err(|error| with_sources(&error));
    pool.close().await;
    read.map(|(deployed, _)| deployed)
}

async fn read_recorded(
    pool: &PgPool,
    prefix: &Prefix,
) -> Result<(Deployed, Vec<(Topic, RecordedTopic)>), NotYet> {
    let schemas = deployment::schemas(pool).await.map_err(NotYet::Database)?;
    let (mut families, mut topics) = (Vec::new(), Vec::new());
    for of in Family::ALL {
        let topic = Topic::of(of);
        let (name, recorded) = recorded_topic(pool, prefix, topic).await?;
        topics.push((topic, recorded));
        families.push(family(of, (name, recorded), &schemas)?);
    }
    Ok((Deployed(families), topics))
}

async fn recorded_topic(
    pool: &PgPool,
    prefix: &Prefix,
    topic: Topic,
) -> Result<(String, RecordedTopic), NotYet> {
    let name = topic.name(prefix);
    let recorded = deployment::topic(pool, &name).await.map_err(NotYet::Database)?;
    let recorded = recorded.ok_or_else(|| NotYet::TopicNotRecorded(name.clone()))?;
    Ok((name, recorded))
}

impl Learning {
    async fn attempt(&self, pool: &PgPool) -> Result<(Deployed, Vec<Finding>), NotYet> {
        let (deployed, topics) = read_recorded(pool, &self.prefix).await?;
        let needs = self.needs(&topics);
        let findings = doctor::examine(&self.kafka, &needs, EXAMINE_TIMEOUT).await;
        Ok((deployed, findings.map_err(NotYet::Brokers)?))
    }

    fn needs(&self, topics: &[(Topic, RecordedTopic)]) -> Needs {
        let needed = |(topic, recorded): &(Topic, RecordedTopic)| {
            NeededTopic::new(*topic, &self.prefix, recorded.partitions)
        };
        Needs {
            topics: topics.iter().map(needed).collect(),
            batch_bytes: self.batch_bytes,
            largest_record_bytes: self.largest_record_bytes,
        }
    }
}

/// Every schema of the family, so that whatever is decided can be written.
fn family(
    family: Family,
    (topic, recorded): (String, RecordedTopic),
    schemas: &[RegisteredSchema],
) -> Result<DeployedFamily, NotYet> {
    let id_of = |schema: Schema| {
        let subject = schema.subject(&topic);
        let mut registered = schemas.iter();
        let found = registered.find(|s| s.subject == subject && s.version == schema.version());
        let missing = || format!("{subject} version {}", schema.version());
        let found = found.ok_or_else(|| NotYet::SchemaNotRecorded(missing()))?;
        Ok((schema, found.schema_id))
    };
    let schema_ids = family.schemas().map(id_of).collect::<Result<_, NotYet>>()?;
    let epoch = u32::try_from(recorded.epoch).unwrap_or_default();
    Ok(DeployedFamily { topic, epoch, schema_ids })
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
    use event_schema::device::WRITTEN;
    use event_schema::schema::UserSchema;

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
    fn a_family_is_found_by_its_name_and_by_its_topic() {
        let deployed = Deployed::new(|family| DeployedFamily {
            topic: Topic::of(family).name(&Prefix::default()),
            epoch: family as u32,
            schema_ids: Vec::new(),
        });
        for family in Family::ALL {
            let (of_family, place) =
                (deployed.of_family(family), LogPlace { partition: 3, offset: 9 });
            assert_eq!(of_family.epoch, family as u32);
            assert_eq!(deployed.token(&of_family.topic, place), of_family.token(place));
        }
        assert_eq!(deployed.token("events-dlq", LogPlace { partition: 3, offset: 9 }), None);
    }

    fn recorded(topic: &str) -> (String, RecordedTopic) {
        (topic.to_owned(), RecordedTopic { epoch: 3, partitions: 12 })
    }

    #[test]
    fn events_are_written_with_the_id_of_their_own_schema_version() {
        let schemas = [registered(WRITTEN.version() + 1, 9), registered(WRITTEN.version(), 7)];
        let found = family(Family::Device, recorded("acme.events-input"), &schemas).unwrap();
        assert_eq!((found.epoch, found.schema_id(WRITTEN)), (3, Some(7)));
        assert_eq!(found.schema_id(Schema::User(UserSchema::ErasedV1)), None);
    }

    #[test]
    fn a_schema_that_was_not_registered_is_named() {
        let schemas = [registered(1, 7)];
        let error = family(Family::Device, recorded("events-input"), &schemas).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the schema events-input-millrace.device.DeviceEventReported version 1 is not recorded; run the deploy steps"
        );
    }
}
