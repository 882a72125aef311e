//! What a replay did, letter by letter.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{BEHIND_A_FAILURE, Outcome, Replayed, Terms};
use crate::console::Console;
use crate::diff::{self, RowChange};
use crate::exit::Exit;
use crate::letter::{Letter, Selected};
use crate::table::{count, printable};
use crate::trouble::Trouble;

/// What became of the letters so far.
pub(super) struct Report<'a> {
    selected: &'a Selected,
    terms: Terms<'a>,
    letters: Vec<(Uuid, Outcome)>,
    places: HashMap<Uuid, usize>,
    /// Rows with the letter whose replay changed them.
    rows: Vec<(Uuid, RowChange)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(selected: &'a Selected, terms: Terms<'a>) -> Self {
        Self { selected, terms, letters: Vec::new(), places: HashMap::new(), rows: Vec::new() }
    }

    pub(super) fn knows(&self, letter: Uuid) -> bool {
        self.places.contains_key(&letter)
    }

    pub(super) fn add(&mut self, letter: Uuid, outcome: Outcome) {
        self.places.insert(letter, self.letters.len());
        self.letters.push((letter, outcome));
    }

    /// Takes what the replay of a letter did; returns whether its key is to be left alone now.
    pub(super) fn take(&mut self, letter: Uuid, replayed: Replayed) -> bool {
        let mut is_stuck = false;
        for (letter, outcome) in replayed.letters {
            is_stuck |= matches!(outcome, Outcome::Failed(_));
            self.add(letter, outcome);
        }
        self.rows.extend(replayed.rows.into_iter().map(|row| (letter, row)));
        if !self.knows(letter) {
            self.add(letter, Outcome::Skipped("others of its key came first".to_owned()));
        }
        is_stuck
    }

    pub(super) fn done(&self) -> usize {
        self.letters.len()
    }

    pub(super) fn failures(&self) -> usize {
        self.letters.iter().filter(|(_, outcome)| !outcome.is_settled()).count()
    }

    pub(super) fn exit(&self) -> Exit {
        let is_all = self.failures() == 0 && self.selected.unknown.is_empty();
        if is_all { Exit::Done } else { Exit::SomeFailed }
    }

    pub(super) fn print(&self, console: &mut Console<'_>) -> Result<(), Trouble> {
        if self.terms.as_json {
            console.document(&self.document())
        } else {
            console.lines(self.text())
        }
    }

    fn shows_rows(&self) -> bool {
        self.terms.dry_run || self.terms.diff
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, outcome) in &self.letters {
            *counts.entry(outcome.label()).or_default() += 1;
        }
        counts
    }

    fn letter(&self, id: Uuid) -> Option<&Letter> {
        self.selected.letters.iter().find(|letter| letter.id == id)
    }

    fn text(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut behind = 0;
        for (id, outcome) in &self.letters {
            if is_behind(outcome) {
                behind += 1;
                continue;
            }
            lines.extend(left_alone(std::mem::take(&mut behind)));
            if self.shows_rows() || !outcome.is_settled() {
                lines.push(self.line(*id, outcome));
            }
            if self.shows_rows() {
                let of_letter = self.rows.iter().filter(|(letter, _)| letter == id);
                lines.extend(of_letter.flat_map(|(_, row)| diff::lines(row, self.terms.reveal)));
            }
        }
        lines.extend(left_alone(behind));
        let unknown = self.selected.unknown.iter();
        lines.extend(unknown.map(|id| format!("{id}  there is no such letter")));
        lines.push(self.summary());
        lines
    }

    fn line(&self, id: Uuid, outcome: &Outcome) -> String {
        let key = self.letter(id).map(|letter| format!(", key {}", letter.stream()));
        let key = printable(&key.unwrap_or_default());
        let label = outcome.label();
        match outcome {
            Outcome::Failed(failed) => format!("{id}  {label}{key}: {failed}"),
            Outcome::Skipped(reason) => format!("{id}  {label}{key}: {reason}"),
            Outcome::Applied | Outcome::Superseded | Outcome::Duplicate => {
                format!("{id}  {label}{key}")
            }
        }
    }

    fn summary(&self) -> String {
        if self.letters.is_empty() {
            return "no letters match".to_owned();
        }
        let counts = self.counts();
        let counts: Vec<String> =
            counts.iter().map(|(label, count)| format!("{count} {label}")).collect();
        let of = match (self.selected.matched, self.selected.letters.len()) {
            (matched, taken) if matched > taken => {
                format!("; {taken} of {matched} that match were taken")
            }
            _ => String::new(),
        };
        let dry = if self.terms.dry_run { "dry run, nothing was changed: " } else { "" };
        format!("{dry}{}{of}", counts.join(", "))
    }

    fn document(&self) -> Value {
        let letters: Vec<Value> =
            self.letters.iter().map(|(id, outcome)| self.letter_document(*id, outcome)).collect();
        let rows: Option<Vec<Value>> = self.shows_rows().then(|| {
            self.rows
                .iter()
                .map(|(letter, row)| {
                    let mut row = diff::document(row, self.terms.reveal);
                    row["letter_id"] = json!(letter.to_string());
                    row
                })
                .collect()
        });
        let counts = self.counts();
        let of = |label: &str| counts.get(label).copied().unwrap_or(0);
        json!({
            "action": "replay",
            "dry_run": self.terms.dry_run,
            "matched": self.selected.matched,
            "selected": self.selected.letters.len(),
            "applied": of("applied"),
            "superseded": of("superseded"),
            "duplicate": of("duplicate"),
            "failed": of("failed"),
            "skipped": of("skipped"),
            "unknown": self.selected.unknown.iter().map(Uuid::to_string).collect::<Vec<_>>(),
            "letters": letters,
            "rows": rows,
        })
    }

    fn letter_document(&self, id: Uuid, outcome: &Outcome) -> Value {
        let letter = self.letter(id);
        let failed = match outcome {
            Outcome::Failed(failed) => Some(failed),
            _ => None,
        };
        let reason = match outcome {
            Outcome::Skipped(reason) => Some(reason),
            _ => None,
        };
        json!({
            "id": id.to_string(),
            "projection": letter.map(|letter| &letter.projection),
            "stream_id": letter.and_then(|letter| letter.stream_id.as_ref()),
            "outcome": outcome.label(),
            "error_class": failed.map(|failed| &failed.class),
            "error_code": failed.map(|failed| &failed.code),
            "error_message": failed.map(|failed| &failed.message),
            "reason": reason,
        })
    }
}

