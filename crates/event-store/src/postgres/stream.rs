//! A stream and its events, written by one statement, and its state where no decision writes it.

use std::sync::LazyLock;

use sqlx::postgres::{PgArguments, PgConnection, PgPool, Postgres};
use sqlx::query::Query;

use super::rows::datetime;
use crate::append::{Append, State};
use crate::claim::Digest;
use crate::event::Event;

/// Whether the store must be open.
#[derive(Clone, Copy)]
pub(super) enum Guard<'a> {
    /// In this run, for claims under this key.
    Open(&'a Digest),
    Any,
}

const MOVE: &str = "UPDATE streams
     SET version = $2, last_event_id = $3, state = $4, state_revision = $5
     WHERE stream_id = $1 AND version = $6 AND";

const BEGIN: &str = "INSERT INTO streams (stream_id, version, last_event_id, state, state_revision)
     SELECT $1, $2, $3, $4, $5 WHERE $6 = 0 AND";

const OPEN: &str = "($7 OR (SELECT compared_run = pg_postmaster_start_time() AND claim_key = $8
                            FROM standing))";

const EVENTS: &str = "INSERT INTO events (stream_id, stream_version, event_id, previous_id, topic,
     event_type, occurred_at, correlation_id, causation_id, actor, traceparent, changed, value,
     published_partition, published_offset)";

/// Most decisions are one event, and plain values cost the server less than arrays do.
const ONE: &str = "SELECT $1, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
     string_to_array($19, ','), $20, $21, $22 FROM moved";

const MANY: &str = "SELECT $1, n.version, n.event_id, n.previous_id, n.topic, n.event_type,
     n.occurred_at, n.correlation_id, n.causation_id, n.actor, n.traceparent,
     string_to_array(n.changed, ','), n.value, n.partition, n.log_offset
     FROM UNNEST($9::bigint[], $10::uuid[], $11::uuid[], $12::text[], $13::text[],
                 $14::timestamptz[], $15::text[], $16::text[], $17::text[], $18::text[],
                 $19::text[], $20::bytea[], $21::int[], $22::bigint[])
          AS n(version, event_id, previous_id, topic, event_type, occurred_at, correlation_id,
               causation_id, actor, traceparent, changed, value, partition, log_offset)
     WHERE EXISTS (SELECT FROM moved) ORDER BY n.version";

fn statement(is_new: bool, is_one: bool) -> &'static str {
    static STATEMENTS: LazyLock<[String; 4]> = LazyLock::new(|| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(is_new, is_one)| {
            let (stream, behind) =
                if is_new { (BEGIN, "ON CONFLICT (stream_id) DO NOTHING") } else { (MOVE, "") };
            let rows = if is_one { ONE } else { MANY };
            format!(
                "WITH moved AS ({stream} {OPEN} {behind} RETURNING 1), written AS ({EVENTS} {rows})
                 SELECT FROM moved"
            )
        })
    });
    &STATEMENTS[usize::from(is_new) * 2 + usize::from(is_one)]
}

/// Moves the stream and writes its events, if it stands where it is expected and the store is open.
pub(super) async fn write(
    connection: &mut PgConnection,
    append: &Append,
    guard: Guard<'_>,
) -> Result<bool, sqlx::Error> {
    let Some(last) = append.events.last() else { return Ok(false) };
    let (is_any, claim_key) = match guard {
        Guard::Open(claim_key) => (false, Some(&claim_key[..])),
        Guard::Any => (true, None),
    };
    let is_new = append.expected_version == 0;
    let moving = sqlx::query(statement(is_new, append.events.len() == 1))
        .bind(&append.stream_id)
        .bind(last.version.cast_signed())
        .bind(last.event_id)
        .bind(&append.state.json)
        .bind(append.state.revision)
        .bind(append.expected_version.cast_signed())
        .bind(is_any)
        .bind(claim_key);
    let moving = match &append.events[..] {
        [event] => bind_one(moving, event),
        events => bind_many(moving, events),
    };
    Ok(moving.fetch_optional(connection).await?.is_some())
}

/// Version and last event stay as they are.
pub(super) async fn replace_state(
    pool: &PgPool,
    stream_id: &str,
    version: u64,
    state: &State,
) -> Result<bool, sqlx::Error> {
    let statement = "UPDATE streams SET state = $3, state_revision = $4
                     WHERE stream_id = $1 AND version = $2 AND state_revision < $4";
    let replaced = sqlx::query(statement)
        .bind(stream_id)
        .bind(version.cast_signed())
        .bind(&state.json)
        .bind(state.revision)
        .execute(pool)
        .await?;
    Ok(replaced.rows_affected() > 0)
}

type Statement<'a> = Query<'a, Postgres, PgArguments>;

fn bind_one<'a>(statement: Statement<'a>, event: &'a Event) -> Statement<'a> {
    statement
        .bind(event.version.cast_signed())
        .bind(event.event_id)
        .bind(event.previous_id)
        .bind(&event.topic)
        .bind(&event.event_type)
        .bind(datetime(event.occurred_at))
        .bind(&event.correlation_id)
        .bind(&event.causation_id)
        .bind(&event.actor)
        .bind(&event.traceparent)
        .bind(event.changed.join(","))
        .bind(&event.value)
        .bind(event.place.map(|place| place.partition))
        .bind(event.place.map(|place| place.offset))
}

fn bind_many<'a>(statement: Statement<'a>, events: &'a [Event]) -> Statement<'a> {
    statement
        .bind(column(events, |e| e.version.cast_signed()))
        .bind(column(events, |e| e.event_id))
        .bind(column(events, |e| e.previous_id))
        .bind(column(events, |e| e.topic.as_str()))
        .bind(column(events, |e| e.event_type.as_str()))
        .bind(column(events, |e| datetime(e.occurred_at)))
        .bind(column(events, |e| e.correlation_id.as_deref()))
        .bind(column(events, |e| e.causation_id.as_deref()))
        .bind(column(events, |e| e.actor.as_deref()))
        .bind(column(events, |e| e.traceparent.as_deref()))
        .bind(column(events, |e| e.changed.join(",")))
        .bind(column(events, |e| e.value.as_slice()))
        .bind(column(events, |e| e.place.map(|place| place.partition)))
        .bind(column(events, |e| e.place.map(|place| place.offset)))
}

/// One value of each row, as `UNNEST` takes them.
pub(super) fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
