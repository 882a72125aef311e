//! `show`: everything about one letter.

mod decided;
mod record;
mod session;
mod user;

use chrono::{DateTime, Utc};
use read_models::deployment;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::console::Console;
use crate::database::{self, Database};
use crate::exit::Exit;
use crate::letter::{COLUMNS, Letter};
use crate::mask;
use crate::since::{age, rfc3339};
use crate::stream::{self, Waiting};
use crate::table::{self, Column, printable};
use crate::trouble::Trouble;
use record::{Decoders, Record};

/// The most letters behind a head that are named.
const BEHIND: i64 = 50;

#[derive(Debug, sqlx::FromRow)]
struct Try {
    tried_at: DateTime<Utc>,
    tried_by: String,
    outcome: String,
    error_class: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
}

#[derive(Debug, sqlx::FromRow)]
struct Acted {
    acted_at: DateTime<Utc>,
    acted_by: String,
    action: String,
    reason: Option<String>,
    outcome: String,
}

/// Everything about a letter, as of one moment.
struct Dossier {
    now: DateTime<Utc>,
    letter: Letter,
    record: Record,
    tries: Vec<Try>,
    actions: Vec<Acted>,
    waiting: Option<Waiting>,
    behind: Vec<Uuid>,
}

/// Shows the letter; masked values too where that is asked for, which is said.
pub(crate) async fn run(
    database: &Database,
    connection: &mut PgConnection,
    console: &mut Console<'_>,
    id: Uuid,
    reveal: bool,
    as_json: bool,
) -> Result<Exit, Trouble> {
    let Some(dossier) = read(connection, id).await? else {
        console.note(format!("there is no letter {id}"));
        return Ok(Exit::NothingMatched);
    };
    let pool = database.pool();
    let schemas =
        deployment::schemas(&pool).await.map_err(Trouble::database("reading the schema ids"))?;
    pool.close().await;
    let decoders = Decoders::new(schemas);
    if reveal {
        console.note("values that may hold persons' data are shown: keep this output to yourself");
    }
    if as_json {
        console.document(&document(&dossier, &decoders, reveal))?;
    } else {
        console.lines(text(&dossier, &decoders, reveal))?;
    }
    Ok(Exit::Done)
}