/// Whether the letter was left alone because of the one before it, which is told.
fn is_behind(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Skipped(reason) if reason == BEHIND_A_FAILURE)
}

fn left_alone(letters: usize) -> Option<String> {
    (letters > 0).then(|| format!("  {} of its key left alone", count(letters, "later letter")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Actor;
    use crate::letter::samples::a_letter;
    use crate::replay::Failed;

    fn terms(dry_run: bool) -> Terms<'static> {
        Terms {
            actor: Actor { who: "ann", reason: None },
            dry_run,
            diff: false,
            reveal: false,
            rate: None,
            yes: true,
            as_json: false,
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed(Failed {
            class: "poison".to_owned(),
            code: "22P05".to_owned(),
            message: "the database refused while writing rows".to_owned(),
        })
    }

    fn selected() -> Selected {
        let letters = vec![a_letter(Some("a"), 0, 1), a_letter(Some("b"), 0, 2)];
        Selected { letters, matched: 2, unknown: Vec::new() }
    }

    #[test]
    fn all_settled_is_done_and_anything_else_is_not() {
        let selected = selected();
        let [one, two] = &selected.letters[..] else { panic!() };
        let mut report = Report::new(&selected, terms(false));
        report.add(one.id, Outcome::Applied);
        report.add(two.id, Outcome::Superseded);
        assert_eq!(report.exit(), Exit::Done);
        assert_eq!(report.text(), ["1 applied, 1 superseded"]);
        for outcome in [failed(), Outcome::Skipped("it is settled".to_owned())] {
            let mut report = Report::new(&selected, terms(false));
            report.add(one.id, outcome);
            assert_eq!(report.exit(), Exit::SomeFailed);
        }
    }

    #[test]
    fn a_letter_that_was_named_and_is_not_there_is_a_failure() {
        let mut selected = selected();
        selected.unknown.push(Uuid::from_u128(99));
        let report = Report::new(&selected, terms(false));
        assert_eq!(report.exit(), Exit::SomeFailed);
    }

    #[test]
    fn a_dry_run_says_that_nothing_was_changed_and_shows_rows() {
        let selected = selected();
        let [one, _] = &selected.letters[..] else { panic!() };
        let mut report = Report::new(&selected, terms(true));
        let row = RowChange {
            row: "a".to_owned(),
            before: Some(json!({"version": 1})),
            after: Some(json!({"version": 2})),
        };
        let stuck = report
            .take(one.id, Replayed { letters: vec![(one.id, Outcome::Applied)], rows: vec![row] });
        assert!(!stuck);
        assert_eq!(
            report.text(),
            [
                format!("{}  applied, key a", one.id),
                "  row a".to_owned(),
                "    version: 1 -> 2".to_owned(),
                "dry run, nothing was changed: 1 applied".to_owned()
            ]
        );
    }

    #[test]
    fn a_failure_is_told_and_stops_its_key() {
        let selected = selected();
        let [one, _] = &selected.letters[..] else { panic!() };
        let mut report = Report::new(&selected, terms(false));
        let replayed = Replayed { letters: vec![(one.id, failed())], rows: Vec::new() };
        assert!(report.take(one.id, replayed));
        let failure = "the database refused while writing rows (poison 22P05)";
        assert_eq!(
            report.text(),
            [format!("{}  failed, key a: {failure}", one.id), "1 failed".to_owned()]
        );
    }
    #[test]
    fn those_behind_a_failure_are_told_in_one_line() {
        let letters: Vec<Letter> = (1..=4).map(|offset| a_letter(Some("a"), 0, offset)).collect();
        let selected = Selected { letters, matched: 4, unknown: Vec::new() };
        let mut report = Report::new(&selected, terms(false));
        let behind = || Outcome::Skipped(BEHIND_A_FAILURE.to_owned());
        let outcomes = [failed(), behind(), behind(), failed()];
        for (letter, outcome) in selected.letters.iter().zip(outcomes) {
            report.add(letter.id, outcome);
        }
        let lines = report.text();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[1], "  2 later letters of its key left alone");
        assert_eq!(lines[3], "2 failed, 2 skipped");
    }
}
