//! The outbox, in the session that holds its lock: with the session goes the ownership.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use super::rows::{COLUMNS, EventRow};
use super::stream::column;
use super::{append, failed};
use crate::append::{Append, AppendError};
use crate::claim::Digest;
use crate::event::{Event, LogPlace};
use crate::store::{Ends, Outbox, StoreError, Uncompared};

/// Where the outbox's session tells things.
pub(super) struct Channels {
    /// Something was published.
    pub(super) published: String,
    /// Whose access tokens are taken has changed.
    pub(super) changed: String,
}

/// The outbox of the store in Postgres.
pub struct PostgresOutbox {
    session: PgConnection,
    channels: Channels,
    claim_key: Digest,
    was_rested: bool,
    /// Dropped with the session, once this process knows that it is over. Until then another owner is not told of what
    /// is appended here, and looks by itself.
    _ownership: Option<Arc<()>>,
}

impl PostgresOutbox {
    /// The same, whose process knows by what it holds that it owns it.
    pub(super) fn holding(self, ownership: &Arc<()>) -> Self {
        Self { _ownership: Some(Arc::clone(ownership)), ..self }
    }

    /// A session without the lock.
    pub(super) async fn beside(
        options: &PgConnectOptions,
        channels: Channels,
        claim_key: Digest,
    ) -> Result<Self, sqlx::Error> {
        let session = options.connect().await?;
        Ok(Self { session, channels, claim_key, was_rested: false, _ownership: None })
    }

    /// The outbox, if the session gets the lock; otherwise the session again.
    pub(super) async fn own(
        mut session: PgConnection,
        lock: i64,
        channels: Channels,
        claim_key: Digest,
    ) -> Result<Result<Self, PgConnection>, sqlx::Error> {
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(lock)
            .fetch_one(&mut session)
            .await?;
        if is_ours {
            // Before anything is sent: whoever comes after a crash must know that it was one.
            let was_rested: bool =
                sqlx::query_scalar("UPDATE standing SET rested = false RETURNING old.rested")
                    .fetch_one(&mut session)
                    .await?;
            return Ok(Ok(Self { session, channels, claim_key, was_rested, _ownership: None }));
        }
        Ok(Err(session))
    }
}

impl Outbox for PostgresOutbox {
    async fn rest(mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE standing SET rested = true")
            .execute(&mut self.session)
            .await
            .map_err(failed)?;
        self.session.close().await.map_err(failed)
    }

    async fn uncompared(&mut self) -> Result<Option<Uncompared>, StoreError> {
        let is_uncompared: bool = sqlx::query_scalar(
            "SELECT compared_run IS DISTINCT FROM pg_postmaster_start_time() OR claim_key IS NULL
             FROM standing",
        )
        .fetch_one(&mut self.session)
        .await
        .map_err(failed)?;
        Ok(is_uncompared.then_some(Uncompared { was_rested: self.was_rested }))
    }

    async fn published_to(&mut self) -> Result<Ends, StoreError> {
        let rows: Vec<(String, i32, i64)> =
            sqlx::query_as("SELECT topic, partition, next_offset FROM published")
                .fetch_all(&mut self.session)
                .await
                .map_err(failed)?;
        Ok(rows.into_iter().map(|(topic, partition, next)| ((topic, partition), next)).collect())
    }