async fn read(connection: &mut PgConnection, id: Uuid) -> Result<Option<Dossier>, Trouble> {
    let doing = "reading the letter";
    let mut snapshot = database::snapshot(connection).await?;
    let now = database::now(&mut snapshot).await?;
    let sql = format!(
        "SELECT {COLUMNS}, l.key, l.value, l.header_names, l.header_values
         FROM letters l WHERE l.id = $1"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(&mut *snapshot)
        .await
        .map_err(Trouble::database(doing))?;
    let Some(row) = row else { return Ok(None) };
    let letter = Letter::of(&row).map_err(Trouble::database(doing))?;
    let record = record_of(&row).map_err(Trouble::database(doing))?;
    let tries = sqlx::query_as(
        "SELECT tried_at, tried_by, outcome, error_class, error_code, error_message
         FROM letter_tries WHERE letter_id = $1 ORDER BY tried_at LIMIT 1000",
    )
    .bind(id)
    .fetch_all(&mut *snapshot)
    .await
    .map_err(Trouble::database("reading the tries"))?;
    let actions = sqlx::query_as(
        "SELECT acted_at, acted_by, action, reason, outcome
         FROM letter_actions WHERE letter_id = $1 ORDER BY acted_at LIMIT 1000",
    )
    .bind(id)
    .fetch_all(&mut *snapshot)
    .await
    .map_err(Trouble::database("reading the actions"))?;
    let doing = "reading what waits behind the letter";
    let waiting =
        stream::waiting(&mut snapshot, &letter).await.map_err(Trouble::database(doing))?;
    let behind = match waiting {
        Some(waiting) => stream::behind(&mut snapshot, &letter, waiting.head, BEHIND)
            .await
            .map_err(Trouble::database(doing))?,
        None => Vec::new(),
    };
    Ok(Some(Dossier { now, letter, record, tries, actions, waiting, behind }))
}

fn record_of(row: &sqlx::postgres::PgRow) -> Result<Record, sqlx::Error> {
    let names: Vec<String> = row.try_get("header_names")?;
    let values: Vec<Option<Vec<u8>>> = row.try_get("header_values")?;
    Ok(Record {
        key: row.try_get("key")?,
        value: row.try_get("value")?,
        headers: names.into_iter().zip(values).collect(),
    })
}

fn text(dossier: &Dossier, decoders: &Decoders, reveal: bool) -> Vec<String> {
    let record = &dossier.record;
    let mut lines = facts(dossier);
    lines.extend([String::new(), "value".to_owned()]);
    lines.extend(record::text(decoders, record.value.as_deref(), reveal));
    lines.extend([String::new(), "headers".to_owned()]);
    let headers = record::headers(record, dossier.letter.stream_id.as_deref(), reveal);
    let width = headers.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(40);
    lines.extend(
        headers
            .iter()
            .map(|(name, shown)| format!("  {:<width$}  {}", printable(name), shown.text())),
    );
    if headers.is_empty() {
        lines.push("  (none)".to_owned());
    }
    lines.extend([String::new(), "tries".to_owned()]);
    lines.extend(tries(&dossier.tries));
    lines.extend([String::new(), "actions".to_owned()]);
    lines.extend(actions(&dossier.actions));
    if let Some(waiting) = dossier.waiting {
        lines.push(String::new());
        lines.push(format!(
            "its stream waits: letters {}, the first is {}",
            waiting.letters, waiting.head
        ));
        lines.extend(dossier.behind.iter().map(|id| format!("  {id}")));
    }
    lines
}

fn facts(dossier: &Dossier) -> Vec<String> {
    let Dossier { now, letter, .. } = dossier;
    let at = |at: DateTime<Utc>| format!("{} ({} ago)", rfc3339(at), age(*now, at));
    let mut facts = vec![
        ("letter", letter.id.to_string()),
        ("state", letter.state.as_str().to_owned()),
        ("projection", format!("{}, generation {}", letter.projection, letter.generation)),
        ("record", format!("{}, epoch {}", letter.coordinates(), letter.epoch)),
        ("log time", rfc3339(letter.log_time)),
        ("key", mask::key(dossier.record.key.as_deref()).text()),
        ("failure", format!("{} {}", letter.error_class, letter.error_code)),
        ("", letter.error_message.clone()),
        ("attempts", letter.attempts.to_string()),
        ("first failed", at(letter.first_failed_at)),
        ("last tried", at(letter.last_tried_at)),
    ];
    if let Some(next) = letter.next_try_at {
        facts.push(("next try", rfc3339(next)));
    }
    if let Some(settled) = letter.settled_at {
        facts.push(("settled", at(settled)));
    }
    facts.into_iter().map(|(name, fact)| format!("{name:<14}{}", printable(&fact))).collect()
}

fn tries(tries: &[Try]) -> Vec<String> {
    let columns = [
        Column::whole("AT"),
        Column::cut("BY"),
        Column::whole("OUTCOME"),
        Column::cut("CODE"),
        Column::cut("MESSAGE"),
    ];
    let row = |tried: &Try| {
        vec![
            rfc3339(tried.tried_at),
            tried.tried_by.clone(),
            tried.outcome.clone(),
            tried.error_code.clone().unwrap_or_default(),
            tried.error_message.clone().unwrap_or_default(),
        ]
    };
    indented(&columns, &tries.iter().map(row).collect::<Vec<_>>())
}

fn actions(actions: &[Acted]) -> Vec<String> {
    let columns = [
        Column::whole("AT"),
        Column::cut("BY"),
        Column::whole("ACTION"),
        Column::cut("OUTCOME"),
        Column::cut("REASON"),
    ];
    let row = |acted: &Acted| {
        vec![
            rfc3339(acted.acted_at),
            acted.acted_by.clone(),
            acted.action.clone(),
            acted.outcome.clone(),
            acted.reason.clone().unwrap_or_default(),
        ]
    };
    indented(&columns, &actions.iter().map(row).collect::<Vec<_>>())
}

fn indented(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["  (none)".to_owned()];
    }
    table::indented(columns, rows)
}

fn document(dossier: &Dossier, decoders: &Decoders, reveal: bool) -> Value {
    let Dossier { letter, record, .. } = dossier;
    let headers: Vec<Value> = record::headers(record, letter.stream_id.as_deref(), reveal)
        .iter()
        .map(|(name, shown)| {
            let mut header = shown.json();
            header["name"] = json!(name);
            header
        })
        .collect();
    let tries: Vec<Value> = dossier
        .tries
        .iter()
        .map(|tried| {
            json!({
                "tried_at": rfc3339(tried.tried_at),
                "tried_by": tried.tried_by,
                "outcome": tried.outcome,
                "error_class": tried.error_class,
                "error_code": tried.error_code,
                "error_message": tried.error_message,
            })
        })
        .collect();
    let actions: Vec<Value> = dossier
        .actions
        .iter()
        .map(|acted| {
            json!({
                "acted_at": rfc3339(acted.acted_at),
                "acted_by": acted.acted_by,
                "action": acted.action,
                "reason": acted.reason,
                "outcome": acted.outcome,
            })
        })
        .collect();
    let waiting = dossier.waiting.map(|waiting| {
        json!({
            "head": waiting.head.to_string(),
            "letters": waiting.letters,
            "behind": dossier.behind.iter().map(Uuid::to_string).collect::<Vec<_>>(),
        })
    });
    json!({
        "at": rfc3339(dossier.now),
        "letter": letter.json(dossier.now),
        "key": mask::key(record.key.as_deref()).json(),
        "value": record::document(decoders, record.value.as_deref(), reveal),
        "headers": headers,
        "tries": tries,
        "actions": actions,
        "waiting": waiting,
    })
}
