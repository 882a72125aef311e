//! A letter without its record: what lists and actions need of it.

use chrono::{DateTime, Utc};
use projector::letters::LetterState;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use crate::selection::{Filters, Selection};
use crate::since::{age_seconds, rfc3339};
use crate::trouble::Trouble;

/// The columns that [`Letter::of`] reads.
pub(crate) const COLUMNS: &str = "l.id, l.projection, l.generation, l.topic, l.epoch, l.partition, \
    l.log_offset, l.log_time, l.stream_id, l.state, l.error_class, l.error_code, l.error_message, \
    l.attempts, l.first_failed_at, l.last_tried_at, l.next_try_at, l.settled_at";

/// A record set aside, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its name.
    pub id: Uuid,
    /// The projection that failed.
    pub projection: String,
    /// Which build of the projection.
    pub generation: i32,
    /// Topic of the record.
    pub topic: String,
    /// Which life of the topic.
    pub epoch: i32,
    /// Partition of the record.
    pub partition: i32,
    /// Offset of the record.
    pub log_offset: i64,
    /// When the log took the record.
    pub log_time: DateTime<Utc>,
    /// Whose record it is, where its key is a text.
    pub stream_id: Option<String>,
    /// What has become of it.
    pub state: LetterState,
    /// Class of its last failure.
    pub error_class: String,
    /// Code of its last failure.
    pub error_code: String,
    /// Sentence of its last failure, without values.
    pub error_message: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it failed first.
    pub first_failed_at: DateTime<Utc>,
    /// When it was tried last.
    pub last_tried_at: DateTime<Utc>,
    /// When it is tried again by itself.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
}

impl Letter {
    pub(crate) fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        Ok(Self {
            id: row.try_get("id")?,
            projection: row.try_get("projection")?,
            generation: row.try_get("generation")?,
            topic: row.try_get("topic")?,
            epoch: row.try_get("epoch")?,
            partition: row.try_get("partition")?,
            log_offset: row.try_get("log_offset")?,
            log_time: row.try_get("log_time")?,
            stream_id: row.try_get("stream_id")?,
            state: LetterState::find(&state)
                .ok_or_else(|| sqlx::Error::Decode(format!("no state {state}").into()))?,
            error_class: row.try_get("error_class")?,
            error_code: row.try_get("error_code")?,
            error_message: row.try_get("error_message")?,
            attempts: row.try_get("attempts")?,
            first_failed_at: row.try_get("first_failed_at")?,
            last_tried_at: row.try_get("last_tried_at")?,
            next_try_at: row.try_get("next_try_at")?,
            settled_at: row.try_get("settled_at")?,
        })
    }

    /// Topic, partition and offset, as tools write them.
    pub(crate) fn coordinates(&self) -> String {
        format!("{}[{}]@{}", self.topic, self.partition, self.log_offset)
    }

    /// The stream, or a dash where there is none.
    pub(crate) fn stream(&self) -> &str {
        self.stream_id.as_deref().unwrap_or("-")
    }

    /// The documented object.
    pub(crate) fn json(&self, now: DateTime<Utc>) -> Value {
        json!({
            "id": self.id.to_string(),
            "projection": self.projection,
            "generation": self.generation,
            "topic": self.topic,
            "epoch": self.epoch,
            "partition": self.partition,
            "log_offset": self.log_offset,
            "log_time": rfc3339(self.log_time),
            "stream_id": self.stream_id,
            "state": self.state.as_str(),
            "error_class": self.error_class,
            "error_code": self.error_code,
            "error_message": self.error_message,
            "attempts": self.attempts,
            "age_seconds": age_seconds(now, self.first_failed_at),
            "first_failed_at": rfc3339(self.first_failed_at),
            "last_tried_at": rfc3339(self.last_tried_at),
            "next_try_at": self.next_try_at.map(rfc3339),
            "settled_at": self.settled_at.map(rfc3339),
        })
    }
}

/// Letters to which something is to be done.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Those taken, in the order of the log within each key.
    pub(crate) letters: Vec<Letter>,
    /// How many match, taken or not.
    pub(crate) matched: usize,
    /// Ids that were named and are no letters.
    pub(crate) unknown: Vec<Uuid>,
}

