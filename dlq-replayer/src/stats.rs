//! `stats`: how many letters there are, and what stands still because of them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::console::Console;
use crate::database;
use crate::exit::Exit;
use crate::since::{age, age_seconds, rfc3339};
use crate::table::{self, Column, printable};
use crate::trouble::Trouble;

/// A build of a projection.
#[derive(Debug, sqlx::FromRow)]
struct Build {
    projection: String,
    generation: i32,
    state: String,
    brake: Option<String>,
    braked_at: Option<DateTime<Utc>>,
    parked_keys: i64,
    unpublished: i64,
    oldest_unpublished: Option<DateTime<Utc>>,
}

/// Letters of a build in one state that failed alike.
#[derive(Debug, sqlx::FromRow)]
struct Count {
    projection: String,
    generation: i32,
    state: String,
    error_class: String,
    letters: i64,
    oldest: DateTime<Utc>,
    newest: DateTime<Utc>,
}

/// All counts, as of one moment.
struct Stats {
    now: DateTime<Utc>,
    builds: Vec<Build>,
    counts: Vec<Count>,
}

/// Shows the counts of one projection or of all.
pub(crate) async fn run(
    connection: &mut PgConnection,
    console: &mut Console<'_>,
    projection: Option<&str>,
    as_json: bool,
) -> Result<Exit, Trouble> {
    let stats = read(connection, projection).await?;
    if as_json {
        console.document(&document(&stats))?;
    } else {
        console.lines(text(&stats))?;
    }
    Ok(if stats.builds.is_empty() { Exit::NothingMatched } else { Exit::Done })
}

async fn read(connection: &mut PgConnection, projection: Option<&str>) -> Result<Stats, Trouble> {
    let mut snapshot = database::snapshot(connection).await?;
    let now = database::now(&mut snapshot).await?;
    let builds = sqlx::query_as(
        "SELECT g.projection, g.generation, g.state, g.brake, g.braked_at,
                (SELECT coalesce(sum(p.parked_keys), 0)::bigint FROM positions p
                 WHERE p.projection = g.projection AND p.generation = g.generation) AS parked_keys,
                n.unpublished, n.oldest_unpublished
         FROM generations g,
              LATERAL (SELECT count(*) AS unpublished, min(n.created_at) AS oldest_unpublished
                       FROM letter_notices n JOIN letters l ON l.id = n.letter_id
                       WHERE n.published_at IS NULL AND l.projection = g.projection
                         AND l.generation = g.generation) n
         WHERE g.state <> 'retired' AND ($1::text IS NULL OR g.projection = $1)
         ORDER BY g.projection, g.generation",
    )
    .bind(projection)
    .fetch_all(&mut *snapshot)
    .await
    .map_err(Trouble::database("reading the generations"))?;
    let counts = sqlx::query_as(
        "SELECT l.projection, l.generation, l.state, l.error_class, count(*) AS letters,
                min(l.first_failed_at) AS oldest, max(l.first_failed_at) AS newest
         FROM letters l JOIN generations g USING (projection, generation)
         WHERE g.state <> 'retired' AND ($1::text IS NULL OR l.projection = $1)
         GROUP BY 1, 2, 3, 4
         ORDER BY 1, 2,
             array_position('{retrying,parked,blocked,applied,superseded,duplicate,discarded}'::text[],
                            l.state), 4",
    )
    .bind(projection)
    .fetch_all(&mut *snapshot)
    .await
    .map_err(Trouble::database("counting letters"))?;
    Ok(Stats { now, builds, counts })
}

fn text(stats: &Stats) -> Vec<String> {
    if stats.builds.is_empty() {
        return vec!["there is no such projection".to_owned()];
    }
    let blocks = stats.builds.iter().map(|build| block(stats, build));
    blocks.collect::<Vec<_>>().join(&String::new())
}

