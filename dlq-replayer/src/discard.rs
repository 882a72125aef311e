//! `discard`: letters are never to be folded.

use std::iter;

use projector::letters::LetterState;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::audit::{self, Action, Actor, Entry};
use crate::console::Console;
use crate::exit::Exit;
use crate::letter::{Letter, Selected};
use crate::stream;
use crate::table::count;
use crate::trouble::{Trouble, told};

/// What the audit says of a letter that was discarded.
const DISCARDED: &str = "discarded";

/// What came of one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// With these letters of the same event, which came more than once.
    Discarded { with: Vec<Uuid> },
    /// It is settled already.
    Conflict(LetterState),
    /// The database refused, say because somebody else holds the lock.
    Failed(String),
}

impl Outcome {
    fn with(&self) -> &[Uuid] {
        match self {
            Self::Discarded { with } => with,
            Self::Conflict(_) | Self::Failed(_) => &[],
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Discarded { .. } => DISCARDED,
            Self::Conflict(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Discarded { .. } => None,
            Self::Conflict(state) => Some(format!("it is {} already", state.as_str())),
            Self::Failed(why) => Some(why.clone()),
        }
    }
}

/// Discards the letters, each in a transaction of its own, after a confirmation.
pub(crate) async fn run(
    connection: &mut PgConnection,
    console: &mut Console<'_>,
    selected: &Selected,
    actor: Actor<'_>,
    yes: bool,
    as_json: bool,
) -> Result<Exit, Trouble> {
    if selected.letters.is_empty() {
        return nothing(console, selected, as_json);
    }
    console.confirm(&question(selected), yes)?;
    let mut done: Vec<(&Letter, Outcome)> = Vec::new();
    let mut trouble = None;
    for letter in &selected.letters {
        console.progress(done.len(), selected.letters.len(), failures(&done));
        if done.iter().any(|(_, outcome)| outcome.with().contains(&letter.id)) {
            done.push((letter, Outcome::Discarded { with: Vec::new() }));
            continue;
        }
        match one(connection, letter, actor).await {
            Ok(outcome) => done.push((letter, outcome)),
            Err(stopped) => {
                trouble = Some(stopped);
                break;
            }
        }
    }
    console.progress_ends();
    if as_json {
        console.document(&document(selected, &done))?;
    } else {
        console.lines(text(selected, &done))?;
    }
    match trouble {
        Some(trouble) => Err(trouble),
        None if failures(&done) > 0 || !selected.unknown.is_empty() => Ok(Exit::SomeFailed),
        None => Ok(Exit::Done),
    }
}

fn question(selected: &Selected) -> String {
    let letters = selected.letters.len();
    let of = match selected.matched {
        matched if matched > letters => format!(" (of {matched} that match)"),
        _ => String::new(),
    };
    format!("{}{of} will never be folded, also not by rebuilds. Discard?", count(letters, "letter"))
}

fn nothing(console: &mut Console<'_>, selected: &Selected, as_json: bool) -> Result<Exit, Trouble> {
    if as_json {
        console.document(&document(selected, &[]))?;
    } else {
        console.lines(text(selected, &[]))?;
    }
    Ok(Exit::NothingMatched)
}

fn failures(done: &[(&Letter, Outcome)]) -> usize {
    done.iter().filter(|(_, outcome)| !matches!(outcome, Outcome::Discarded { .. })).count()
}

/// Discards one letter. An attempt without effect is in the audit too.
async fn one(
    connection: &mut PgConnection,
    letter: &Letter,
    actor: Actor<'_>,
) -> Result<Outcome, Trouble> {
    let outcome = match discard(connection, letter, actor).await {
        Ok(discarded @ Outcome::Discarded { .. }) => return Ok(discarded),
        Ok(refused) => refused,
        Err(error) if error.as_database_error().is_some() => Outcome::Failed(told(&error)),
        Err(error) => return Err(Trouble::database("discarding a letter")(error)),
    };
    let detail = outcome.detail().unwrap_or_default();
    let entry = Entry {
        actor,
        action: Action::Discard,
        projection: &letter.projection,
        letter: Some(letter.id),
        outcome: &format!("{}: {detail}", outcome.label()),
    };
    audit::write_alone(connection, entry).await?;
    Ok(outcome)
}

/// The letter's state, the disposition by which rebuilds know of it, what waits behind it, and the
/// audit: all or nothing. A decided event that came more than once is discarded with all its letters:
/// else another of them would be folded in the place of this one.
async fn discard(
    connection: &mut PgConnection,
    letter: &Letter,
    actor: Actor<'_>,
) -> Result<Outcome, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let has_followers = stream::lock(&mut transaction, letter).await?;
    let state: String = sqlx::query_scalar("SELECT state FROM letters WHERE id = $1 FOR UPDATE")
        .bind(letter.id)
        .fetch_one(&mut *transaction)
        .await?;
    if let Some(settled) = LetterState::find(&state).filter(|state| !state.is_open()) {
        return Ok(Outcome::Conflict(settled));
    }
    let with = match has_followers {
        true => stream::same_event(&mut transaction, letter).await?,
        false => Vec::new(),
    };
    settle(&mut transaction, &[&[letter.id], &with[..]].concat(), actor).await?;
    if has_followers {
        stream::next_head(&mut transaction, letter).await?;
    }
    let of_same_event = format!("{DISCARDED} with {}", letter.id);
    let with_it = with.iter().map(|id| (*id, of_same_event.as_str()));
    for (id, outcome) in iter::once((letter.id, DISCARDED)).chain(with_it) {
        let (action, projection) = (Action::Discard, letter.projection.as_str());
        let entry = Entry { actor, action, projection, letter: Some(id), outcome };
        audit::write(&mut transaction, entry).await?;
    }
    transaction.commit().await?;
    Ok(Outcome::Discarded { with })
}

