//! The topics, in the cluster and as recorded in the database.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kafka_io::admin::{self, TopicPlan};
use kafka_io::config::KafkaConfig;
use kafka_io::topic::Topic;
use settings::Prefix;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::migrations::connect;

/// The first life of a topic.
const FIRST_EPOCH: i32 = 1;

/// Replicas of a partition where there are as many brokers.
const MOST_REPLICAS: usize = 3;

const DEADLINE: Duration = Duration::from_secs(20);

/// Creates the topics that are missing and records how many partitions each has, by which services
/// know that keys have not moved. Those that are missing get so many `partitions`; of those that are
/// recorded the record holds.
///
/// # Errors
/// Broker or database cannot be reached; or the cluster and the record contradict each other, which
/// no deploy step can mend.
pub async fn topics(
    kafka: &KafkaConfig,
    database: &PgConnectOptions,
    prefix: &Prefix,
    partitions: i32,
) -> Result<()> {
    let names: Vec<String> = Topic::ALL.iter().map(|topic| topic.name(prefix)).collect();
    let cluster = admin::describe(kafka, &names, DEADLINE).await.context("asking the brokers")?;
    let mut owner = connect(database, &read_models::database::schema(prefix)).await?;

    let mut plans = Vec::new();
    for (topic, name) in Topic::ALL.iter().zip(&names) {
        let recorded = recorded_partitions(&mut owner, name).await?;
        let found = cluster.topics.get(name).map(|described| described.partitions);
        if must_create(name, partitions, recorded, found)? {
            plans.push(plan(*topic, name, partitions, cluster.brokers));
        }
    }
    if !plans.is_empty() {
        admin::create_topics(kafka, &plans, DEADLINE).await.context("creating the topics")?;
    }
    for name in &names {
        record(&mut owner, name, partitions).await?;
    }
    owner.close().await.context("closing the connection")
}

/// Whether a topic is to be created: `recorded` in the database and `found` in the cluster are
/// partition counts.
fn must_create(
    name: &str,
    planned: i32,
    recorded: Option<i32>,
    found: Option<i32>,
) -> Result<bool> {
    match (recorded, found) {
        (None, None) => Ok(true),
        (Some(_), None) => bail!(
            "the topic {name} was created and is gone: views that were built from it would never \
             agree with a new one; restore it, or drop the database schema with it"
        ),
        (recorded, Some(found)) => {
            let wanted = recorded.unwrap_or(planned);
            ensure!(
                found == wanted,
                "the topic {name} has {found} partitions instead of {wanted}: keys have moved"
            );
            Ok(false)
        }
    }
}

fn plan(topic: Topic, name: &str, partitions: i32, brokers: usize) -> TopicPlan {
    let config = topic.config().iter();
    TopicPlan {
        name: name.to_owned(),
        partitions,
        replication_factor: i32::try_from(brokers.clamp(1, MOST_REPLICAS)).unwrap_or(1),
        config: config.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

async fn recorded_partitions(owner: &mut PgConnection, topic: &str) -> Result<Option<i32>> {
    sqlx::query_scalar("SELECT partitions FROM topics WHERE topic = $1 ORDER BY epoch DESC LIMIT 1")
        .bind(topic)
        .fetch_optional(owner)
        .await
        .with_context(|| format!("reading the record of the topic {topic}"))
}

async fn record(owner: &mut PgConnection, topic: &str, partitions: i32) -> Result<()> {
    sqlx::query(
        "INSERT INTO topics (topic, epoch, partitions)
         SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM topics WHERE topic = $1)",
    )
    .bind(topic)
    .bind(FIRST_EPOCH)
    .bind(partitions)
    .execute(owner)
    .await
    .with_context(|| format!("recording the topic {topic}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(recorded: Option<i32>, found: Option<i32>) -> String {
        must_create("events-input", 12, recorded, found).unwrap_err().to_string()
    }

    #[test]
    fn a_topic_is_created_once() {
        assert!(must_create("events-input", 12, None, None).unwrap());
        assert!(!must_create("events-input", 12, None, Some(12)).unwrap());
        assert!(!must_create("events-input", 12, Some(12), Some(12)).unwrap());
    }

    #[test]
    fn a_grown_topic_is_refused_with_both_counts() {
        let message = "the topic events-input has 24 partitions instead of 12: keys have moved";
        assert_eq!(refusal(Some(12), Some(24)), message);
        assert_eq!(refusal(None, Some(24)), message);
    }

    #[test]
    fn a_topic_that_was_created_and_is_gone_is_not_created_again() {
        assert!(refusal(Some(12), None).contains("is gone"));
    }
}