/// Looks for the letters that are meant; `max` bounds how many are taken.
///
/// # Errors
/// [`Trouble::Refused`] where more than `cap` match and no `max` says how many are meant.
pub(crate) async fn select(
    connection: &mut PgConnection,
    selection: &Selection,
    max: Option<u32>,
    cap: u32,
) -> Result<Selected, Trouble> {
    let (letters, unknown) = match selection {
        Selection::Ids(ids) => {
            let letters = by_ids(connection, ids).await?;
            let mut unknown: Vec<Uuid> = Vec::new();
            for id in ids {
                if !unknown.contains(id) && letters.iter().all(|letter| letter.id != *id) {
                    unknown.push(*id);
                }
            }
            (letters, unknown)
        }
        Selection::Filters(filters) => {
            let matched = count(connection, filters).await?;
            within(matched, max, cap)?;
            let letters = by_filters(connection, filters, max.unwrap_or(cap)).await?;
            return Ok(Selected {
                matched: matched.max(letters.len()),
                letters,
                unknown: Vec::new(),
            });
        }
    };
    within(letters.len(), max, cap)?;
    let matched = letters.len();
    let taken = max.map_or(matched, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let letters = letters.into_iter().take(taken).collect();
    Ok(Selected { letters, matched, unknown })
}

/// Refuses more than the cap, unless it was said how many are meant.
fn within(matched: usize, max: Option<u32>, cap: u32) -> Result<(), Trouble> {
    let is_over = usize::try_from(cap).is_ok_and(|cap| matched > cap);
    if max.is_none() && is_over {
        return Err(Trouble::Refused(format!(
            "{matched} letters match, more than {cap} at once: narrow the filters, or say how many \
             with --max N"
        )));
    }
    Ok(())
}

async fn by_ids(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Letter>, Trouble> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT ");
    query.push(COLUMNS).push(" FROM letters l WHERE l.id = ANY(").push_bind(ids.to_vec()).push(")");
    query.push(LOG_ORDER);
    fetch(connection, &mut query).await
}

async fn by_filters(
    connection: &mut PgConnection,
    filters: &Filters,
    limit: u32,
) -> Result<Vec<Letter>, Trouble> {
    let now = crate::database::now(&mut *connection).await?;
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT ");
    query.push(COLUMNS);
    filters.push(&mut query, now);
    query.push(LOG_ORDER).push(" LIMIT ").push_bind(i64::from(limit));
    fetch(connection, &mut query).await
}

const LOG_ORDER: &str = " ORDER BY l.projection, l.generation, l.topic, l.epoch, l.partition, \
    l.log_offset";

async fn count(connection: &mut PgConnection, filters: &Filters) -> Result<usize, Trouble> {
    let now = crate::database::now(&mut *connection).await?;
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT count(*)");
    filters.push(&mut query, now);
    let count: i64 = query
        .build_query_scalar()
        .fetch_one(connection)
        .await
        .map_err(Trouble::database("counting letters"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

pub(crate) async fn fetch(
    connection: &mut PgConnection,
    query: &mut QueryBuilder<Postgres>,
) -> Result<Vec<Letter>, Trouble> {
    let rows =
        query.build().fetch_all(connection).await.map_err(Trouble::database("reading letters"))?;
    rows.iter()
        .map(Letter::of)
        .collect::<Result<_, _>>()
        .map_err(Trouble::database("reading letters"))
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// A parked letter of a stream at an offset.
    pub(crate) fn a_letter(stream_id: Option<&str>, partition: i32, log_offset: i64) -> Letter {
        let at = DateTime::from_timestamp(1_772_366_400, 0).unwrap();
        Letter {
            id: Uuid::from_u128(log_offset.cast_unsigned().into()),
            projection: "resource".to_owned(),
            generation: 1,
            topic: "events-input".to_owned(),
            epoch: 1,
            partition,
            log_offset,
            log_time: at,
            stream_id: stream_id.map(str::to_owned),
            state: LetterState::Parked,
            error_class: "poison".to_owned(),
            error_code: "22P05".to_owned(),
            error_message: "the database refused while writing rows".to_owned(),
            attempts: 4,
            first_failed_at: at,
            last_tried_at: at,
            next_try_at: None,
            settled_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_cap_is_refused_unless_a_number_is_said() {
        assert!(within(500, None, 500).is_ok());
        assert!(matches!(within(501, None, 500), Err(Trouble::Refused(_))));
        assert!(within(380_000, Some(500), 500).is_ok());
    }

    #[test]
    fn the_object_has_the_documented_names() {
        let letter = samples::a_letter(Some("dev-9"), 3, 42);
        let value = letter.json(letter.first_failed_at);
        let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names.join(" "),
            "age_seconds attempts epoch error_class error_code error_message first_failed_at \
             generation id last_tried_at log_offset log_time next_try_at partition projection \
             settled_at state stream_id topic"
        );
    }
}
