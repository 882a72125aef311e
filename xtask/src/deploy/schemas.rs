//! The event schemas, in the registry and by id in the database.

use anyhow::{Context, Result, bail};
use event_schema::registry::RegistryConfig;
use event_schema::schema::Schema;
use kafka_io::topic::Topic;
use read_models::deployment::RegisteredSchema;
use settings::Prefix;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::migrations::connect;
use super::registry::Registry;

/// Registers every schema version on its topic and records the ids, which services read at start.
///
/// # Errors
/// The registry or the database cannot be reached, the registry refuses a schema, or it gives a
/// schema another id than the one under which records stand in the log.
pub async fn schemas(
    config: &RegistryConfig,
    database: &PgConnectOptions,
    prefix: &Prefix,
) -> Result<()> {
    let registry = Registry::new(config)?;
    let mut owner = connect(database, &read_models::database::schema(prefix)).await?;
    for schema in Schema::ALL {
        let subject = schema.subject(&Topic::of(schema.family()).name(prefix));
        let schema_id = registry
            .register(&subject, schema.text())
            .await
            .with_context(|| format!("registering version {} of {subject}", schema.version()))?;
        let (record_name, version) = (schema.record_name().to_owned(), schema.version());
        record(&mut owner, &RegisteredSchema { subject, record_name, version, schema_id }).await?;
    }
    owner.close().await.context("closing the connection")
}

async fn record(owner: &mut PgConnection, schema: &RegisteredSchema) -> Result<()> {
    let RegisteredSchema { subject, record_name, version, schema_id } = schema;
    let recorded: i32 = sqlx::query_scalar(
        "INSERT INTO schema_ids (subject, record_name, version, schema_id) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subject, version) DO UPDATE SET schema_id = schema_ids.schema_id
         RETURNING schema_id",
    )
    .bind(subject)
    .bind(record_name)
    .bind(version)
    .bind(schema_id.cast_signed())
    .fetch_one(owner)
    .await
    .with_context(|| format!("recording the id of {subject}"))?;
    if recorded != schema_id.cast_signed() {
        bail!(
            "the registry gives version {version} of {subject} the id {schema_id}, but records in the \
             log carry {recorded}: this is another registry, or it has lost its store"
        );
    }
    Ok(())
}
