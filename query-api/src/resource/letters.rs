//! Reading rows together with the open letters that concern readers with tokens.
//!
//! Nearly always there are none in the partitions concerned, and the rows are read with no more than
//! one look into an index beside them. Only where there are some is all of it asked for again,
//! letter by letter. Either way rows and letters are of one moment.

use std::time::Duration;

use read_models::resource::ResourceColumns;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow as _, Row as _};

use super::row::ResourceKey;
use crate::consistency::{OldestLetter, OpenLetters};
use crate::positions::map::Need;

/// Rows, and one line more where any of these partitions has open letters.
const FIND_ROWS: &str = "
    SELECT r.id, r.generation, r.payload::text, r.version, r.occurred_at, r.recorded_at,
           r.updated_at, r.log_epoch, r.log_offset, false
    FROM resource_rows r
    WHERE r.id = ANY($1)
      AND r.generation = (SELECT g.generation FROM generations g
                          WHERE g.projection = 'resource' AND g.state = 'active')
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, true
    FROM generations g
    WHERE g.projection = 'resource' AND g.state = 'active'
      AND EXISTS (SELECT FROM letters l
                  WHERE l.projection = 'resource' AND l.generation = g.generation
                    AND l.topic = ANY($2) AND l.epoch = ANY($3) AND l.partition = ANY($4)
                    AND l.settled_at IS NULL)";

/// Rows, and for each need a line where letters are open. A letter counts if it is of the reader's
/// device; one of no known stream counts at the very offset that is needed.
const FIND_ROWS_AND_LETTERS: &str = "
    WITH active AS (SELECT g.generation FROM generations g
                    WHERE g.projection = 'resource' AND g.state = 'active')
    SELECT r.id, r.generation, r.payload::text, r.version, r.occurred_at, r.recorded_at,
           r.updated_at, r.log_epoch, r.log_offset,
           NULL::int, NULL::bigint, NULL::bigint, NULL::text, NULL::float8
    FROM resource_rows r
    WHERE r.id = ANY($1) AND r.generation = (SELECT generation FROM active)
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           n.number, l.lacking, l.oldest_offset, l.oldest_state, l.oldest_age
    FROM UNNEST($2::int[], $3::text[], $4::text[], $5::int[], $6::int[], $7::bigint[])
         AS n(number, stream_id, topic, epoch, partition, log_offset)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE o.log_offset <= n.log_offset) AS lacking,
               min(o.log_offset) AS oldest_offset,
               (array_agg(o.state ORDER BY o.log_offset))[1] AS oldest_state,
               extract(epoch FROM clock_timestamp() - min(o.log_time))::float8 AS oldest_age
        FROM (
            SELECT s.log_offset, s.state, s.log_time FROM letters s
            WHERE s.projection = 'resource' AND s.generation = (SELECT generation FROM active)
              AND s.topic = n.topic AND s.epoch = n.epoch AND s.partition = n.partition
              AND s.stream_id = n.stream_id AND s.settled_at IS NULL
            UNION ALL
            SELECT s.log_offset, s.state, s.log_time FROM letters s
            WHERE s.projection = 'resource' AND s.generation = (SELECT generation FROM active)
              AND s.topic = n.topic AND s.epoch = n.epoch AND s.partition = n.partition
              AND s.stream_id IS NULL AND s.log_offset = n.log_offset AND s.settled_at IS NULL
        ) o
        HAVING count(*) > 0
    ) l";

/// Where the columns of letters begin, behind those of a row.
const LETTERS: usize = 9;

/// One need of one reader.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought<'a> {
    /// Which of the keys it is of.
    reader: usize,
    stream_id: &'a str,
    need: &'a Need,
}

impl<'a> Sought<'a> {
    /// Every need of every reader.
    pub(super) fn of_all(keys: &'a [ResourceKey]) -> Vec<Self> {
        let of_reader = |(reader, key): (usize, &'a ResourceKey)| {
            key.unsure.iter().map(move |need| Self { reader, stream_id: &key.id, need })
        };
        keys.iter().enumerate().flat_map(of_reader).collect()
    }
}

