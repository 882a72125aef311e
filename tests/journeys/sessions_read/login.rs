//! Sessions that are decided by hand: events straight into the log, or first into the store.

use anyhow::{Context as _, Result};
use domain::Timestamp;
use domain::decision::Decided;
use domain::session::{ClientMark, SessionEvent, SessionId};
use domain::user::UserId;
use event_schema::session::{encode, schema_of};
use kafka_io::topic::Topic;
use sqlx::AssertSqlSafe;
use sqlx::types::Uuid;

use super::super::users_read::stage::{Logged, Person, Stage};

const AT: Timestamp = Timestamp(1_772_366_400_000_000);

/// Somebody's session, by the events that were decided of it.
pub(super) struct Login {
    pub(super) id: SessionId,
    user: UserId,
    client: ClientMark,
    version: u64,
    last: Option<Uuid>,
}

impl Login {
    /// One that nothing is decided of yet. Later ones have later ids.
    pub(super) fn of(user: &Person) -> Result<Self> {
        let client = ClientMark::new("phone".to_owned()).context("a mark that is none")?;
        let id = SessionId(Uuid::now_v7());
        Ok(Self { id, user: user.id, client, version: 0, last: None })
    }

    /// How it begins, in this epoch of its user's sessions.
    pub(super) fn began(&self, session_epoch: u32) -> SessionEvent {
        let (user_id, client) = (self.user, self.client.clone());
        SessionEvent::LoggedIn { user_id, session_epoch, client, started_at: AT }
    }

    /// The exchange of its refresh token for that of a generation.
    pub(super) fn refreshed(&self, generation: u32) -> SessionEvent {
        SessionEvent::Refreshed { generation, client: self.client.clone(), refreshed_at: AT }
    }

    /// The next event, which the log does not have yet.
    pub(super) fn decide(&mut self, event: SessionEvent) -> Decided<SessionEvent> {
        let event_id = Uuid::now_v7();
        self.version += 1;
        Decided {
            event_id,
            aggregate_id: self.id.0,
            version: self.version,
            previous_id: self.last.replace(event_id),
            occurred_at: AT,
            event,
        }
    }

    /// Appends an event of it to the log.
    pub(super) async fn log(&self, stage: &Stage, event: &Decided<SessionEvent>) -> Result<Logged> {
        let id = stage.schema_id(schema_of(&event.event)).await?;
        stage.append(Topic::IdentitySession, self.id.stream_id(), encode(event, id)?).await
    }

    /// Something happens to it, and is logged.
    pub(super) async fn say(&mut self, stage: &Stage, event: SessionEvent) -> Result<Logged> {
        let decided = self.decide(event);
        self.log(stage, &decided).await
    }

    /// Puts an event into the store, as a decision does.
    pub(super) async fn store(&self, stage: &Stage, event: &Decided<SessionEvent>) -> Result<()> {
        let insert = format!(
            "INSERT INTO {} (stream_id, stream_version, event_id, previous_id, topic, event_type,
                             occurred_at, value)
             VALUES ($1, $2, $3, $4, $5, 'identity.session.x.v1', now(), '')",
            stage.world.decisions("events")
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(self.id.stream_id())
            .bind(event.version.cast_signed())
            .bind(event.event_id)
            .bind(event.previous_id)
            .bind(Topic::IdentitySession.name(stage.world.prefix()))
            .execute(stage.world.pool())
            .await
            .context("putting an event into the store")
            .map(drop)
    }

    /// Logs an event of the store and marks it there, as the relay does.
    pub(super) async fn publish(&self, stage: &Stage, event: &Decided<SessionEvent>) -> Result<()> {
        let logged = self.log(stage, event).await?;
        let mark = format!(
            "UPDATE {} SET published_partition = $2, published_offset = $3 WHERE event_id = $1",
            stage.world.decisions("events")
        );
        sqlx::query(AssertSqlSafe(mark))
            .bind(event.event_id)
            .bind(logged.partition)
            .bind(logged.offset)
            .execute(stage.world.pool())
            .await
            .context("marking an event as published")
            .map(drop)
    }
}
