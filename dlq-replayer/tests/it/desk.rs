//! An operator's desk: a database with letters, the tool, and what became of both.

use std::collections::BTreeMap;

use dlq_replayer::{Call, Console, Exit, Projections, Replays};
use domain::device::{Dedupe, DeviceEventReported, DeviceId};
use serde_json::Value;
use settings::{Prefix, Settings};
use sqlx::PgPool;
use test_support::World;
use uuid::Uuid;

/// The role under which operators work.
pub(crate) const ROLE: &str = "dlq_replayer";

/// A database of a test's own, and calls of the tool on it.
pub(crate) struct Desk {
    pub(crate) world: World,
}

/// What a call left behind.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A letter as a test wants it.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) projection: &'static str,
    pub(crate) stream_id: Option<&'static str>,
    pub(crate) state: &'static str,
    pub(crate) class: &'static str,
    pub(crate) code: &'static str,
    pub(crate) hours_old: i32,
    pub(crate) offset: i64,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(&'static str, Option<&'static str>)>,
}

/// A parked letter of a device.
pub(crate) fn a_letter(stream_id: &'static str, offset: i64) -> Given {
    Given {
        projection: "resource",
        stream_id: Some(stream_id),
        state: "parked",
        class: "poison",
        code: "22P05",
        hours_old: 1,
        offset,
        value: Some(b"\x00\x00\x00\x00\x63secret of ann".to_vec()),
        headers: vec![("ce_subject", Some(stream_id)), ("x-customer", Some("ann@example.org"))],
    }
}

impl Given {
    pub(crate) fn with_state(self, state: &'static str) -> Self {
        Self { state, ..self }
    }
}

impl Desk {
    pub(crate) async fn start(name: &str) -> Self {
        Self { world: World::start(name).await.unwrap() }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.world.pool()
    }

