//! What is deployed to, by the settings that the processes read too.

use std::str::FromStr as _;

use anyhow::{Context, Result};
use event_schema::registry::RegistryConfig;
use kafka_io::config::KafkaConfig;
use kafka_io::topic::Topic;
use read_models::database::DatabaseConfig;
use settings::{Prefix, Settings, table};
use sqlx::postgres::PgConnectOptions;

/// A database, a cluster and a registry.
pub struct Target {
    /// The database, as its owner.
    pub database: PgConnectOptions,
    /// The brokers, and how they know us.
    pub kafka: KafkaConfig,
    /// The registry, and how it knows us.
    pub registry: RegistryConfig,
    /// The deployment's prefix.
    pub prefix: Prefix,
    /// Partitions of topics that are missing.
    pub partitions: i32,
}

impl Target {
    /// The one that the environment names.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// The one that these variables name.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut settings = Settings::new(variables);
        let prefix = Prefix::from_settings(&mut settings);
        let mut kafka = KafkaConfig::from_settings(&mut settings);
        kafka.client_id = CLIENT.to_owned();
        let target = Self {
            database: DatabaseConfig::from_settings(&mut settings, &prefix).connect,
            kafka,
            registry: RegistryConfig::from_settings(&mut settings),
            prefix,
            partitions: i32::try_from(settings.number(&table::TOPIC_PARTITIONS)).unwrap_or(1),
        };
        settings.finish(target).context("the settings of the deployment are wrong")
    }

    /// One whose brokers and registry ask for no name.
    ///
    /// # Errors
    /// The URL of the database is none.
    pub fn open(
        database_url: &str,
        brokers: &str,
        registry_url: &str,
        prefix: &Prefix,
    ) -> Result<Self> {
        Ok(Self {
            database: PgConnectOptions::from_str(database_url).context("reading a database URL")?,
            kafka: KafkaConfig::plaintext(brokers, CLIENT),
            registry: RegistryConfig::open(registry_url),
            prefix: prefix.clone(),
            partitions: Topic::PARTITIONS,
        })
    }

    /// Runs all deploy steps.
    ///
    /// # Errors
    /// A step fails; those before it are done.
    pub async fn deploy(&self) -> Result<()> {
        let Self { database, kafka, registry, prefix, partitions } = self;
        super::migrate(database, prefix).await?;
        super::topics(kafka, database, prefix, *partitions).await?;
        super::schemas(registry, database, prefix).await
    }
}

/// What the brokers' logs call a deploy step.
const CLIENT: &str = "deploy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_named_at_once() {
        let variables = [("MILLRACE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let error = format!("{:#}", Target::from_variables(variables).err().unwrap());
        for name in ["DATABASE_URL", "MILLRACE_KAFKA_SASL_USERNAME"] {
            assert!(error.contains(name), "{error}");
        }
    }
}
