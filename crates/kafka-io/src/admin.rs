//! What is done to a cluster by a deploy step, and what is asked of it: topics created, cluster
//! described.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResourceResult, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::config::KafkaConfig;

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// The name in the cluster.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many brokers hold each partition.
    pub replication_factor: i32,
    /// Settings of the topic.
    pub config: Vec<(String, String)>,
}

/// What became of a [`TopicPlan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The topic is new.
    Created,
    /// A topic of that name was there; whether it is as planned is the doctor's question.
    Existed,
}

/// A cluster as described by its brokers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// How many brokers are up.
    pub brokers: usize,
    /// Whether a misspelt name becomes a topic; `None` where we may not ask.
    pub auto_create_topics: Option<bool>,
    /// The topics asked for that exist, by name.
    pub topics: BTreeMap<String, DescribedTopic>,
}

/// A topic as described by its brokers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribedTopic {
    /// How many partitions.
    pub partitions: i32,
    /// The smallest number of brokers that are to hold a partition.
    pub replication_factor: i32,
    /// Settings in effect; `None` where we may not ask.
    pub config: Option<BTreeMap<String, String>>,
}

/// Why the cluster was not asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No broker answered before the deadline; waiting may help.
    #[error("no broker answered in time; see {}", settings::table::KAFKA_BROKERS.name)]
    Unreachable {
        /// What the client says of it, if it does.
        #[source]
        source: Option<KafkaError>,
    },
    /// The client does not take its settings.
    #[error("the Kafka client could not be created; check the KAFKA settings")]
    Client(#[source] KafkaError),
    /// The cluster refused to create a topic.
    #[error("the topic {topic} was not created")]
    NotCreated {
        /// The topic.
        topic: String,
        /// The brokers' reason.
        #[source]
        source: RDKafkaErrorCode,
    },
}

/// Creates the topics that are missing and says of each whether it was. All that the cluster takes
/// are created before the first refusal is returned.
pub async fn create_topics(
    config: &KafkaConfig,
    plans: &[TopicPlan],
    deadline: Duration,
) -> Result<Vec<Creation>, AdminError> {
    let session = Session::open(config, deadline)?;
    let topics: Vec<NewTopic<'_>> = plans.iter().map(new_topic).collect();
    let options = session.options().operation_timeout(Some(deadline));
    let created = session.client.create_topics(&topics, &options);
    let results = session.before_deadline(created).await?;
    plans.iter().zip(results).map(|(plan, result)| creation(plan, result)).collect()
}

/// Describes the cluster, and of its topics those named.
pub async fn describe(
    config: &KafkaConfig,
    topics: &[String],
    deadline: Duration,
) -> Result<Cluster, AdminError> {
    let session = Session::open(config, deadline)?;
    let metadata = session.metadata().await?;
    let mut cluster = shape(&metadata, topics);
    let first_broker = metadata.brokers().first().map(rdkafka::metadata::MetadataBroker::id);
    for (name, topic) in &mut cluster.topics {
        topic.config = session.settings(ResourceSpecifier::Topic(name)).await?;
    }
    if let Some(id) = first_broker {
        let settings = session.settings(ResourceSpecifier::Broker(id)).await?;
        cluster.auto_create_topics = settings
            .and_then(|settings| settings.get("auto.create.topics.enable").map(|on| on == "true"));
    }
    Ok(cluster)
}

/// One conversation with the cluster, until a deadline.
struct Session {
    client: Arc<AdminClient<Context>>,
    until: Instant,
}

struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::client_log::emit(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, reason, "the Kafka admin client reports an error");
    }
}

impl Session {
    fn open(config: &KafkaConfig, deadline: Duration) -> Result<Self, AdminError> {
        let client = AdminClient::from_config_and_context(&config.client(), Context)
            .map_err(AdminError::Client)?;
        let until = Instant::now() + deadline;
        Ok(Self { client: Arc::new(client), until })
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn options(&self) -> AdminOptions {
        // The client takes no time-out of zero, so the last question of a late session has one.
        AdminOptions::new().request_timeout(Some(self.left().max(Duration::from_millis(1))))
    }

    /// Brokers and topics. All topics are asked for: asking for one by name may create it.
    async fn metadata(&self) -> Result<Metadata, AdminError> {
        let (client, left) = (Arc::clone(&self.client), self.left());
        let asked = spawn_blocking(move || client.inner().fetch_metadata(None, left)).await;
        asked.unwrap_or(Err(KafkaError::Canceled)).map_err(|error| unreachable(Some(error)))
    }

    /// Settings in effect, or `None` where we may not ask.
    async fn settings(
        &self,
        of: ResourceSpecifier<'_>,
    ) -> Result<Option<BTreeMap<String, String>>, AdminError> {
        let asked = self.client.describe_configs([&of], &self.options());
        let results = self.before_deadline(asked).await?;
        Ok(results.into_iter().next().and_then(entries))
    }

    async fn before_deadline<T>(
        &self,
        asked: impl Future<Output = Result<T, KafkaError>>,
    ) -> Result<T, AdminError> {
        match tokio::time::timeout_at(self.until, asked).await {
            Ok(answer) => answer.map_err(|error| unreachable(Some(error))),
            Err(_) => Err(unreachable(None)),
        }
    }
}

fn unreachable(source: Option<KafkaError>) -> AdminError {
    AdminError::Unreachable { source }
}

fn new_topic(plan: &TopicPlan) -> NewTopic<'_> {
    let replication = TopicReplication::Fixed(plan.replication_factor);
    plan.config
        .iter()
        .fold(NewTopic::new(&plan.name, plan.partitions, replication), |topic, (name, value)| {
            topic.set(name, value)
        })
}

fn creation(
    plan: &TopicPlan,
    result: Result<String, (String, RDKafkaErrorCode)>,
) -> Result<Creation, AdminError> {
    match result {
        Ok(_) => Ok(Creation::Created),
        Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(Creation::Existed),
        Err((_, source)) => Err(AdminError::NotCreated { topic: plan.name.clone(), source }),
    }
}

fn shape(metadata: &Metadata, names: &[String]) -> Cluster {
    let topics = metadata
        .topics()
        .iter()
        .filter(|topic| names.iter().any(|name| name == topic.name()))
        .map(|topic| {
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len());
            let described = DescribedTopic {
                partitions: count(topic.partitions().len()),
                replication_factor: count(replicas.min().unwrap_or(0)),
                config: None,
            };
            (topic.name().to_owned(), described)
        })
        .collect();
    Cluster { brokers: metadata.brokers().len(), auto_create_topics: None, topics }
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn entries(result: ConfigResourceResult) -> Option<BTreeMap<String, String>> {
    let resource = result.ok()?;
    Some(
        resource
            .entries
            .into_iter()
            .filter_map(|entry| entry.value.map(|value| (entry.name, value)))
            .collect(),
    )
}
