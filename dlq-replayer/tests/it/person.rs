//! A person whose events are letters.

use std::convert::Infallible;

use domain::Timestamp;
use domain::decision::Decided;
use domain::user::{UserEvent, UserId};
use event_schema::header::Headers;
use event_schema::personal::{Sealed, SubjectKey};
use event_schema::user::{encode, schema_of};
use read_models::database::identity_schema;
use sqlx::AssertSqlSafe;
use uuid::{Uuid, uuid};

use crate::desk::{Desk, Given, a_letter};

const ID: UserId = UserId(uuid!("0198f0c2-7d3e-7c3b-8a57-0242ac120002"));
const STREAM: &str = "user-0198f0c2-7d3e-7c3b-8a57-0242ac120002";

/// How Ann begins.
pub(crate) const ANN: UserEvent<&str> = UserEvent::Registered {
    username: "Ann",
    email: "ann@example.org",
    full_name: Some("Ann Smith"),
    bio: None,
    image: None,
    roles: Vec::new(),
};

/// An event of the person, as decided and as logged.
pub(crate) struct Happened {
    decided: Decided<UserEvent<Sealed>>,
    value: Vec<u8>,
}

impl Happened {
    /// Another event in the same place.
    pub(crate) fn rival(&self) -> Self {
        let decided = Decided { event_id: Uuid::now_v7(), ..self.decided.clone() };
        Self { decided, value: self.value.clone() }
    }
}

/// A person at a desk where the projection of users set their events aside.
pub(crate) struct Person<'a> {
    desk: &'a Desk,
    key: SubjectKey,
    events: Vec<Uuid>,
}

impl<'a> Person<'a> {
    /// Somebody with a key.
    pub(crate) async fn at(desk: &'a Desk) -> Self {
        let key = SubjectKey::generate();
        let person = Self { desk, key, events: Vec::new() };
        let bytes = &person.key.as_bytes()[..];
        let keys = identity_schema(desk.world.prefix());
        let insert = format!("INSERT INTO {keys}.subject_keys (subject, key) VALUES ($1, $2)");
        sqlx::query(AssertSqlSafe(insert))
            .bind(ID.to_string())
            .bind(bytes)
            .execute(desk.pool())
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO positions (projection, generation, topic, epoch, partition)
             VALUES ('user', 1, 'events-input', 1, 3)",
        )
        .execute(desk.pool())
        .await
        .unwrap();
        person
    }

    /// Destroys the key, as erasing does beside its event.
    pub(crate) async fn forget_key(&self) {
        let keys = identity_schema(self.desk.world.prefix());
        let destroy = format!("UPDATE {keys}.subject_keys SET key = NULL, destroyed_at = now()");
        sqlx::query(AssertSqlSafe(destroy)).execute(self.desk.pool()).await.unwrap();
    }

    /// The next event of the person.
    pub(crate) async fn decides(&mut self, event: UserEvent<&str>) -> Happened {
        let event_id = Uuid::now_v7();
        let seal = |field, text: &str| Ok::<_, Infallible>(self.key.seal(event_id, field, text));
        let Ok(event) = event.map(&mut |field, text| seal(field, text));
        let previous_id = self.events.last().copied();
        self.events.push(event_id);
        let decided = Decided {
            event_id,
            aggregate_id: ID.0,
            version: self.events.len() as u64,
            previous_id,
            occurred_at: Timestamp(1_772_366_400_000_000),
            event,
        };
        let schema = schema_of(&decided.event);
        let id: i32 = sqlx::query_scalar(
            "SELECT schema_id FROM schema_ids WHERE record_name = $1 AND version = $2",
        )
        .bind(schema.record_name())
        .bind(schema.version())
        .fetch_one(self.desk.pool())
        .await
        .unwrap();
        let value = encode(&decided, id.cast_unsigned()).unwrap();
        Happened { decided, value }
    }

    /// A letter of the event at an offset, in a state. The first open one is the head of the stream.
    pub(crate) async fn letter(&self, of: &Happened, offset: i64, state: &'static str) -> Uuid {
        let letter = self.given(Some(of.value.clone()), "23514", offset, state).await;
        let Decided { version, event_id, previous_id, .. } = of.decided;
        sqlx::query(
            "UPDATE letters SET stream_version = $2, event_id = $3, previous_id = $4 WHERE id = $1",
        )
        .bind(letter)
        .bind(version.cast_signed())
        .bind(event_id)
        .bind(previous_id)
        .execute(self.desk.pool())
        .await
        .unwrap();
        letter
    }

    /// A letter of the event that nobody can decode, with the headers that every record has.
    pub(crate) async fn garbled(&self, of: &Happened, offset: i64, state: &'static str) -> Uuid {
        let letter = self.given(Some(vec![0; 3]), "truncated", offset, state).await;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        let headers = Headers {
            id: of.decided.event_id,
            source: "/a/test",
            event_type: "a.test.v1",
            stream_id: STREAM,
            time: None,
            stream_version: Some(of.decided.version),
            previous_id: of.decided.previous_id,
            correlation_id: None,
            causation_id: None,
            actor: None,
            traceparent: None,
        };
        headers.write(|name, value| {
            names.push(name.to_owned());
            values.push(value.to_vec());
        });
        sqlx::query("UPDATE letters SET header_names = $2, header_values = $3 WHERE id = $1")
            .bind(letter)
            .bind(names)
            .bind(values)
            .execute(self.desk.pool())
            .await
            .unwrap();
        letter
    }

    async fn given(
        &self,
        value: Option<Vec<u8>>,
        code: &'static str,
        offset: i64,
        state: &'static str,
    ) -> Uuid {
        let letter = a_letter(STREAM, offset).with_state(state);
        let letter = Given { projection: "user", value, code, headers: Vec::new(), ..letter };
        let id = self.desk.given(letter).await;
        sqlx::query(
            "INSERT INTO parked_keys AS k
             SELECT projection, generation, topic, epoch, partition, stream_id, id, 1
             FROM letters WHERE id = $1 AND settled_at IS NULL
             ON CONFLICT (projection, generation, topic, epoch, partition, stream_id)
             DO UPDATE SET letters = k.letters + 1",
        )
        .bind(id)
        .execute(self.desk.pool())
        .await
        .unwrap();
        sqlx::query(
            "UPDATE positions SET parked_keys = (SELECT count(*) FROM parked_keys)
             WHERE projection = 'user'",
        )
        .execute(self.desk.pool())
        .await
        .unwrap();
        id
    }

    /// The row of the person: version, whether they are erased, and all of it as text.
    pub(crate) async fn row(&self) -> Option<(i64, bool, String)> {
        sqlx::query_as("SELECT version, erased, to_json(u)::text FROM users u WHERE id = $1")
            .bind(ID.0)
            .fetch_optional(self.desk.pool())
            .await
            .unwrap()
    }

    /// Versions that count as folded.
    pub(crate) async fn counted(&self) -> Vec<i64> {
        sqlx::query_scalar("SELECT version FROM stream_events ORDER BY version")
            .fetch_all(self.desk.pool())
            .await
            .unwrap()
    }
}