/// Writes down that these letters, and by that their records, are never folded.
async fn settle(
    transaction: &mut PgConnection,
    letters: &[Uuid],
    actor: Actor<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE letters SET state = 'discarded', settled_at = now(), next_try_at = NULL
         WHERE id = ANY($1)",
    )
    .bind(letters)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO dispositions (projection, topic, epoch, partition, log_offset, decided_by,
                                   reason)
         SELECT projection, topic, epoch, partition, log_offset, $2, $3
         FROM letters WHERE id = ANY($1) ON CONFLICT DO NOTHING",
    )
    .bind(letters)
    .bind(actor.who)
    .bind(actor.reason)
    .execute(transaction)
    .await
    .map(drop)
}

fn text(selected: &Selected, done: &[(&Letter, Outcome)]) -> Vec<String> {
    let mut lines: Vec<String> = done
        .iter()
        .filter_map(|(letter, outcome)| {
            let why = outcome.detail()?;
            Some(format!("{}  {}: {why}", letter.id, outcome.label()))
        })
        .collect();
    let with = done.iter().flat_map(|(letter, outcome)| {
        let line = |id| format!("{id}  discarded with {}: the same event", letter.id);
        outcome.with().iter().map(line)
    });
    lines.extend(with);
    lines.extend(selected.unknown.iter().map(|id| format!("{id}  there is no such letter")));
    let (failed, all) = (failures(done), done.len());
    lines.push(match (all, failed) {
        (0, _) => "no letters match".to_owned(),
        (_, 0) => format!("{all} discarded"),
        _ => format!("{} discarded, {failed} not", all - failed),
    });
    lines
}

fn document(selected: &Selected, done: &[(&Letter, Outcome)]) -> Value {
    let letters: Vec<Value> = done
        .iter()
        .map(|(letter, outcome)| {
            json!({
                "id": letter.id.to_string(),
                "projection": letter.projection,
                "stream_id": letter.stream_id,
                "outcome": outcome.label(),
                "detail": outcome.detail(),
                "with": outcome.with().iter().map(Uuid::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "action": "discard",
        "matched": selected.matched,
        "selected": selected.letters.len(),
        "discarded": done.len() - failures(done),
        "failed": failures(done),
        "unknown": selected.unknown.iter().map(Uuid::to_string).collect::<Vec<_>>(),
        "letters": letters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::samples::a_letter;

    fn selected(letters: Vec<Letter>, matched: usize) -> Selected {
        Selected { letters, matched, unknown: Vec::new() }
    }

    #[test]
    fn the_question_says_how_many_and_of_how_many() {
        let letters = vec![a_letter(Some("d"), 0, 1), a_letter(Some("d"), 0, 2)];
        assert!(question(&selected(letters.clone(), 2)).starts_with("2 letters will never"));
        assert!(
            question(&selected(letters, 700)).starts_with("2 letters (of 700 that match) will")
        );
    }

    #[test]
    fn those_that_were_not_discarded_are_named_with_the_reason() {
        let letters = vec![a_letter(Some("d"), 0, 1), a_letter(Some("d"), 0, 2)];
        let selected = selected(letters, 2);
        let [first, second] = &selected.letters[..] else { panic!() };
        let done = [
            (first, Outcome::Discarded { with: Vec::new() }),
            (second, Outcome::Conflict(LetterState::Applied)),
        ];
        let lines = text(&selected, &done);
        assert_eq!(
            lines,
            [
                format!("{}  refused: it is applied already", second.id),
                "1 discarded, 1 not".to_owned()
            ]
        );
    }
}
