//! `list`: letters below a summary of them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::console::Console;
use crate::database;
use crate::exit::Exit;
use crate::letter::{self, Letter};
use crate::selection::Filters;
use crate::since::{age, age_seconds, rfc3339};
use crate::table::{self, Column};
use crate::trouble::Trouble;

/// Letters that failed alike.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Group {
    projection: String,
    error_class: String,
    error_code: String,
    letters: i64,
    keys: i64,
    oldest: DateTime<Utc>,
}

/// What is listed, as of one moment.
struct Listing {
    now: DateTime<Utc>,
    groups: Vec<Group>,
    letters: Vec<Letter>,
}

impl Listing {
    fn matched(&self) -> i64 {
        self.groups.iter().map(|group| group.letters).sum()
    }
}

/// Lists the letters that match, oldest first.
pub(crate) async fn run(
    connection: &mut PgConnection,
    console: &mut Console<'_>,
    filters: &Filters,
    limit: u32,
    as_json: bool,
) -> Result<Exit, Trouble> {
    let listing = read(connection, filters, limit).await?;
    if as_json {
        console.document(&document(&listing))?;
    } else {
        console.lines(text(&listing))?;
    }
    Ok(if listing.letters.is_empty() { Exit::NothingMatched } else { Exit::Done })
}

async fn read(
    connection: &mut PgConnection,
    filters: &Filters,
    limit: u32,
) -> Result<Listing, Trouble> {
    let mut snapshot = database::snapshot(connection).await?;
    let now = database::now(&mut snapshot).await?;
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "SELECT l.projection, l.error_class, l.error_code, count(*) AS letters,
                count(DISTINCT l.stream_id) AS keys, min(l.first_failed_at) AS oldest",
    );
    filters.push(&mut query, now);
    query.push(" GROUP BY 1, 2, 3 ORDER BY letters DESC, 1, 2, 3");
    let groups = query
        .build_query_as()
        .fetch_all(&mut *snapshot)
        .await
        .map_err(Trouble::database("counting letters"))?;
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT ");
    query.push(letter::COLUMNS);
    filters.push(&mut query, now);
    query.push(" ORDER BY l.first_failed_at, l.id LIMIT ").push_bind(i64::from(limit));
    let letters = letter::fetch(&mut snapshot, &mut query).await?;
    Ok(Listing { now, groups, letters })
}

fn text(listing: &Listing) -> Vec<String> {
    if listing.letters.is_empty() {
        return vec!["no letters match".to_owned()];
    }
    let mut lines = summary(listing);
    lines.push(String::new());
    lines.extend(letters(listing));
    let (shown, matched) = (listing.letters.len(), listing.matched());
    if usize::try_from(matched).is_ok_and(|matched| matched > shown) {
        lines.push(String::new());
        lines.push(format!("{shown} of {matched} letters shown; --limit shows more"));
    }
    lines
}

fn summary(listing: &Listing) -> Vec<String> {
    let columns = [
        Column::cut("PROJECTION"),
        Column::whole("CLASS"),
        Column::cut("CODE"),
        Column::whole("LETTERS"),
        Column::whole("KEYS"),
        Column::whole("OLDEST"),
    ];
    let rows: Vec<Vec<String>> = listing
        .groups
        .iter()
        .map(|group| {
            vec![
                group.projection.clone(),
                group.error_class.clone(),
                group.error_code.clone(),
                group.letters.to_string(),
                group.keys.to_string(),
                age(listing.now, group.oldest),
            ]
        })
        .collect();
    table::lines(&columns, &rows)
}

fn letters(listing: &Listing) -> Vec<String> {
    let columns = [
        Column::whole("ID"),
        Column::whole("STATE"),
        Column::cut("KEY"),
        Column::cut("RECORD"),
        Column::cut("CODE"),
        Column::whole("TRIES"),
        Column::whole("AGE"),
    ];
    let rows: Vec<Vec<String>> = listing
        .letters
        .iter()
        .map(|letter| {
            vec![
                letter.id.to_string(),
                letter.state.as_str().to_owned(),
                letter.stream().to_owned(),
                format!("{}@{}", letter.partition, letter.log_offset),
                letter.error_code.clone(),
                letter.attempts.to_string(),
                age(listing.now, letter.first_failed_at),
            ]
        })
        .collect();
    table::lines(&columns, &rows)
}

fn document(listing: &Listing) -> Value {
    let groups: Vec<Value> = listing
        .groups
        .iter()
        .map(|group| {
            json!({
                "projection": group.projection,
                "error_class": group.error_class,
                "error_code": group.error_code,
                "letters": group.letters,
                "keys": group.keys,
                "oldest_age_seconds": age_seconds(listing.now, group.oldest),
                "oldest_failed_at": rfc3339(group.oldest),
            })
        })
        .collect();
    json!({
        "at": rfc3339(listing.now),
        "matched": listing.matched(),
        "groups": groups,
        "letters": listing.letters.iter().map(|l| l.json(listing.now)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::samples::a_letter;

    fn listing(letters: Vec<Letter>) -> Listing {
        let oldest = letters.iter().map(|l| l.first_failed_at).min().unwrap_or_default();
        Listing {
            now: oldest + chrono::TimeDelta::hours(5),
            groups: vec![Group {
                projection: "resource".to_owned(),
                error_class: "poison".to_owned(),
                error_code: "22P05".to_owned(),
                letters: 700,
                keys: 2,
                oldest,
            }],
            letters,
        }
    }

    #[test]
    fn a_listing_fits_a_page_whatever_the_keys_are() {
        let letters = vec![a_letter(Some(&"k".repeat(128)), 3, i64::MAX), a_letter(None, 11, 0)];
        let lines = text(&listing(letters));
        assert!(lines.iter().all(|line| line.chars().count() <= table::WIDTH), "{lines:#?}");
        assert_eq!(lines.last().unwrap(), "2 of 700 letters shown; --limit shows more");
    }

    #[test]
    fn a_summary_says_how_many_and_how_old() {
        let lines = text(&listing(vec![a_letter(Some("dev-9"), 3, 42)]));
        assert_eq!(
            lines[..2],
            [
                "PROJECTION  CLASS   CODE   LETTERS  KEYS  OLDEST",
                "resource    poison  22P05  700      2     5h 0m"
            ]
        );
    }

    #[test]
    fn nothing_is_said_as_such() {
        assert_eq!(text(&listing(Vec::new())), ["no letters match"]);
    }
}