fn block(stats: &Stats, build: &Build) -> Vec<String> {
    let Build { projection, generation, state, .. } = build;
    let mut lines = vec![format!("{}, generation {generation}, {state}", printable(projection))];
    if let Some(brake) = &build.brake {
        let since =
            build.braked_at.map_or_else(String::new, |at| format!(" {} ago", age(stats.now, at)));
        lines.push(format!("  stopped itself{since}: {}", printable(brake)));
        lines.push(format!(
            "  once the cause is removed: dlq-replayer resume {projection} --reason \"...\""
        ));
    }
    if build.parked_keys > 0 {
        lines.push(format!("  streams that wait behind a letter: {}", build.parked_keys));
    }
    if let Some(oldest) = build.oldest_unpublished {
        let (count, age) = (build.unpublished, age(stats.now, oldest));
        lines.push(format!("  copies not yet on events-dlq: {count}, the oldest for {age}"));
    }
    match counts(stats, build) {
        rows if rows.is_empty() => lines.push("  no letters".to_owned()),
        rows => {
            let columns = ["STATE", "CLASS", "LETTERS", "OLDEST", "NEWEST"].map(Column::whole);
            lines.extend(table::indented(&columns, &rows));
        }
    }
    lines
}

fn counts(stats: &Stats, build: &Build) -> Vec<Vec<String>> {
    of_build(stats, build)
        .map(|count| {
            vec![
                count.state.clone(),
                count.error_class.clone(),
                count.letters.to_string(),
                age(stats.now, count.oldest),
                age(stats.now, count.newest),
            ]
        })
        .collect()
}

fn of_build<'a>(stats: &'a Stats, build: &'a Build) -> impl Iterator<Item = &'a Count> {
    let is_of = |count: &&Count| {
        count.projection == build.projection && count.generation == build.generation
    };
    stats.counts.iter().filter(is_of)
}

fn document(stats: &Stats) -> Value {
    let projections: Vec<Value> = stats
        .builds
        .iter()
        .map(|build| {
            let letters: Vec<Value> = of_build(stats, build)
                .map(|count| {
                    json!({
                        "state": count.state,
                        "error_class": count.error_class,
                        "letters": count.letters,
                        "oldest_age_seconds": age_seconds(stats.now, count.oldest),
                        "oldest_failed_at": rfc3339(count.oldest),
                        "newest_failed_at": rfc3339(count.newest),
                    })
                })
                .collect();
            let oldest = build.oldest_unpublished.map(|at| age_seconds(stats.now, at));
            json!({
                "projection": build.projection,
                "generation": build.generation,
                "generation_state": build.state,
                "brake": build.brake,
                "braked_at": build.braked_at.map(rfc3339),
                "parked_keys": build.parked_keys,
                "unpublished_notices": build.unpublished,
                "oldest_unpublished_notice_age_seconds": oldest,
                "letters": letters,
            })
        })
        .collect();
    json!({"at": rfc3339(stats.now), "projections": projections})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(brake: Option<&str>) -> Build {
        let at = DateTime::from_timestamp(1_772_366_400, 0).unwrap();
        Build {
            projection: "resource".to_owned(),
            generation: 1,
            state: "active".to_owned(),
            brake: brake.map(str::to_owned),
            braked_at: brake.map(|_| at - chrono::TimeDelta::minutes(5)),
            parked_keys: 0,
            unpublished: 0,
            oldest_unpublished: None,
        }
    }

    fn stats(build: Build) -> Stats {
        let now = DateTime::from_timestamp(1_772_366_400, 0).unwrap();
        Stats { now, builds: vec![build], counts: Vec::new() }
    }

    #[test]
    fn a_projection_without_letters_is_told_too() {
        assert_eq!(text(&stats(build(None))), ["resource, generation 1, active", "  no letters"]);
    }

    #[test]
    fn a_brake_is_told_with_its_reason_and_what_to_do() {
        let lines = text(&stats(build(Some("5 in a row")))).join("\n");
        assert!(lines.contains("stopped itself 5m 0s ago: 5 in a row"), "{lines}");
        assert!(lines.contains("dlq-replayer resume resource --reason"), "{lines}");
    }
}