    async fn lacking(&mut self, records: &[Event]) -> Result<Vec<usize>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        // In the same statement as what is lacking: an event that is placed here was found there.
        let lacking: Vec<i64> = sqlx::query_scalar(
            "WITH w AS (
                 SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::uuid[], $4::text[], $5::int[],
                                      $6::bigint[]) WITH ORDINALITY
                     AS w(stream_id, version, event_id, topic, partition, log_offset, at)
             ), placed AS (
                 UPDATE events e SET published_partition = w.partition, published_offset = w.log_offset
                 FROM w WHERE e.stream_id = w.stream_id AND e.stream_version = w.version
                          AND e.event_id = w.event_id AND e.published_offset IS NULL
             )
             SELECT w.at FROM w LEFT JOIN streams s ON s.stream_id = w.stream_id
             WHERE w.version > coalesce(s.version, 0)
               AND NOT EXISTS (SELECT FROM passed_over p
                               WHERE (p.topic, p.partition, p.log_offset)
                                     = (w.topic, w.partition, w.log_offset))
             ORDER BY w.at",
        )
        .bind(column(records, |r| r.stream_id.as_str()))
        .bind(column(records, |r| r.version.cast_signed()))
        .bind(column(records, |r| r.event_id))
        .bind(column(records, |r| r.topic.as_str()))
        .bind(column(records, |r| r.place.map(|place| place.partition)))
        .bind(column(records, |r| r.place.map(|place| place.offset)))
        .fetch_all(&mut self.session)
        .await
        .map_err(failed)?;
        // Postgres counts from 1.
        Ok(lacking.into_iter().filter_map(|at| usize::try_from(at - 1).ok()).collect())
    }

    async fn absorb(&mut self, append: Append) -> Result<(), AppendError> {
        append::absorb(&mut self.session, &append, &self.claim_key, &self.channels.changed).await
    }

    async fn compared(&mut self, ahead: u64, ends: &Ends) -> Result<(), StoreError> {
        let ends: Vec<_> = ends.iter().filter(|(_, end)| **end > 0 && ahead == 0).collect();
        sqlx::query(
            "WITH moved AS (
                 INSERT INTO published AS o (topic, partition, next_offset)
                 SELECT * FROM UNNEST($3::text[], $4::int[], $5::bigint[])
                 ON CONFLICT (topic, partition) DO UPDATE
                 SET next_offset = greatest(o.next_offset, excluded.next_offset)
             )
             UPDATE standing
             SET log_ahead = $1, claim_key = coalesce(claim_key, $2),
                 compared_run = CASE WHEN $1 = 0 THEN pg_postmaster_start_time() END",
        )
        .bind(ahead.cast_signed())
        .bind(&self.claim_key[..])
        .bind(column(&ends, |((topic, _), _)| topic.as_str()))
        .bind(column(&ends, |((_, partition), _)| *partition))
        .bind(column(&ends, |(_, end)| **end))
        .execute(&mut self.session)
        .await
        .map(drop)
        .map_err(failed)
    }

    async fn pass_over(&mut self, topic: &str, place: LogPlace) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO passed_over (topic, partition, log_offset) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(topic)
        .bind(place.partition)
        .bind(place.offset)
        .execute(&mut self.session)
        .await
        .map(drop)
        .map_err(failed)
    }

    async fn unpublished(
        &mut self,
        at_once: u32,
        besides: &[String],
    ) -> Result<Vec<Event>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM events e
             WHERE e.published_offset IS NULL AND e.stream_id <> ALL($2)
             ORDER BY e.number LIMIT $1"
        );
        let rows: Vec<EventRow> = sqlx::query_as(AssertSqlSafe(statement))
            .bind(i64::from(at_once))
            .bind(besides)
            .fetch_all(&mut self.session)
            .await
            .map_err(failed)?;
        Ok(rows.into_iter().map(EventRow::event).collect())
    }

    async fn mark(&mut self, published: &[(Event, LogPlace)]) -> Result<(), StoreError> {
        if published.is_empty() {
            return Ok(());
        }
        let events = || published.iter().map(|(event, _)| event);
        sqlx::query(
            "WITH p AS (
                 SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::int[], $5::bigint[])
                     AS p(stream_id, version, topic, partition, log_offset)
             ), marked AS (
                 UPDATE events e SET published_partition = p.partition, published_offset = p.log_offset
                 FROM p WHERE e.stream_id = p.stream_id AND e.stream_version = p.version
                          AND e.published_offset IS NULL
             ), moved AS (
                 INSERT INTO published AS o (topic, partition, next_offset)
                 SELECT topic, partition, max(log_offset) + 1 FROM p GROUP BY topic, partition
                 ON CONFLICT (topic, partition) DO UPDATE
                 SET next_offset = greatest(o.next_offset, excluded.next_offset)
             )
             SELECT pg_notify($6, '')",
        )
        .bind(events().map(|e| e.stream_id.as_str()).collect::<Vec<_>>())
        .bind(events().map(|e| e.version.cast_signed()).collect::<Vec<_>>())
        .bind(events().map(|e| e.topic.as_str()).collect::<Vec<_>>())
        .bind(published.iter().map(|(_, place)| place.partition).collect::<Vec<_>>())
        .bind(published.iter().map(|(_, place)| place.offset).collect::<Vec<_>>())
        .bind(&self.channels.published)
        .execute(&mut self.session)
        .await
        .map(drop)
        .map_err(failed)
    }
}