/// Rows of some devices, and letters with the index of the key that they are for.
pub(super) type RowsAndLetters = (Vec<ResourceColumns>, Vec<(usize, OpenLetters)>);

/// The rows of these devices and the letters that concern their readers.
pub(super) async fn find(
    connection: &mut PgConnection,
    ids: &[&str],
    sought: &[Sought<'_>],
) -> Result<RowsAndLetters, sqlx::Error> {
    match rows_without_letters(&mut *connection, ids, sought).await? {
        Some(rows) => Ok((rows, Vec::new())),
        None => rows_and_letters(connection, ids, sought).await,
    }
}

/// `None` where a partition has open letters, perhaps of others.
async fn rows_without_letters(
    connection: &mut PgConnection,
    ids: &[&str],
    sought: &[Sought<'_>],
) -> Result<Option<Vec<ResourceColumns>>, sqlx::Error> {
    let lines = sqlx::query(FIND_ROWS)
        .bind(ids)
        .bind(sought.iter().map(|sought| sought.need.log.topic.as_str()).collect::<Vec<_>>())
        .bind(sought.iter().map(|sought| signed(sought.need.log.epoch)).collect::<Vec<_>>())
        .bind(sought.iter().map(|sought| signed(sought.need.log.partition)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let mut rows = Vec::with_capacity(lines.len());
    for line in &lines {
        if line.try_get(LETTERS)? {
            return Ok(None);
        }
        rows.push(ResourceColumns::from_row(line)?);
    }
    Ok(Some(rows))
}

async fn rows_and_letters(
    connection: &mut PgConnection,
    ids: &[&str],
    sought: &[Sought<'_>],
) -> Result<RowsAndLetters, sqlx::Error> {
    let lines = sqlx::query(FIND_ROWS_AND_LETTERS)
        .bind(ids)
        .bind((0_i32..).take(sought.len()).collect::<Vec<_>>())
        .bind(sought.iter().map(|sought| sought.stream_id).collect::<Vec<_>>())
        .bind(sought.iter().map(|sought| sought.need.log.topic.as_str()).collect::<Vec<_>>())
        .bind(sought.iter().map(|sought| signed(sought.need.log.epoch)).collect::<Vec<_>>())
        .bind(sought.iter().map(|sought| signed(sought.need.log.partition)).collect::<Vec<_>>())
        .bind(sought.iter().map(|sought| signed_offset(sought.need.offset)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let (mut rows, mut letters) = (Vec::new(), Vec::new());
    for line in &lines {
        let Some(number) = line.try_get::<Option<i32>, _>(LETTERS)? else {
            rows.push(ResourceColumns::from_row(line)?);
            continue;
        };
        if let Some(sought) = usize::try_from(number).ok().and_then(|n| sought.get(n)) {
            letters.push((sought.reader, open_letters(line, sought.need)?));
        }
    }
    Ok((rows, letters))
}

fn open_letters(line: &PgRow, need: &Need) -> Result<OpenLetters, sqlx::Error> {
    let lacking: i64 = line.try_get(LETTERS + 1)?;
    let offset: i64 = line.try_get(LETTERS + 2)?;
    let state = line.try_get(LETTERS + 3)?;
    let age: f64 = line.try_get(LETTERS + 4)?;
    Ok(OpenLetters {
        log: need.log.clone(),
        lacking: u64::try_from(lacking).unwrap_or_default(),
        oldest: OldestLetter {
            offset: u64::try_from(offset).unwrap_or_default(),
            state,
            // A clock of the broker that is ahead makes no negative age.
            age: Duration::try_from_secs_f64(age.max(0.0)).unwrap_or(Duration::MAX),
        },
    })
}

/// No topic has an epoch or a partition beyond what the database's numbers hold.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// No log has an offset beyond what the database's numbers hold.
fn signed_offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
