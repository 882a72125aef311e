//! What is done to topics by an operator who should not.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use kafka_io::admin::{self, TopicPlan};
use kafka_io::config::KafkaConfig;
use kafka_io::topic::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::{Log, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

impl Log {
    /// Deletes the topic and waits until the cluster has forgotten it.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn delete(&self) -> Result<()> {
        delete_topics(&self.brokers, &[&self.topic]).await
    }

    /// Creates the topic as a deploy step would, or with another number of partitions.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn create(&self, partitions: i32) -> Result<()> {
        let settings = Topic::EventsInput.config().iter();
        let plan = TopicPlan {
            name: self.topic.clone(),
            partitions,
            replication_factor: 1,
            config: settings.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let config = KafkaConfig::plaintext(&self.brokers, "tests");
        // A deletion under way lets go of the name a little later.
        eventually("the topic is created", async || {
            admin::create_topics(&config, std::slice::from_ref(&plan), PATIENCE).await?;
            ensure!(
                self.ends().await?.len() == plan.partitions.unsigned_abs() as usize,
                "not seen yet"
            );
            Ok(())
        })
        .await
    }

    /// Adds partitions until there are `partitions`.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn grow(&self, partitions: usize) -> Result<()> {
        let client = admin_client(&self.brokers)?;
        let plan = NewPartitions::new(&self.topic, partitions);
        let results = client.create_partitions([&plan], &options()).await?;
        refused(results)?;
        eventually("the partitions are there", async || {
            let found = self.ends().await?.len();
            ensure!(found == partitions, "there are {found}");
            Ok(())
        })
        .await
    }

    /// Lets the writer's clock decide the log's times, for tests of what happens after days.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn take_writers_times(&self) -> Result<()> {
        let mut settings = AlterConfig::new(ResourceSpecifier::Topic(&self.topic));
        for (name, value) in Topic::EventsInput.config() {
            settings = settings.set(name, value);
        }
        let settings = settings.set("message.timestamp.type", "CreateTime");
        let results = admin_client(&self.brokers)?.alter_configs([&settings], &options()).await?;
        for result in results {
            if let Err((_, code)) = result {
                bail!("the cluster refuses: {code}");
            }
        }
        Ok(())
    }

    /// Deletes the records below an offset of a partition.
    ///
    /// # Errors
    /// The cluster refuses.
    pub async fn cut_below(&self, partition: i32, offset: i64) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        let cut = admin_client(&self.brokers)?.delete_records(&list, &options()).await?;
        cut.elements().iter().try_for_each(|element| element.error()).context("cutting the log")
    }
}

/// Deletes topics; those that are not there are none to delete.
pub(crate) async fn delete_topics(brokers: &str, topics: &[&str]) -> Result<()> {
    let results = admin_client(brokers)?.delete_topics(topics, &options()).await?;
    let results = results
        .into_iter()
        .filter(|result| !matches!(result, Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))));
    refused(results)
}

fn refused(
    results: impl IntoIterator<Item = Result<String, (String, RDKafkaErrorCode)>>,
) -> Result<()> {
    for result in results {
        if let Err((topic, code)) = result {
            bail!("the cluster refuses {topic}: {code}");
        }
    }
    Ok(())
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

fn admin_client(brokers: &str) -> Result<AdminClient<DefaultClientContext>> {
    ClientConfig::new().set("bootstrap.servers", brokers).create().context("making an admin client")
}
