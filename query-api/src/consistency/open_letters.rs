//! Open letters that concern a page, as the transaction of its rows sees them.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use super::{OldestLetter, OpenLetters};
use crate::positions::map::Need;

/// Whose letters keep a page from showing what a token asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose<'a> {
    /// Everybody's of the partition: the page is of all streams.
    Everybody,
    /// Those of one stream; one of no known stream counts at the very offset that is needed.
    Stream(&'a str),
}

/// A line for each need where letters are open.
const FIND: &str = "
    SELECT n.number, count(*) FILTER (WHERE l.log_offset <= n.log_offset),
           min(l.log_offset), (array_agg(l.state ORDER BY l.log_offset))[1],
           extract(epoch FROM clock_timestamp() - min(l.log_time))::float8
    FROM UNNEST($3::int[], $4::text[], $5::int[], $6::int[], $7::bigint[])
         AS n(number, topic, epoch, partition, log_offset)
    JOIN letters l USING (topic, epoch, partition)
    WHERE l.projection = $1 AND l.settled_at IS NULL
      AND l.generation = (SELECT g.generation FROM generations g
                          WHERE g.projection = $1 AND g.state = 'active')
      AND ($2::text IS NULL OR l.stream_id = $2
           OR (l.stream_id IS NULL AND l.log_offset = n.log_offset))
    GROUP BY n.number";

/// The open letters where these needs look.
pub(crate) async fn find(
    connection: &mut PgConnection,
    projection: &str,
    whose: Whose<'_>,
    needs: &[Need],
) -> Result<Vec<OpenLetters>, sqlx::Error> {
    let stream = match whose {
        Whose::Everybody => None,
        Whose::Stream(stream) => Some(stream),
    };
    // No topic has an epoch, a partition or an offset beyond what the database's numbers hold.
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let lines: Vec<(i32, i64, i64, String, f64)> = sqlx::query_as(FIND)
        .bind(projection)
        .bind(stream)
        .bind((0_i32..).take(needs.len()).collect::<Vec<_>>())
        .bind(needs.iter().map(|need| need.log.topic.as_str()).collect::<Vec<_>>())
        .bind(needs.iter().map(|need| number(need.log.epoch)).collect::<Vec<_>>())
        .bind(needs.iter().map(|need| number(need.log.partition)).collect::<Vec<_>>())
        .bind(needs.iter().map(|n| i64::try_from(n.offset).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let letters = lines.into_iter().filter_map(|(number, lacking, offset, state, age)| {
        let need = needs.get(usize::try_from(number).ok()?)?;
        // A clock of the broker that is ahead makes no negative age.
        let age = Duration::try_from_secs_f64(age.max(0.0)).unwrap_or(Duration::MAX);
        let oldest = OldestLetter { offset: offset.unsigned_abs(), state, age };
        Some(OpenLetters { log: need.log.clone(), lacking: lacking.unsigned_abs(), oldest })
    });
    Ok(letters.collect())
}
