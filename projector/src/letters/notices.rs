//! Copies of parked letters on `events-dlq`, for people and tools.
//!
//! A notice is written in the transaction that parks its letter and marked once the broker has the
//! copy. It is locked while it is published, so of several processes one publishes it. The copy is
//! sent again only where its outcome stayed unknown or the process died between the acknowledgement
//! and the mark: `dlq_id` tells such copies apart.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use kafka_io::config::ProducerConfig;
use kafka_io::header::OwnedHeader;
use kafka_io::producer::{Delivered, Producer, RawRecord, Refusal, SendError};
use read_models::database::{DatabaseConfig, SessionLimits};
use sqlx::{FromRow, PgConnection, PgPool};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::occurrence::NoticePublished;
use crate::runner::Scope;

/// How often notices are looked for.
const EVERY: Duration = Duration::from_millis(500);

/// What publishing needs.
pub(crate) struct Notices {
    pub(crate) scope: Arc<Scope>,
    pub(crate) database: DatabaseConfig,
    pub(crate) producer: ProducerConfig,
    pub(crate) topic: String,
}

/// A letter as its copy tells of it.
#[derive(FromRow)]
struct Copy {
    id: Uuid,
    projection: String,
    topic: String,
    partition: i32,
    log_offset: i64,
    log_time: DateTime<Utc>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    header_names: Vec<String>,
    header_values: Vec<Option<Vec<u8>>>,
    error_class: String,
    error_code: String,
    error_message: String,
    attempts: i32,
    first_failed_at: DateTime<Utc>,
}

/// Why a notice stays unpublished for now.
#[derive(Debug, thiserror::Error)]
enum NoticeError {
    #[error("the database")]
    Database(#[from] sqlx::Error),
    #[error("the log")]
    Log(#[from] SendError),
}

impl Notices {
    /// Publishes until it is aborted. The client of the log is made for the first notice.
    pub(crate) async fn publish(self) {
        let limits = SessionLimits {
            idle_in_transaction: self.producer.message_timeout + Duration::from_secs(5),
            transaction: self.producer.message_timeout + Duration::from_secs(10),
            lock: Duration::from_secs(2),
            statement: Duration::from_secs(5),
        };
        let pool = self.database.pool("projector-notices", limits, 1, Duration::from_secs(2));
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut producer = None;
        loop {
            tick.tick().await;
            loop {
                match self.publish_one(&pool, &mut producer).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "a letter's copy is published later"
                        );
                        break;
                    }
                }
            }
        }
    }

    /// Publishes the oldest notice that nobody else is publishing; whether there was one.
    async fn publish_one(
        &self,
        pool: &PgPool,
        producer: &mut Option<Producer>,
    ) -> Result<bool, NoticeError> {
        let mut transaction = pool.begin().await?;
        let Some(copy) = self.next(&mut transaction).await? else { return Ok(false) };
        let producer = match producer {
            Some(producer) => producer,
            None => match Producer::start(&self.producer, |_| {}) {
                Ok(started) => producer.insert(started),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "copies of letters cannot be published"
                    );
                    return Ok(false);
                }
            },
        };
        match self.send(producer, &copy).await {
            Ok(delivered) => {
                mark(&mut transaction, copy.id, Some(delivered)).await?;
                transaction.commit().await?;
                NoticePublished { projection: self.scope.projection, letter: copy.id }.emit();
            }
            Err(SendError::Refused(Refusal::TooLarge)) => {
                tracing::error!(letter.id = %copy.id, "a letter is too large for a copy; the table has it");
                mark(&mut transaction, copy.id, None).await?;
                transaction.commit().await?;
            }
            // The log takes nothing now, whoever asks.
            Err(error @ SendError::Refused(_)) => return Err(error.into()),
            Err(error @ SendError::Unknown(_)) => {
                tracing::warn!(letter.id = %copy.id, error = &error as &dyn std::error::Error, "a letter's copy is sent again later");
                put_off(&mut transaction, copy.id).await?;
                transaction.commit().await?;
            }
        }
        Ok(true)
    }

    async fn next(&self, connection: &mut PgConnection) -> Result<Option<Copy>, sqlx::Error> {
        sqlx::query_as(
            "SELECT l.id, l.projection, l.topic, l.partition, l.log_offset, l.log_time, l.key,
                    l.value, l.header_names, l.header_values, l.error_class, l.error_code,
                    l.error_message, l.attempts, l.first_failed_at
             FROM letter_notices n JOIN letters l ON l.id = n.letter_id
             WHERE n.published_at IS NULL AND n.next_try_at <= now() AND l.projection = $1
             ORDER BY n.next_try_at LIMIT 1 FOR UPDATE OF n SKIP LOCKED",
        )
        .bind(self.scope.projection)
        .fetch_optional(connection)
        .await
    }

    async fn send(&self, producer: &Producer, copy: &Copy) -> Result<Delivered, SendError> {
        let headers = copy.headers();
        let record = RawRecord {
            topic: &self.topic,
            partition: copy.partition,
            key: copy.key.as_deref(),
            value: copy.value.as_deref(),
            headers: &headers,
        };
        producer.send_raw(record).await
    }
}

impl Copy {
    /// The record's own headers, untouched, behind those that tell what happened to it.
    fn headers(&self) -> Vec<OwnedHeader> {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
        let ours = [
            ("dlq_id", self.id.to_string()),
            ("dlq_projection", self.projection.clone()),
            ("dlq_topic", self.topic.clone()),
            ("dlq_partition", self.partition.to_string()),
            ("dlq_offset", self.log_offset.to_string()),
            ("dlq_timestamp", time(self.log_time)),
            ("dlq_error_class", self.error_class.clone()),
            ("dlq_error_message", format!("{}: {}", self.error_code, self.error_message)),
            ("dlq_attempts", self.attempts.to_string()),
            ("dlq_first_failed_at", time(self.first_failed_at)),
        ];
        let own = self.header_names.iter().cloned().zip(self.header_values.iter().cloned());
        let ours = ours.map(|(name, value)| (name.to_owned(), Some(value.into_bytes())));
        ours.into_iter().chain(own).collect()
    }
}

async fn mark(
    connection: &mut PgConnection,
    letter: Uuid,
    delivered: Option<Delivered>,
) -> Result<(), sqlx::Error> {
    let offset = delivered.and_then(|delivered| delivered.offset);
    sqlx::query(
        "UPDATE letter_notices
         SET published_at = now(), published_partition = $2, published_offset = $3
         WHERE letter_id = $1",
    )
    .bind(letter)
    .bind(delivered.map(|delivered| delivered.partition))
    .bind(offset.and_then(|offset| i64::try_from(offset).ok()))
    .execute(connection)
    .await
    .map(drop)
}

/// Lets the others go before a copy whose outcome is not known, longer each time.
async fn put_off(connection: &mut PgConnection, letter: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE letter_notices
         SET attempts = attempts + 1,
             next_try_at = now() + least(2 ^ attempts, 300) * interval '1 second'
         WHERE letter_id = $1",
    )
    .bind(letter)
    .execute(connection)
    .await
    .map(drop)
}
