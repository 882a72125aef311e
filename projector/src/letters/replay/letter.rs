//! A stored letter, and the locks under which it is replayed.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use event_schema::decode::{DecodeError, Decoder};
use read_models::recorded::{LogPosition, RecordPlace, Recorded};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{AT_ONCE, By};
use crate::letters::LetterState;
use crate::runner::sequence::Link;
use crate::runner::{self, Event, Failure, FailureClass, Order, Scope, event_of};

/// Where a letter belongs.
#[derive(Debug, FromRow)]
pub(super) struct Place {
    pub(super) id: Uuid,
    pub(super) projection: String,
    generation: i32,
    topic: String,
    epoch: i32,
    partition: i32,
    log_offset: i64,
    log_time: DateTime<Utc>,
    pub(super) stream_id: Option<String>,
    /// Of the topic, as recorded; 0 where it is not.
    partitions: i32,
}

impl Place {
    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    /// Where the record stands among the topic's partitions.
    pub(super) fn among(&self) -> runner::Place {
        let partitions = u32::try_from(self.partitions).unwrap_or_default();
        runner::Place { partition: self.partition, partitions }
    }

    pub(super) fn record(&self) -> RecordPlace {
        RecordPlace {
            partition: self.partition,
            position: LogPosition { epoch: self.epoch, offset: self.log_offset },
            log_time: Timestamp(self.log_time.timestamp_micros()),
        }
    }

    pub(super) fn scope(&self, projection: &'static str) -> Scope {
        Scope {
            projection,
            generation: self.generation,
            topic: self.topic.clone(),
            epoch: self.epoch,
            owner: String::new(),
        }
    }
}

/// A letter, locked.
#[derive(Debug, FromRow)]
pub(super) struct Stored {
    pub(super) id: Uuid,
    pub(super) state: String,
    pub(super) attempts: i32,
    epoch: i32,
    partition: i32,
    log_offset: i64,
    log_time: DateTime<Utc>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    is_due: bool,
    /// Its event's place in its stream, where it was known when the letter was written.
    stream_version: Option<i64>,
}

impl Stored {
    pub(super) fn offset(&self) -> i64 {
        self.log_offset
    }

    /// Whether its event's place in its stream is still to be written down.
    pub(super) fn lacks_version(&self) -> bool {
        self.stream_version.is_none()
    }

    /// Whether something is still to be done about it.
    pub(super) fn is_open(&self) -> bool {
        LetterState::find(&self.state).is_some_and(LetterState::is_open)
    }

    /// Why it is not tried now.
    pub(super) fn leave_alone(&self, by: By<'_>) -> Option<&'static str> {
        let is_early = matches!(by, By::Schedule) && self.state == "retrying" && !self.is_due;
        if !self.is_open() {
            Some("it is settled")
        } else if is_early {
            Some("its time has not come")
        } else {
            None
        }
    }

    /// The event, as today's code reads it.
    pub(super) fn decode<E: Event>(
        &self,
        decoder: &Decoder<E>,
        place: runner::Place,
    ) -> Result<Recorded<E>, Failure> {
        let event = event_of(decoder, self.key.as_deref(), self.value.as_deref(), place);
        let event = event.map_err(|error| match error.value() {
            Some(DecodeError::NewerVersion { .. }) => Failure {
                class: FailureClass::DeployFault,
                code: error.kind().to_owned(),
                message: error.to_string(),
            },
            _ => error.failure(),
        })?;
        Ok(Recorded {
            event,
            partition: self.partition,
            position: LogPosition { epoch: self.epoch, offset: self.log_offset },
            log_time: Timestamp(self.log_time.timestamp_micros()),
        })
    }
}

pub(super) async fn place(
    connection: &mut PgConnection,
    letter: Uuid,
) -> Result<Option<Place>, sqlx::Error> {
    sqlx::query_as(
        "SELECT l.id, l.projection, l.generation, l.topic, l.epoch, l.partition, l.log_offset,
                l.log_time, l.stream_id, coalesce(t.partitions, 0) AS partitions
         FROM letters l LEFT JOIN topics t USING (topic, epoch) WHERE l.id = $1",
    )
    .bind(letter)
    .fetch_optional(connection)
    .await
}

/// Values of the letter and of those that would be replayed with it.
pub(super) async fn values(
    connection: &mut PgConnection,
    place: &Place,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT l.value FROM letters l
         WHERE l.value IS NOT NULL AND (l.id = $1 OR (
             l.settled_at IS NULL AND l.projection = $2 AND l.generation = $3 AND l.topic = $4
             AND l.epoch = $5 AND l.partition = $6 AND l.stream_id = $7
             AND EXISTS (SELECT FROM parked_keys k
                         WHERE k.projection = l.projection AND k.generation = l.generation
                           AND k.topic = l.topic AND k.epoch = l.epoch
                           AND k.partition = l.partition AND k.stream_id = l.stream_id)))
         ORDER BY coalesce(l.stream_version, 0), l.log_offset LIMIT $8",
    )
    .bind(place.id)
    .bind(&place.projection)
    .bind(place.generation)
    .bind(&place.topic)
    .bind(place.epoch)
    .bind(place.partition)
    .bind(&place.stream_id)
    .bind(AT_ONCE)
    .fetch_all(connection)
    .await
}

