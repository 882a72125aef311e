//! `replay`: letters are folded again.

mod plan;
mod report;

use std::future::Future;

use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use crate::audit::{self, Action, Actor, Entry};
use crate::console::Console;
use crate::database::Database;
use crate::diff::RowChange;
use crate::exit::Exit;
use crate::letter::{Letter, Selected};
use crate::rate::Rate;
use crate::table::count;
use crate::trouble::Trouble;
use report::Report;

/// Why a letter behind one that failed is left alone.
const BEHIND_A_FAILURE: &str = "an earlier letter of its key failed";

/// Folds letters again, with what becomes of them, the tries and the audit in one transaction.
pub trait Replays {
    /// Replays the letter; of a projection that keeps the order of streams, all that wait with it.
    /// A dry run changes nothing. After an error nothing has changed, and the connection is not
    /// used again.
    fn replay(
        &mut self,
        connection: &mut PgConnection,
        letter: &Letter,
        actor: Actor<'_>,
        dry_run: bool,
    ) -> impl Future<Output = Result<Replayed, ReplayError>>;
}

/// What a replay did, or would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replayed {
    /// The letters that were tried, in the order of the log.
    pub letters: Vec<(Uuid, Outcome)>,
    /// The rows that changed.
    pub rows: Vec<RowChange>,
}

/// What became of one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Folded.
    Applied,
    /// Folded and counted; a newer event had won before.
    Superseded,
    /// Its event had an effect before.
    Duplicate,
    /// It failed again.
    Failed(Failed),
    /// It was left alone.
    Skipped(String),
}

/// A failure as it may be told: names and codes, no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({class} {code})")]
pub struct Failed {
    /// The class.
    pub class: String,
    /// The code.
    pub code: String,
    /// The sentence.
    pub message: String,
}

/// Why a replay had no effect at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The letter cannot be replayed as things are.
    #[error("{0}")]
    Refused(String),
    /// The attempt failed as a whole, say because somebody else holds a lock; others may succeed.
    #[error("{0}")]
    Failed(Failed),
    /// Something that every replay needs is missing; the others would fail alike.
    #[error("{0}")]
    Unreachable(Failed),
}

impl Outcome {
    /// The stable name.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    fn is_settled(&self) -> bool {
        matches!(self, Self::Applied | Self::Superseded | Self::Duplicate)
    }
}

/// How letters are replayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) actor: Actor<'a>,
    pub(crate) dry_run: bool,
    pub(crate) diff: bool,
    pub(crate) reveal: bool,
    pub(crate) rate: Option<Rate>,
    pub(crate) yes: bool,
    pub(crate) as_json: bool,
}

/// Replays the letters key by key, after a confirmation.
pub(crate) async fn run(
    replays: &mut impl Replays,
    database: &Database,
    connection: PgConnection,
    console: &mut Console<'_>,
    selected: &Selected,
    terms: Terms<'_>,
) -> Result<Exit, Trouble> {
    let mut report = Report::new(selected, terms);
    if selected.letters.is_empty() {
        report.print(console)?;
        return Ok(Exit::NothingMatched);
    }
    if !terms.dry_run {
        console.confirm(&question(selected), terms.yes)?;
    }
    if terms.reveal {
        console.note("values that may hold persons' data are shown: keep this output to yourself");
    }
    let began = Instant::now();
    let mut session = Session { replays, database, connection: Some(connection), terms };
    let mut trouble = None;
    'keys: for key in plan::keys(&selected.letters) {
        let mut is_stuck = false;
        for letter in key.letters {
            if report.knows(letter.id) {
                continue;
            }
            console.progress(report.done(), selected.letters.len(), report.failures());
            if is_stuck {
                report.add(letter.id, Outcome::Skipped(BEHIND_A_FAILURE.to_owned()));
                continue;
            }
            match session.replay(letter).await {
                Ok(replayed) => is_stuck = report.take(letter.id, replayed),
                Err(stopped) => {
                    trouble = Some(stopped);
                    break 'keys;
                }
            }
            pace(terms.rate, began, report.done()).await;
        }
    }
    console.progress_ends();
    report.print(console)?;
    match trouble {
        Some(trouble) => Err(trouble),
        None => Ok(report.exit()),
    }
}

fn question(selected: &Selected) -> String {
    let letters = selected.letters.len();
    let keys = plan::keys(&selected.letters).len();
    let of = match selected.matched {
        matched if matched > letters => format!(" (of {matched} that match)"),
        _ => String::new(),
    };
    format!("{}{of} of {}. Replay?", count(letters, "letter"), count(keys, "key"))
}

/// Waits until so many letters may have been replayed.
async fn pace(rate: Option<Rate>, began: Instant, done: usize) {
    if let Some(rate) = rate {
        tokio::time::sleep_until(began + rate.time_of(done)).await;
    }
}

/// The connection of a call, which is made anew after an error.
struct Session<'a, R> {
    replays: &'a mut R,
    database: &'a Database,
    connection: Option<PgConnection>,
    terms: Terms<'a>,
}

impl<R: Replays> Session<'_, R> {
    /// Replays a letter. An attempt that came to nothing is in the audit too.
    async fn replay(&mut self, letter: &Letter) -> Result<Replayed, Trouble> {
        let mut connection = self.connect().await?;
        let Terms { actor, dry_run, .. } = self.terms;
        let error = match self.replays.replay(&mut connection, letter, actor, dry_run).await {
            Ok(replayed) => {
                self.connection = Some(connection);
                return Ok(replayed);
            }
            Err(error) => error,
        };
        // It may be in a transaction still.
        drop(connection);
        let outcome = match &error {
            ReplayError::Refused(reason) => Outcome::Skipped(reason.clone()),
            ReplayError::Failed(failed) | ReplayError::Unreachable(failed) => {
                Outcome::Failed(failed.clone())
            }
        };
        let audited = self.audit(letter, &format!("{}: {error}", outcome.label())).await;
        match error {
            ReplayError::Unreachable(failed) => {
                Err(Trouble::Unreachable(format!("replaying {}: {failed}", letter.id)))
            }
            _ => {
                audited?;
                Ok(Replayed { letters: vec![(letter.id, outcome)], rows: Vec::new() })
            }
        }
    }

    async fn audit(&mut self, letter: &Letter, outcome: &str) -> Result<(), Trouble> {
        if self.terms.dry_run {
            return Ok(());
        }
        let mut connection = self.connect().await?;
        let entry = Entry {
            actor: self.terms.actor,
            action: Action::Replay,
            projection: &letter.projection,
            letter: Some(letter.id),
            outcome,
        };
        audit::write_alone(&mut connection, entry).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&mut self) -> Result<PgConnection, Trouble> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.database.connect().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::samples::a_letter;

    #[test]
    fn the_question_counts_letters_and_keys() {
        let letters =
            vec![a_letter(Some("a"), 0, 1), a_letter(Some("a"), 0, 2), a_letter(Some("b"), 0, 3)];
        let selected = Selected { letters, matched: 9, unknown: Vec::new() };
        assert_eq!(question(&selected), "3 letters (of 9 that match) of 2 keys. Replay?");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spreads_letters_over_time() {
        let began = Instant::now();
        pace(Some(Rate::parse("10/s").unwrap()), began, 25).await;
        assert!(began.elapsed().as_millis() >= 2_490, "{:?}", began.elapsed());
    }
}
