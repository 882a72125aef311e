//! What was looked at and what was found there: lines for people, or one document that is kept.

use std::fmt::Write as _;

use domain::Timestamp;
use domain::user::UserId;
use serde::Serialize;

/// Nothing is left, as far as was looked.
const CLEAN: u8 = 0;
/// Something is left.
const FOUND: u8 = 1;
/// Nothing was found, and not everything was looked at.
pub(in crate::tool) const UNFINISHED: u8 = 5;

/// A place, and what became of looking there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    #[serde(rename = "place")]
    name: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Outcome {
    LookedAt {
        looked_at: u64,
        /// What is counted there, one of it.
        of: &'static str,
        found: Vec<Found>,
    },
    NotLookedAt {
        not_looked_at: String,
    },
}

/// Something that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    count: u64,
    /// What of the things there is wrong; never a value.
    what: String,
}

impl Found {
    pub(super) fn new(count: u64, what: impl Into<String>) -> Self {
        Self { count, what: what.into() }
    }
}

impl Place {
    /// So many things were looked at; what was found 0 times is left out.
    pub(super) fn looked_at(
        name: impl Into<String>,
        looked_at: u64,
        of: &'static str,
        found: impl IntoIterator<Item = Found>,
    ) -> Self {
        let found = found.into_iter().filter(|found| found.count > 0).collect();
        Self { name: name.into(), outcome: Outcome::LookedAt { looked_at, of, found } }
    }

    pub(super) fn not_looked_at(name: impl Into<String>, why: impl Into<String>) -> Self {
        let not_looked_at = why.into();
        Self { name: name.into(), outcome: Outcome::NotLookedAt { not_looked_at } }
    }

    fn holds_something(&self) -> bool {
        matches!(&self.outcome, Outcome::LookedAt { found, .. } if !found.is_empty())
    }

    fn was_looked_at(&self) -> bool {
        matches!(self.outcome, Outcome::LookedAt { .. })
    }

    fn line(&self) -> String {
        let name = &self.name;
        match &self.outcome {
            Outcome::NotLookedAt { not_looked_at } => {
                format!("could not look at {name}: {not_looked_at}")
            }
            Outcome::LookedAt { looked_at, of, found } => {
                let plural = if *looked_at == 1 { "" } else { "s" };
                let verdict = verdict_of(found);
                format!("looked at {name}: {looked_at} {of}{plural}: {verdict}")
            }
        }
    }
}

fn verdict_of(found: &[Found]) -> String {
    if found.is_empty() {
        return "nothing".to_owned();
    }
    let total: u64 = found.iter().map(|found| found.count).sum();
    let each = found.iter().map(|Found { count, what }| format!("{count} {what}"));
    format!("FOUND {total} ({})", each.collect::<Vec<_>>().join(", "))
}

/// Everything that was looked at for one person.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) user: UserId,
    /// The deployment's prefix.
    pub(super) deployment: String,
    /// How many texts were looked for; 0 where only what must not be there by its kind was.
    pub(super) markers: usize,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) places: Vec<Place>,
}

/// A report as a document.
#[derive(Serialize)]
struct Document<'a> {
    user: String,
    deployment: &'a str,
    program: &'static str,
    began: Option<String>,
    ended: Option<String>,
    markers: usize,
    verdict: &'static str,
    holding_something: usize,
    not_looked_at: usize,
    places: &'a [Place],
}

impl Report {
    /// The exit code that says the verdict. What was found counts for more than what is not known.
    pub(super) fn code(&self) -> u8 {
        match (self.holding_something(), self.not_looked_at()) {
            (0, 0) => CLEAN,
            (0, _) => UNFINISHED,
            _ => FOUND,
        }
    }

