//! Streams of decided events, and a projection that keeps their versions.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use domain::Timestamp;
use domain::decision::Decided;
use domain::user::{UserEvent, UserId};
use event_schema::header::Headers;
use event_schema::personal::Sealed;
use event_schema::user::{encode, schema_of};
use kafka_io::topic::Topic;
use projector::runner::{Order, Projection};
use projector::user::UserStreamEvent;
use read_models::recorded::{RecordPlace, Recorded};
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use test_support::{Outgoing, eventually};

use super::stage::{Stage, Staged};

pub(super) type Event = Decided<UserEvent<Sealed>>;

/// Projections of this kind; each test has its own, since metrics are told of by their names.
const NAMES: [&str; 5] = ["versions_0", "versions_1", "versions_2", "versions_3", "versions_4"];

/// Keeps the versions of a stream. It would fold anything.
#[derive(Default)]
pub(super) struct Versions<const N: usize>;

impl<const N: usize> Projection for Versions<N> {
    const NAME: &'static str = NAMES[N];
    const TOPIC: Topic = Topic::IdentityUser;
    const ORDER: Order = Order::Sequenced;
    type Event = UserStreamEvent;

    async fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<UserStreamEvent>],
    ) -> Result<u64, sqlx::Error> {
        for record in batch {
            let event = record.event.decided();
            sqlx::query(
                "INSERT INTO versions AS v (generation, id, kept) VALUES ($1, $2, ARRAY[$3])
                 ON CONFLICT (generation, id) DO UPDATE SET kept = v.kept || excluded.kept",
            )
            .bind(generation)
            .bind(UserId(event.aggregate_id).stream_id())
            .bind(i64::try_from(event.version).unwrap_or(-1))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(batch.len() as u64)
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        _: &RecordPlace,
    ) -> Result<BTreeMap<String, Value>, sqlx::Error> {
        let kept: Option<Vec<i64>> =
            sqlx::query_scalar("SELECT kept FROM versions WHERE generation = $1 AND id = $2")
                .bind(generation)
                .bind(stream_id)
                .fetch_optional(connection)
                .await?;
        Ok(kept.map(|kept| ("versions".to_owned(), json!(kept))).into_iter().collect())
    }
}

impl<const N: usize> Staged for Versions<N> {
    const LIKE: &'static str = "user";
    const TABLE: &'static str = "versions";
    type Kept = i64;
    const TYPE: &'static str = "bigint";
}

impl<const N: usize> Stage<Versions<N>> {
    pub(super) async fn of_versions() -> Result<Self> {
        Self::set(NAMES[N]).await
    }

    /// Appends the events to the log by hand, in this order.
    pub(super) async fn say(&self, events: &[&Event]) -> Result<()> {
        let known = self.known_ids().await?;
        let record = |event: &&Event| {
            let schema = schema_of(&event.event);
            let id = known.iter().find(|known| {
                known.record_name == schema.record_name() && known.version == schema.version()
            });
            let id = id.context("the schema is not registered")?.schema_id;
            Ok(Outgoing { value: Some(encode(event, id)?), ..keyed(event) })
        };
        let records = events.iter().map(record).collect::<Result<Vec<_>>>()?;
        self.world.log_of(Topic::IdentityUser)?.append_raw(records).await
    }

    /// Appends a record with the event's headers that nobody can decode.
    pub(super) async fn garble(&self, event: &Event) -> Result<()> {
        let record = Outgoing { value: Some(vec![0; 3]), headers: headers(event), ..keyed(event) };
        self.world.log_of(Topic::IdentityUser)?.append_raw(vec![record]).await
    }

    pub(super) async fn folded(&self, of: &Event) -> Result<Vec<i64>> {
        self.kept(&stream_id(of)).await
    }

    pub(super) async fn folded_are(&self, of: &Event, versions: &[i64]) -> Result<()> {
        self.kept_is(&stream_id(of), versions).await
    }

    /// Waits until the letters of a stream are as said, in the order of the log: each in its state, or in
    /// one of some (`retrying|parked`), with its code where one is said.
    pub(super) async fn letters_are(&self, of: &Event, expected: &[&str]) -> Result<Vec<Uuid>> {
        let stream_id = stream_id(of);
        eventually(&format!("the letters are {expected:?}"), async || {
            let letters = self.world.letters().await?;
            let ours = || letters.iter().filter(|l| l.stream_id.as_ref() == Some(&stream_id));
            let found: Vec<_> = ours().map(|l| (l.state.as_str(), l.error_code.as_str())).collect();
            let is_so = |((state, code), expected): (&(&str, &str), &&str)| {
                let (states, wanted) = expected.split_once(' ').unwrap_or((*expected, *code));
                states.split('|').any(|one| one == *state) && wanted == *code
            };
            let are_so = found.len() == expected.len() && found.iter().zip(expected).all(is_so);
            ensure!(are_so, "they are {found:?}");
            Ok(ours().map(|letter| letter.id).collect())
        })
        .await
    }

    /// Waits until a metric of this projection is as it must be.
    pub(super) async fn metric(
        &self,
        name: &str,
        code: &str,
        is_so: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        eventually(&format!("{name} of {code:?} is as it must be"), async || {
            let text = telemetry::metrics().render();
            let ours = |line: &&str| {
                line.starts_with(&format!("{name}{{"))
                    && line.contains(NAMES[N])
                    && line.contains(code)
            };
            let line = text.lines().find(ours).context("it is not told")?;
            let value: f64 = line.rsplit(' ').next().unwrap_or_default().parse()?;
            ensure!(is_so(value), "it is {line}");
            Ok(value)
        })
        .await
    }
}

/// The first so many events of a new stream.
pub(super) fn a_stream(events: u64) -> Vec<Event> {
    let aggregate_id = Uuid::now_v7();
    let mut stream: Vec<Event> = Vec::new();
    for version in 1..=events {
        stream.push(Decided {
            event_id: Uuid::now_v7(),
            aggregate_id,
            version,
            previous_id: stream.last().map(|previous| previous.event_id),
            occurred_at: Timestamp(1_772_366_400_000_000),
            event: if version % 2 == 1 { UserEvent::Deactivated } else { UserEvent::Reactivated },
        });
    }
    stream
}

fn stream_id(of: &Event) -> String {
    UserId(of.aggregate_id).stream_id()
}

fn keyed(event: &Event) -> Outgoing {
    Outgoing { key: Some(stream_id(event).into_bytes()), ..Outgoing::default() }
}

fn headers(of: &Event) -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    let told = Headers {
        id: of.event_id,
        source: "/a/test",
        event_type: "a.test.v1",
        stream_id: &stream_id(of),
        time: None,
        stream_version: Some(of.version),
        previous_id: of.previous_id,
        correlation_id: None,
        causation_id: None,
        actor: None,
        traceparent: None,
    };
    told.write(|name, value| headers.push((name.to_owned(), value.to_vec())));
    headers
}

/// The same place under another id.
pub(super) fn a_rival(of: &Event) -> Event {
    Decided { event_id: Uuid::now_v7(), ..of.clone() }
}