    /// Puts a letter into the table, with its first try and its notice.
    pub(crate) async fn given(&self, given: Given) -> Uuid {
        let id = Uuid::now_v7();
        let is_open = ["retrying", "parked", "blocked"].contains(&given.state);
        let (names, values): (Vec<&str>, Vec<Option<&[u8]>>) =
            given.headers.iter().map(|(name, value)| (*name, value.map(str::as_bytes))).unzip();
        sqlx::query(
            "INSERT INTO letters (id, projection, generation, topic, epoch, partition, log_offset,
                 log_time, stream_id, key, value, header_names, header_values, state, error_class,
                 error_code, error_message, attempts, first_failed_at, next_try_at, settled_at)
             VALUES ($1, $2, 1, 'events-input', 1, 3, $3, now(), $4, $5, $6, $7, $8, $9, $10, $11,
                 'the database refused while writing rows', 4, now() - $12 * interval '1 hour',
                 CASE WHEN $9 = 'retrying' THEN now() + interval '1 hour' END,
                 CASE WHEN NOT $13 THEN now() END)",
        )
        .bind(id)
        .bind(given.projection)
        .bind(given.offset)
        .bind(given.stream_id)
        .bind(given.stream_id.map(str::as_bytes))
        .bind(given.value)
        .bind(names)
        .bind(values)
        .bind(given.state)
        .bind(given.class)
        .bind(given.code)
        .bind(given.hours_old)
        .bind(is_open)
        .execute(self.pool())
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO letter_tries (letter_id, tried_by, outcome, error_class, error_code,
                 error_message)
             VALUES ($1, 'projector', 'retrying', $2, $3, 'the database refused')",
        )
        .bind(id)
        .bind(given.class)
        .bind(given.code)
        .execute(self.pool())
        .await
        .unwrap();
        sqlx::query("INSERT INTO letter_notices (letter_id) VALUES ($1)")
            .bind(id)
            .execute(self.pool())
            .await
            .unwrap();
        id
    }

    /// A second projection, so that there are letters of others.
    pub(crate) async fn given_a_projection(&self, name: &str) {
        sqlx::query(
            "INSERT INTO generations (projection, generation, state) VALUES ($1, 1, 'active')",
        )
        .bind(name)
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// Makes the projection one that keeps the order of streams: later letters wait behind the head.
    pub(crate) async fn given_a_parked_key(&self, head: Uuid, letters: i32) {
        sqlx::query(
            "INSERT INTO parked_keys
             SELECT projection, generation, topic, epoch, partition, stream_id, id, $2
             FROM letters WHERE id = $1",
        )
        .bind(head)
        .bind(letters)
        .execute(self.pool())
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO positions (projection, generation, topic, epoch, partition, parked_keys)
             VALUES ('resource', 1, 'events-input', 1, 3, 1)",
        )
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// Says that the letter's event was decided, as this version of its stream.
    pub(crate) async fn decided(&self, letter: Uuid, version: i64) {
        sqlx::query(
            "UPDATE letters SET stream_version = $2, event_id = id, previous_id = id WHERE id = $1",
        )
        .bind(letter)
        .bind(version)
        .execute(self.pool())
        .await
        .unwrap();
    }

    pub(crate) async fn given_a_brake(&self, why: &str) {
        sqlx::query(
            "UPDATE generations SET brake = $1, braked_at = now() WHERE projection = 'resource'",
        )
        .bind(why)
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// The value of a record, as command-api would have written it.
    pub(crate) async fn a_value(&self, device: &str, request_id: Uuid, payload: &str) -> Vec<u8> {
        let written = event_schema::device::WRITTEN;
        let id: i32 = sqlx::query_scalar(
            "SELECT schema_id FROM schema_ids WHERE record_name = $1 AND version = $2",
        )
        .bind(written.record_name())
        .bind(written.version())
        .fetch_one(self.pool())
        .await
        .unwrap();
        let event = DeviceEventReported {
            device_id: DeviceId::from_log(device.to_owned()),
            request_id,
            dedupe: Dedupe::None,
            body_hash: None,
            occurred_at: None,
            payload: payload.to_owned(),
        };
        event_schema::device::encode(&event, id.cast_unsigned()).unwrap()
    }

    /// A parked letter of a record that can be folded.
    pub(crate) async fn given_foldable(&self, device: &'static str, offset: i64) -> Uuid {
        let payload = format!(r#"{{"n":{offset}}}"#);
        let value = Some(self.a_value(device, Uuid::now_v7(), &payload).await);
        self.given(Given { value, ..a_letter(device, offset) }).await
    }

    fn call(&self, arguments: &[&str]) -> Call {
        let program = std::iter::once("dlq-replayer");
        let variables = [
            ("DATABASE_URL", self.world.database_url(ROLE).unwrap()),
            ("MILLRACE_PREFIX", self.world.prefix().to_string()),
            ("KAFKA_BROKERS", self.world.stack().brokers().unwrap().to_owned()),
            ("SCHEMA_REGISTRY_URL", self.world.stack().registry_url().unwrap().to_owned()),
            ("REDIS_URL", self.world.stack().redis_url().unwrap().to_owned()),
            ("USER", "ann".to_owned()),
        ];
        Call {
            arguments: program.chain(arguments.iter().copied()).map(Into::into).collect(),
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }

    /// Calls the tool as a script would: nobody can be asked.
    pub(crate) async fn calls(&self, arguments: &[&str]) -> Answer {
        self.answers(arguments, None, Projections::from_settings).await
    }

    /// Calls the tool at a terminal, with what is typed there.
    pub(crate) async fn types(&self, arguments: &[&str], typed: &str) -> Answer {
        self.answers(arguments, Some(typed), Projections::from_settings).await
    }

    /// Calls the tool with another way to fold letters.
    pub(crate) async fn calls_with<R: Replays>(&self, arguments: &[&str], replays: R) -> Answer {
        self.answers(arguments, None, |_, _| replays).await
    }

    async fn answers<R: Replays>(
        &self,
        arguments: &[&str],
        typed: Option<&str>,
        replays: impl FnOnce(&mut Settings, &Prefix) -> R,
    ) -> Answer {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut answers = typed.unwrap_or_default().as_bytes();
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            answers: &mut answers,
            is_terminal: typed.is_some(),
        };
        let exit = dlq_replayer::run_with(self.call(arguments), &mut console, replays).await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Answer { exit, out: text(out), err: text(err) }
    }

    pub(crate) async fn state(&self, letter: Uuid) -> String {
        sqlx::query_scalar("SELECT state FROM letters WHERE id = $1")
            .bind(letter)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// The audit of a letter, oldest first: action, who, why, outcome.
    pub(crate) async fn audit(&self, letter: Uuid) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT concat_ws(' | ', action, acted_by, reason, outcome) FROM letter_actions
             WHERE letter_id = $1 ORDER BY acted_at, id",
        )
        .bind(letter)
        .fetch_all(self.pool())
        .await
        .unwrap()
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let statement = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(self.pool()).await.unwrap()
    }
}

/// Rows of a table as text, to see that nothing changed.
pub(crate) async fn contents(desk: &Desk) -> BTreeMap<&'static str, Vec<String>> {
    let mut contents = BTreeMap::new();
    for table in [
        "letters",
        "letter_tries",
        "letter_actions",
        "letter_notices",
        "dispositions",
        "parked_keys",
        "positions",
        "generations",
        "resource_rows",
        "seen",
        "stream_events",
    ] {
        let statement = format!("SELECT t::text FROM {table} t ORDER BY 1");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_all(desk.pool())
            .await
            .unwrap();
        contents.insert(table, rows);
    }
    contents
}
