//! The baseline of `decide`: the rows of a decision, written in one transaction by whoever knows them
//! already. Nothing is read, sealed, encoded or judged, and nobody asks whether the store is open.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Duration, Utc};
use sqlx::{FromRow, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::decide_people::{PASSWORD_HASH, People};
use crate::decide_sides::{Decision, Side};
use crate::decide_subject::{config, pool};
use crate::world::World;

/// The texts and bytes that a registration and an update have in the subject's rows.
pub(crate) struct Sample {
    registered: (String, Vec<EventSample>),
    updated: (String, EventSample),
}

#[derive(Debug, Clone, FromRow)]
struct EventSample {
    topic: String,
    event_type: String,
    correlation_id: Option<String>,
    actor: Option<String>,
    traceparent: Option<String>,
    changed: Vec<String>,
    value: Vec<u8>,
}

impl Sample {
    /// Has the subject decide about somebody and looks at what it wrote.
    pub(crate) async fn take(world: &World, subject: &impl Side, stream_id: &str) -> Result<Self> {
        let pool = pool(&config(world)?);
        let state = "SELECT state FROM streams WHERE stream_id = $1";
        let events = "SELECT topic, event_type, correlation_id, actor, traceparent, changed, value
                      FROM events WHERE stream_id = $1 ORDER BY stream_version";
        subject.decide(Decision::Register { person: 0 }).await?;
        let first: String = sqlx::query_scalar(state).bind(stream_id).fetch_one(&pool).await?;
        subject.decide(Decision::Update { person: 0, mark: 0 }).await?;
        let second: String = sqlx::query_scalar(state).bind(stream_id).fetch_one(&pool).await?;
        let mut events: Vec<EventSample> =
            sqlx::query_as(events).bind(stream_id).fetch_all(&pool).await?;
        pool.close().await;
        let update = events.pop().context("the subject wrote no event")?;
        ensure!(events.len() == 2, "a registration wrote {} events", events.len());
        Ok(Self { registered: (first, events), updated: (second, update) })
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    version: i64,
    last_event_id: Uuid,
}

/// What writes the rows.
pub(crate) struct Bare {
    pool: PgPool,
    people: Arc<People>,
    sample: Arc<Sample>,
    places: Arc<Places>,
}

/// Where everybody's stream stands.
pub(crate) struct Places(Vec<Mutex<Place>>);

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Mutex::default()).collect())
    }

    fn of(&self, person: usize) -> Place {
        *self.0[person].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, person: usize, place: Place) {
        *self.0[person].lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

impl Bare {
    pub(crate) fn open(
        world: &World,
        people: &Arc<People>,
        sample: &Arc<Sample>,
        places: &Arc<Places>,
    ) -> Result<Self> {
        let pool = pool(&config(world)?);
        let (people, sample) = (Arc::clone(people), Arc::clone(sample));
        Ok(Self { pool, people, sample, places: Arc::clone(places) })
    }

    async fn register(&self, person: usize) -> Result<()> {
        let subject = self.people.id(person).to_string();
        let stream_id = format!("user-{subject}");
        let (state, events) = &self.sample.registered;
        let ids = [Uuid::now_v7(), Uuid::now_v7()];
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO streams (stream_id, version, last_event_id, state, state_revision)
             VALUES ($1, 2, $2, $3, 1)",
        )
        .bind(&stream_id)
        .bind(ids[1])
        .bind(state)
        .execute(&mut *transaction)
        .await?;
        write_two_events(&mut transaction, &stream_id, ids, events).await?;
        sqlx::query(
            "INSERT INTO claims (kind, digest, stream_id, taken_at, lapses_at)
             VALUES ('email', $1, $3, $4, $5), ('username', $2, $3, $4, NULL)",
        )
        .bind(random_bytes())
        .bind(random_bytes())
        .bind(&stream_id)
        .bind(Utc::now())
        .bind(Utc::now() + Duration::days(7))
        .execute(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO subject_keys (subject, key) VALUES ($1, $2)")
            .bind(&subject)
            .bind(random_bytes())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO credentials (user_id, password_hash) VALUES ($1, $2)")
            .bind(&subject)
            .bind(PASSWORD_HASH)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO mails (id, kind, stream_id, stream_version)
             VALUES ($1, 'verify-email', $2, 2)",
        )
        .bind(Uuid::now_v7())
        .bind(&stream_id)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.places.set(person, Place { version: 2, last_event_id: ids[1] });
        Ok(())
    }

    async fn update(&self, person: usize) -> Result<()> {
        let stream_id = format!("user-{}", self.people.id(person));
        let Place { version, last_event_id } = self.places.of(person);
        let (state, event) = &self.sample.updated;
        let event_id = Uuid::now_v7();
        let mut transaction = self.pool.begin().await?;
        let moved = sqlx::query(
            "UPDATE streams SET version = $2, last_event_id = $3, state = $4, state_revision = 1
             WHERE stream_id = $1 AND version = $5",
        )
        .bind(&stream_id)
        .bind(version + 1)
        .bind(event_id)
        .bind(state)
        .bind(version)
        .execute(&mut *transaction)
        .await?;
        ensure!(moved.rows_affected() == 1, "somebody else has moved the stream");
        sqlx::query(
            "INSERT INTO events (stream_id, stream_version, event_id, previous_id, topic, event_type,
                 occurred_at, correlation_id, actor, traceparent, changed, value)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(&stream_id)
        .bind(version + 1)
        .bind(event_id)
        .bind(last_event_id)
        .bind(&event.topic)
        .bind(&event.event_type)
        .bind(Utc::now())
        .bind(&event.correlation_id)
        .bind(&event.actor)
        .bind(&event.traceparent)
        .bind(&event.changed)
        .bind(&event.value)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.places.set(person, Place { version: version + 1, last_event_id: event_id });
        Ok(())
    }
}

async fn write_two_events(
    transaction: &mut Transaction<'_, Postgres>,
    stream_id: &str,
    ids: [Uuid; 2],
    events: &[EventSample],
) -> Result<()> {
    let [first, second] = events else { anyhow::bail!("two events were expected") };
    let at: DateTime<Utc> = Utc::now();
    let mut insert = sqlx::query(
        "INSERT INTO events (stream_id, occurred_at, stream_version, previous_id, event_id, topic,
             event_type, correlation_id, actor, traceparent, changed, value)
         VALUES ($1, $2, 1, NULL, $3, $4, $5, $6, $7, $8, $9, $10),
                ($1, $2, 2, $3, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(stream_id)
    .bind(at);
    for (id, event) in [(ids[0], first), (ids[1], second)] {
        insert = insert
            .bind(id)
            .bind(&event.topic)
            .bind(&event.event_type)
            .bind(&event.correlation_id)
            .bind(&event.actor)
            .bind(&event.traceparent)
            .bind(&event.changed)
            .bind(&event.value);
    }
    insert.execute(&mut **transaction).await?;
    Ok(())
}

impl Side for Bare {
    async fn decide(&self, decision: Decision) -> Result<()> {
        match decision {
            Decision::Register { person } => self.register(person).await,
            Decision::Update { person, .. } => self.update(person).await,
        }
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// 32 bytes that are as far from the ones before as a hash or a key is.
fn random_bytes() -> Vec<u8> {
    // The last eight bytes of an id of version 7 are random but for two bits.
    let random = || Uuid::now_v7().as_u64_pair().1.rotate_left(2).to_le_bytes();
    [random(), random(), random(), random()].concat()
}
