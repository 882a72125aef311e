//! The statements by which a lane's transaction writes letters and learns of those before it.

use std::collections::{BTreeMap, BTreeSet};

use kafka_io::record_reader::OwnedRecord;
use sqlx::PgConnection;
use uuid::Uuid;

use super::brake::{OPEN_PER_KEY, OPEN_PER_PARTITION};
use super::set_aside::SetAside;
use super::{LetterState, rest_after};
use crate::runner::sequence::Link;
use crate::runner::{Move, Scope, to_datetime};

/// A letter to be written.
pub(crate) struct NewLetter<'a> {
    pub(crate) id: Uuid,
    pub(crate) aside: &'a SetAside,
    /// `Retrying`, `Parked` where no wait mends it, or `Blocked` behind an earlier one.
    pub(crate) state: LetterState,
    pub(crate) record: OwnedRecord,
}

/// Offsets among the records of these moves that are letters already: they have their fate.
pub(crate) async fn known(
    connection: &mut PgConnection,
    scope: &Scope,
    moves: &[Move],
) -> Result<BTreeSet<(i32, i64)>, sqlx::Error> {
    let rows: Vec<(i32, i64)> = sqlx::query_as(
        "SELECT l.partition, l.log_offset
         FROM UNNEST($5::int[], $6::bigint[], $7::bigint[]) AS m(partition, floor, next_offset)
         JOIN letters l ON l.projection = $1 AND l.generation = $2 AND l.topic = $3 AND l.epoch = $4
          AND l.partition = m.partition AND l.log_offset >= m.floor AND l.log_offset < m.next_offset",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(moves.iter().map(|m| m.partition).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.advance.from).collect::<Vec<_>>())
    .bind(moves.iter().map(|m| m.advance.to).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Writes letters with their first try, and notes on the position that there are letters.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    scope: &Scope,
    letters: &[NewLetter<'_>],
) -> Result<(), sqlx::Error> {
    for letter in letters {
        insert_one(&mut *connection, scope, letter).await?;
    }
    let mut newest: BTreeMap<i32, i64> = BTreeMap::new();
    for letter in letters {
        let offset = newest.entry(letter.aside.partition).or_insert(-1);
        *offset = letter.aside.position.offset.max(*offset);
    }
    sqlx::query(
        "UPDATE positions p SET last_letter = greatest(p.last_letter, n.log_offset)
         FROM UNNEST($5::int[], $6::bigint[]) AS n(partition, log_offset)
         WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $3 AND p.epoch = $4
           AND p.partition = n.partition",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(newest.keys().copied().collect::<Vec<_>>())
    .bind(newest.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

async fn insert_one(
    connection: &mut PgConnection,
    scope: &Scope,
    letter: &NewLetter<'_>,
) -> Result<(), sqlx::Error> {
    let NewLetter { id, aside, state, record } = letter;
    let (names, values): (Vec<&str>, Vec<Option<&[u8]>>) =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).unzip();
    // A letter that waits behind another has not been tried.
    let attempts = i32::from(*state != LetterState::Blocked);
    let rest = rest_after(attempts).filter(|_| *state == LetterState::Retrying);
    sqlx::query(
        "WITH letter AS (
             INSERT INTO letters (id, projection, generation, topic, epoch, partition, log_offset,
                                  log_time, stream_id, key, value, header_names, header_values,
                                  state, error_class, error_code, error_message, attempts,
                                  next_try_at, stream_version, event_id, previous_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                     $18, now() + $19 * interval '1 second', $20, $21, $22)
             RETURNING id)
         INSERT INTO letter_tries (letter_id, tried_by, outcome, error_class, error_code,
                                   error_message)
         SELECT id, 'projector', $14, $15, $16, $17 FROM letter",
    )
    .bind(id)
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(&scope.topic)
    .bind(scope.epoch)
    .bind(aside.partition)
    .bind(aside.position.offset)
    .bind(to_datetime(aside.log_time))
    .bind(&aside.stream_id)
    .bind(&record.key)
    .bind(&record.value)
    .bind(names)
    .bind(values)
    .bind(state.as_str())
    .bind(aside.failure.class.label())
    .bind(&aside.failure.code)
    .bind(&aside.failure.message)
    .bind(attempts)
    .bind(rest.map(|rest| rest.as_secs_f64()))
    .bind(aside.link.as_ref().map(Link::stored_version))
    .bind(aside.link.map(|link| link.event_id))
    .bind(aside.link.and_then(|link| link.previous_id))
    .execute(&mut *connection)
    .await?;
    match state {
        LetterState::Parked => notice(connection, *id).await,
        _ => Ok(()),
    }
}

/// Has a letter told of on `events-dlq`, once.
pub(crate) async fn notice(connection: &mut PgConnection, letter: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO letter_notices (letter_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(letter)
        .execute(connection)
        .await
        .map(drop)
}

/// Why there may be no more letters: a key or a partition has as many open as it may have, these
/// included. Ids reused do not count: they are a client's doing, and would let it stop the others.
pub(crate) async fn over_the_cap(
    connection: &mut PgConnection,
    scope: &Scope,
    partitions: &BTreeSet<i32>,
) -> Result<Option<String>, sqlx::Error> {
    for partition in partitions {
        let (open, of_one_key): (i64, Option<i64>) = sqlx::query_as(
            "WITH by_key AS (
                 SELECT stream_id, count(*) AS letters FROM letters
                 WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
                   AND partition = $5 AND settled_at IS NULL AND error_code <> 'id-reused'
                 GROUP BY stream_id)
             SELECT coalesce(sum(letters), 0)::bigint,
                    max(letters) FILTER (WHERE stream_id IS NOT NULL)
             FROM by_key",
        )
        .bind(scope.projection)
        .bind(scope.generation)
        .bind(&scope.topic)
        .bind(scope.epoch)
        .bind(partition)
        .fetch_one(&mut *connection)
        .await?;
        if of_one_key.is_some_and(|letters| letters > OPEN_PER_KEY) {
            return Ok(Some(format!(
                "a key of partition {partition} has more than {OPEN_PER_KEY} open letters"
            )));
        }
        if open > OPEN_PER_PARTITION {
            return Ok(Some(format!(
                "partition {partition} has more than {OPEN_PER_PARTITION} open letters"
            )));
        }
    }
    Ok(None)
}
