//! What the deploy steps recorded: topics as created and the ids of our schemas.

use sqlx::PgPool;

/// A schema version as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// `<topic>-<record name>`.
    pub subject: String,
    /// The record's full name.
    pub record_name: String,
    /// Our version number, from the file's name.
    pub version: i32,
    /// The registry's id, which every record on the topic carries.
    pub schema_id: u32,
}

/// A topic as it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedTopic {
    /// Which life of the topic: raised when it is replaced by one with more partitions.
    pub epoch: i32,
    /// Partitions it was created with.
    pub partitions: i32,
}

/// The registered schemas of every topic.
pub async fn schemas(pool: &PgPool) -> Result<Vec<RegisteredSchema>, sqlx::Error> {
    let rows: Vec<(String, String, i32, i32)> = sqlx::query_as(
        "SELECT subject, record_name, version, schema_id FROM schema_ids ORDER BY subject, version",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(subject, record_name, version, id)| RegisteredSchema {
            subject,
            record_name,
            version,
            schema_id: id.cast_unsigned(),
        })
        .collect())
}

/// The newest epoch of a topic, or `None` where the deploy step has not run.
pub async fn topic(pool: &PgPool, topic: &str) -> Result<Option<RecordedTopic>, sqlx::Error> {
    let row: Option<(i32, i32)> = sqlx::query_as(
        "SELECT epoch, partitions FROM topics WHERE topic = $1 ORDER BY epoch DESC LIMIT 1",
    )
    .bind(topic)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(epoch, partitions)| RecordedTopic { epoch, partitions }))
}