    /// A line for each place, and the verdict.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for place in &self.places {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{}", place.line());
        }
        let _ = writeln!(text, "{}", self.last_line());
        text
    }

    /// The whole as one JSON document.
    pub(super) fn json(&self) -> String {
        let document = Document {
            user: self.user.to_string(),
            deployment: &self.deployment,
            program: concat!("command-api ", env!("CARGO_PKG_VERSION")),
            began: self.began.to_rfc3339(),
            ended: self.ended.to_rfc3339(),
            markers: self.markers,
            verdict: self.verdict(),
            holding_something: self.holding_something(),
            not_looked_at: self.not_looked_at(),
            places: &self.places,
        };
        // Numbers and texts are always JSON.
        let mut json = serde_json::to_string_pretty(&document).unwrap_or_default();
        json.push('\n');
        json
    }

    fn verdict(&self) -> &'static str {
        match self.code() {
            CLEAN => "clean",
            FOUND => "found",
            _ => "unfinished",
        }
    }

    fn last_line(&self) -> String {
        let Self { user, places, .. } = self;
        let (found, unknown, all) = (self.holding_something(), self.not_looked_at(), places.len());
        let unknown_too = match unknown {
            0 => String::new(),
            _ => format!("; {unknown} could not be looked at"),
        };
        match self.code() {
            CLEAN if self.markers == 0 => format!(
                "clean: nothing is left of user {user} in {all} places; no text was looked for"
            ),
            CLEAN => format!("clean: nothing is left of user {user} in {all} places"),
            FOUND => format!(
                "found: something is left of user {user} in {found} of {all} places{unknown_too}"
            ),
            _ => format!(
                "unfinished: nothing was found of user {user}, but {unknown} of {all} places could not be looked at"
            ),
        }
    }

    fn holding_something(&self) -> usize {
        self.places.iter().filter(|place| place.holds_something()).count()
    }

    fn not_looked_at(&self) -> usize {
        self.places.iter().filter(|place| !place.was_looked_at()).count()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn report(places: Vec<Place>) -> Report {
        Report {
            user: UserId(Uuid::from_u128(7)),
            deployment: "acme".to_owned(),
            markers: 2,
            began: Timestamp(0),
            ended: Timestamp(1_000_000),
            places,
        }
    }

    fn nothing() -> Place {
        Place::looked_at("identity.credentials", 0, "row", [Found::new(0, "of this user")])
    }

    fn something() -> Place {
        let found =
            [Found::new(2, "with marker 1"), Found::new(0, "x"), Found::new(1, "with marker 2")];
        Place::looked_at("files below /var/log", 1, "file", found)
    }

    fn unknown() -> Place {
        Place::not_looked_at("Redis", "REDIS_URL is not set")
    }

    const USER: &str = "00000000-0000-0000-0000-000000000007";

    #[test]
    fn a_line_for_each_place_and_the_verdict_come_last() {
        let whole = report(vec![nothing(), something(), unknown()]).text();
        let lines: Vec<&str> = whole.lines().collect();
        assert_eq!(
            lines,
            [
                "looked at identity.credentials: 0 rows: nothing",
                "looked at files below /var/log: 1 file: FOUND 3 (2 with marker 1, 1 with marker 2)",
                "could not look at Redis: REDIS_URL is not set",
                &format!(
                    "found: something is left of user {USER} in 1 of 3 places; 1 could not be looked at"
                ),
            ]
        );
    }

    #[test]
    fn what_was_found_counts_for_more_than_what_is_not_known() {
        for (places, code, verdict) in [
            (vec![nothing()], 0, "clean: nothing is left"),
            (vec![nothing(), something()], 1, "found: something is left"),
            (vec![something(), unknown()], 1, "found: something is left"),
            (vec![nothing(), unknown()], 5, "unfinished: nothing was found"),
        ] {
            let report = report(places);
            assert_eq!(report.code(), code);
            assert!(
                report.text().lines().last().unwrap().starts_with(verdict),
                "{}",
                report.text()
            );
        }
    }

    #[test]
    fn a_verdict_without_texts_says_so() {
        let report = Report { markers: 0, ..report(vec![nothing()]) };
        assert!(
            report.text().ends_with("in 1 places; no text was looked for\n"),
            "{}",
            report.text()
        );
    }

    #[test]
    fn the_document_says_when_and_where_it_was_looked() {
        let json = report(vec![something(), unknown()]).json();
        let document: Value = serde_json::from_str(&json).unwrap();
        let expected = json!({
            "user": USER,
            "deployment": "acme",
            "program": concat!("command-api ", env!("CARGO_PKG_VERSION")),
            "began": "1970-01-01T00:00:00.000000Z",
            "ended": "1970-01-01T00:00:01.000000Z",
            "markers": 2,
            "verdict": "found",
            "holding_something": 1,
            "not_looked_at": 1,
            "places": [
                {
                    "place": "files below /var/log", "looked_at": 1, "of": "file",
                    "found": [
                        {"count": 2, "what": "with marker 1"},
                        {"count": 1, "what": "with marker 2"},
                    ],
                },
                {"place": "Redis", "not_looked_at": "REDIS_URL is not set"},
            ],
        });
        assert_eq!(document, expected);
    }
}