/// Locks what is replayed: the position and the stream first where order is kept, then letters in the
/// order of their [turns](crate::runner::sequence::turn).
pub(super) async fn lock(
    connection: &mut PgConnection,
    scope: &Scope,
    place: &Place,
    order: Order,
) -> Result<Vec<Stored>, sqlx::Error> {
    if order == Order::Sequenced && lock_stream(&mut *connection, scope, place).await? {
        return lock_letters(connection, scope, place).await;
    }
    sqlx::query_as(
        "SELECT id, state, attempts, epoch, partition, log_offset, log_time, key, value,
                coalesce(next_try_at <= now(), false) AS is_due, stream_version
         FROM letters WHERE id = $1 FOR UPDATE",
    )
    .bind(place.id)
    .fetch_all(connection)
    .await
}

/// The letter, locked, if its time has come.
pub(super) async fn due(
    connection: &mut PgConnection,
    letter: Uuid,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, state, attempts, epoch, partition, log_offset, log_time, key, value,
                true AS is_due, stream_version
         FROM letters WHERE id = $1 AND state = 'retrying' AND next_try_at <= now() FOR UPDATE",
    )
    .bind(letter)
    .fetch_optional(connection)
    .await
}

/// Writes down the place of a letter's event in its stream, which was not known when the letter was
/// written.
pub(super) async fn number(
    connection: &mut PgConnection,
    letter: Uuid,
    link: &Link,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE letters SET stream_version = $2, event_id = $3, previous_id = $4 WHERE id = $1",
    )
    .bind(letter)
    .bind(link.stored_version())
    .bind(link.event_id)
    .bind(link.previous_id)
    .execute(connection)
    .await
    .map(drop)
}

/// Whether the stream waits behind a letter; then it is locked.
async fn lock_stream(
    connection: &mut PgConnection,
    scope: &Scope,
    place: &Place,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "SELECT FROM positions WHERE projection = $1 AND generation = $2 AND topic = $3
           AND epoch = $4 AND partition = $5 FOR UPDATE",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(place.partition)
    .execute(&mut *connection)
    .await?;
    let head: Option<Uuid> = sqlx::query_scalar(
        "SELECT head FROM parked_keys WHERE projection = $1 AND generation = $2 AND topic = $3
           AND epoch = $4 AND partition = $5 AND stream_id = $6 FOR UPDATE",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(place.partition)
    .bind(&place.stream_id)
    .fetch_optional(connection)
    .await?;
    Ok(head.is_some())
}

async fn lock_letters(
    connection: &mut PgConnection,
    scope: &Scope,
    place: &Place,
) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, state, attempts, epoch, partition, log_offset, log_time, key, value,
                coalesce(next_try_at <= now(), false) AS is_due, stream_version
         FROM letters WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
           AND partition = $5 AND stream_id = $6 AND settled_at IS NULL
         ORDER BY coalesce(stream_version, 0), log_offset LIMIT $7 FOR UPDATE",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(place.partition)
    .bind(&place.stream_id)
    .bind(AT_ONCE)
    .fetch_all(connection)
    .await
}

/// Whether the generation is still folded; a projection that stopped itself may be replayed, since
/// that is how it is mended.
pub(super) async fn generation_is_folded(
    connection: &mut PgConnection,
    scope: &Scope,
) -> Result<bool, sqlx::Error> {
    let state: Option<String> = sqlx::query_scalar(
        "SELECT state FROM generations WHERE projection = $1 AND generation = $2 FOR SHARE",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .fetch_optional(connection)
    .await?;
    Ok(state.is_some_and(|state| state != "retired"))
}
