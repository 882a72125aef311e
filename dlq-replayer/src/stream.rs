//! Streams that wait behind a letter: their locks, and what happens when their head is settled.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::letter::Letter;

/// Binds the coordinates of a letter's stream as `$1` to `$6`.
macro_rules! of_stream {
    ($query:expr, $letter:expr) => {
        $query
            .bind(&$letter.projection)
            .bind($letter.generation)
            .bind(&$letter.topic)
            .bind($letter.epoch)
            .bind($letter.partition)
            .bind(&$letter.stream_id)
    };
}

/// How many letters of a stream wait, and which is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Waiting {
    /// The letter that the others wait behind.
    pub(crate) head: Uuid,
    /// The head and those behind it.
    pub(crate) letters: i32,
}

/// What waits in the letter's stream, if that projection keeps the order of streams.
pub(crate) async fn waiting(
    connection: &mut PgConnection,
    letter: &Letter,
) -> Result<Option<Waiting>, sqlx::Error> {
    of_stream!(
        sqlx::query_as(
            "SELECT head, letters FROM parked_keys
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6",
        ),
        letter
    )
    .fetch_optional(connection)
    .await
}

/// Whether the letter's stream waits behind a letter; then its position and the stream are locked,
/// in the order in which a lane locks them, and before any letter.
pub(crate) async fn lock(
    transaction: &mut PgConnection,
    letter: &Letter,
) -> Result<bool, sqlx::Error> {
    if waiting(&mut *transaction, letter).await?.is_none() {
        return Ok(false);
    }
    sqlx::query(
        "SELECT FROM positions WHERE projection = $1 AND generation = $2 AND topic = $3
           AND epoch = $4 AND partition = $5 FOR UPDATE",
    )
    .bind(&letter.projection)
    .bind(letter.generation)
    .bind(&letter.topic)
    .bind(letter.epoch)
    .bind(letter.partition)
    .execute(&mut *transaction)
    .await?;
    let stream = of_stream!(
        sqlx::query(
            "SELECT FROM parked_keys
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6 FOR UPDATE",
        ),
        letter
    );
    Ok(stream.fetch_optional(transaction).await?.is_some())
}

/// Other open letters of the locked stream that hold the same decided event, which came twice; locked.
pub(crate) async fn same_event(
    transaction: &mut PgConnection,
    letter: &Letter,
) -> Result<Vec<Uuid>, sqlx::Error> {
    of_stream!(
        sqlx::query_scalar(
            "SELECT id FROM letters
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6 AND settled_at IS NULL AND id <> $7
               AND event_id = (SELECT event_id FROM letters WHERE id = $7)
             ORDER BY log_offset FOR UPDATE",
        ),
        letter
    )
    .bind(letter.id)
    .fetch_all(transaction)
    .await
}

/// After a letter of the locked stream was settled: the first open one becomes the head; where none is
/// open, the stream goes on. A head that was decided is tried by itself, since it may be the next of its
/// stream now; any other waits for somebody.
pub(crate) async fn next_head(
    transaction: &mut PgConnection,
    letter: &Letter,
) -> Result<(), sqlx::Error> {
    let open: Vec<Uuid> = of_stream!(
        sqlx::query_scalar(
            "SELECT id FROM letters
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6 AND settled_at IS NULL
             ORDER BY coalesce(stream_version, 0), log_offset",
        ),
        letter
    )
    .fetch_all(&mut *transaction)
    .await?;
    let known = waiting(&mut *transaction, letter).await?.map(|waiting| waiting.head);
    match open.first() {
        Some(head) if known == Some(*head) => count(transaction, letter, *head, open.len()).await,
        Some(head) => {
            count(&mut *transaction, letter, *head, open.len()).await?;
            promote(transaction, *head).await
        }
        None => release(transaction, letter).await,
    }
}

async fn count(
    transaction: &mut PgConnection,
    letter: &Letter,
    head: Uuid,
    letters: usize,
) -> Result<(), sqlx::Error> {
    of_stream!(
        sqlx::query(
            "UPDATE parked_keys SET head = $7, letters = $8
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6",
        ),
        letter
    )
    .bind(head)
    .bind(i32::try_from(letters).unwrap_or(i32::MAX))
    .execute(transaction)
    .await
    .map(drop)
}

async fn promote(transaction: &mut PgConnection, head: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE letters SET state = 'retrying', next_try_at = now()
         WHERE id = $1 AND stream_version IS NOT NULL",
    )
    .bind(head)
    .execute(&mut *transaction)
    .await?;
    // It waits behind nobody now, and nobody tries it by itself.
    sqlx::query(
        "WITH parked AS (
             UPDATE letters SET state = 'parked' WHERE id = $1 AND state = 'blocked' RETURNING id)
         INSERT INTO letter_notices (letter_id) SELECT id FROM parked ON CONFLICT DO NOTHING",
    )
    .bind(head)
    .execute(transaction)
    .await
    .map(drop)
}

async fn release(transaction: &mut PgConnection, letter: &Letter) -> Result<(), sqlx::Error> {
    of_stream!(
        sqlx::query(
            "DELETE FROM parked_keys
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6",
        ),
        letter
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "UPDATE positions SET parked_keys = parked_keys - 1
         WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
           AND partition = $5",
    )
    .bind(&letter.projection)
    .bind(letter.generation)
    .bind(&letter.topic)
    .bind(letter.epoch)
    .bind(letter.partition)
    .execute(transaction)
    .await
    .map(drop)
}

/// The open letters behind the head, in the order of their turns, at most `limit`.
pub(crate) async fn behind(
    connection: &mut PgConnection,
    letter: &Letter,
    head: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    of_stream!(
        sqlx::query_scalar(
            "SELECT id FROM letters
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND stream_id = $6 AND settled_at IS NULL AND id <> $7
             ORDER BY coalesce(stream_version, 0), log_offset LIMIT $8",
        ),
        letter
    )
    .bind(head)
    .bind(limit)
    .fetch_all(connection)
    .await
}
