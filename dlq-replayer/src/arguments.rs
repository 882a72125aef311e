//! The command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use projector::letters::LetterState;
use uuid::Uuid;

use crate::rate::Rate;
use crate::selection::{Filters, Selection};
use crate::since::Since;
use crate::trouble::Trouble;

/// The most letters that one call takes unless `--max` says otherwise.
pub(crate) const CAP: u32 = 500;

/// The largest `--max`.
const LARGEST_CAP: i64 = 10_000;

const EXITS: &str = "\
Exit codes:
  0  done
  1  nothing matched
  2  wrong arguments or settings
  3  some letters failed, were skipped or are not there
  4  refused: not confirmed, more than the cap, or the projection's brake
  5  the database or something else that is needed cannot be reached";

const EXAMPLES: &str = "\
Examples:
  dlq-replayer list
  dlq-replayer show 0199c0de-0000-7000-8000-000000000001
  dlq-replayer replay --code 22P05 --dry-run
  dlq-replayer replay --code 22P05
  dlq-replayer discard 0199c0de-0000-7000-8000-000000000001 --reason \"test record of the vendor\"
  dlq-replayer resume resource --reason \"fixed in 1.4.2\"

Settings come from the environment, since a command line is seen by everybody on the machine:
  DATABASE_URL     postgres://dlq_replayer:<password>@host:port/database; DATABASE_URL_FILE names a
                   file that holds it. On the local stack: . .local/env
  MILLRACE_PREFIX  the deployment's prefix, where it has one
  USER             who acts, unless --who says so
";

/// Shows and settles dead letters: records that a projection could not fold.
#[derive(Debug, Parser)]
#[command(name = "dlq-replayer", version, disable_help_subcommand = true,
          after_help = format!("{EXAMPLES}\n{EXITS}"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Prints one JSON document on standard output instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Who acts, for the audit; $USER when absent
    #[arg(long, global = true, value_name = "NAME", value_parser = a_text)]
    pub(crate) who: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists letters, oldest first, below a summary by class and code
    #[command(after_help = format!("\
Without --state the open letters are listed: retrying, parked and blocked. Letters of retired
generations are not listed; `show` shows them.

Examples:
  dlq-replayer list --projection resource --since 2h
  dlq-replayer list --key device-123 --state parked,discarded
  dlq-replayer list --json | jq -r '.letters[].id'

{EXITS}"))]
    List {
        #[command(flatten)]
        filters: FilterArguments,
        /// The most letters listed; the summary counts all
        #[arg(long, default_value_t = 50, value_name = "N",
              value_parser = clap::value_parser!(u32).range(1..=LARGEST_CAP))]
        limit: u32,
    },
    /// Shows everything about one letter
    #[command(after_help = format!("\
Values that could hold persons' data are masked: payloads, and headers other than the event's own
coordinates. --reveal shows them and says so; headers that carry credentials stay masked.

Examples:
  dlq-replayer show 0199c0de-0000-7000-8000-000000000001
  dlq-replayer show 0199c0de-0000-7000-8000-000000000001 --reveal

{EXITS}"))]
    Show {
        /// The letter
        id: Uuid,
        /// Shows masked values
        #[arg(long)]
        reveal: bool,
    },
    /// Folds letters again, by the projection that failed on them and with today's code
    #[command(after_help = format!("\
Takes open letters, by id or by filters, key by key in the order of the log. A key stops at its first
failure; the other keys go on. Nothing is ever written to the topics of events.

If more letters match than {CAP} and --max does not say how many are meant, nothing is done. With
--max N the first N are taken. On a terminal the call asks before it begins; elsewhere it needs --yes.

--dry-run does all of it in transactions that are rolled back, and prints what would have changed.

Examples:
  dlq-replayer replay --code 22P05 --dry-run
  dlq-replayer replay --key device-123 --max 1 --diff
  dlq-replayer replay --projection resource --state parked --rate 20/s --yes --reason \"fixed in 1.4.2\"

{EXITS}"))]
    Replay {
        #[command(flatten)]
        letters: LetterArguments,
        /// Changes nothing and prints the rows before and after
        #[arg(long)]
        dry_run: bool,
        /// Prints the rows before and after
        #[arg(long)]
        diff: bool,
        /// Shows masked values of rows
        #[arg(long)]
        reveal: bool,
        /// The most letters folded in a second, for example 20/s
        #[arg(long, value_name = "N/s", value_parser = Rate::parse)]
        rate: Option<Rate>,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT", value_parser = a_text)]
        reason: Option<String>,
    },
    /// Decides that letters are never folded, also by rebuilds
    #[command(after_help = format!("\
Takes open letters, by id or by filters. The decision outlives the letter: a rebuild of the
projection passes the record over. What waited behind a discarded letter of its key stays set aside
until it is replayed or discarded too.

If more letters match than {CAP} and --max does not say how many are meant, nothing is done. With
--max N the first N are taken. On a terminal the call asks before it begins; elsewhere it needs --yes.

Examples:
  dlq-replayer discard 0199c0de-0000-7000-8000-000000000001 --reason \"test record of the vendor\"
  dlq-replayer discard --class poison --code magic --since 1d --reason \"wrong topic\" --yes

{EXITS}"))]
    Discard {
        #[command(flatten)]
        letters: LetterArguments,
        /// Why, for the audit and for rebuilds
        #[arg(long, value_name = "TEXT", value_parser = a_text)]
        reason: String,
    },
    /// Counts letters by projection, state and class; shows brakes and unpublished notices
    #[command(after_help = format!("\
Examples:
  dlq-replayer stats
  dlq-replayer stats --projection resource --json

{EXITS}"))]
    Stats {
        /// One projection only
        #[arg(long, value_name = "NAME")]
        projection: Option<String>,
    },
    /// Releases the brake of a projection that has stopped itself
    #[command(after_help = format!("\
Do so once the cause is removed: otherwise the projection stops itself again. `stats` shows why it
stopped; `replay --dry-run` shows whether a fix works.

Examples:
  dlq-replayer resume resource --reason \"fixed in 1.4.2\"

{EXITS}"))]
    Resume {
        /// The projection
        projection: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT", value_parser = a_text)]
        reason: String,
    },
}

/// Which letters are listed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArguments {
    /// Letters of this projection
    #[arg(long, value_name = "NAME")]
    projection: Option<String>,
    /// Letters from this topic, with the deployment's prefix
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Letters of this stream, say a device id
    #[arg(long, value_name = "STREAM_ID")]
    key: Option<String>,
    /// Letters of this class of failure: poison, bug
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Letters with this code: an SQLSTATE or a kind such as trailing-bytes
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Letters in these states
    #[arg(long, value_name = "STATE", value_parser = a_state(), value_delimiter = ',')]
    state: Vec<LetterState>,
    /// Letters that failed first since a time (2026-03-01T12:00:00Z) or within an age (2h, 3d)
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    since: Option<Since>,
}

impl FilterArguments {
    pub(crate) fn filters(self) -> Filters {
        let states = if self.state.is_empty() { LetterState::OPEN.to_vec() } else { self.state };
        Filters {
            projection: self.projection,
            topic: self.topic,
            stream_id: self.key,
            class: self.class,
            code: self.code,
            states,
            since: self.since,
        }
    }

    fn is_empty(&self) -> bool {
        let Self { projection, topic, key, class, code, state, since } = self;
        [projection, topic, key, class, code].into_iter().all(Option::is_none)
            && state.is_empty()
            && since.is_none()
    }
}

/// Which letters something is done to, and on which terms.
#[derive(Debug, Args)]
pub(crate) struct LetterArguments {
    /// The letters; else give filters
    #[arg(value_name = "ID")]
    ids: Vec<Uuid>,
    #[command(flatten)]
    filters: FilterArguments,
    /// The most letters taken, the first in the order of the log; 500 when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=LARGEST_CAP))]
    pub(crate) max: Option<u32>,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

impl LetterArguments {
    /// What is meant: letters by id, or open letters by filters.
    pub(crate) fn selection(self) -> Result<Selection, Trouble> {
        let usage = |text: &str| Err(Trouble::Usage(text.to_owned()));
        if let Some(settled) = self.filters.state.iter().find(|state| !state.is_open()) {
            return Err(Trouble::Usage(format!(
                "letters that are {} are settled; take retrying, parked or blocked",
                settled.as_str()
            )));
        }
        match (self.ids.is_empty(), self.filters.is_empty()) {
            (false, true) => Ok(Selection::Ids(self.ids)),
            (true, false) => Ok(Selection::Filters(self.filters.filters())),
            (true, true) => usage("name letters, or give a filter such as --state parked"),
            (false, false) => usage("name letters or give filters, not both"),
        }
    }
}

/// The name of a state; help and refusals list them.
fn a_state() -> impl TypedValueParser<Value = LetterState> {
    PossibleValuesParser::new(LetterState::ALL.map(LetterState::as_str))
        .try_map(|name| LetterState::find(&name).ok_or("is no state"))
}

/// A text that says something.
fn a_text(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("must not be blank".to_owned()),
        1..=1000 => Ok(text.to_owned()),
        _ => Err("must have at most 1000 characters".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    const ID: &str = "0199c0de-0000-7000-8000-000000000001";

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once(&"dlq-replayer").chain(arguments))
    }

    fn selection(arguments: &[&str]) -> Result<Selection, Trouble> {
        match parse(arguments).unwrap().command {
            Command::Replay { letters, .. } | Command::Discard { letters, .. } => {
                letters.selection()
            }
            other => panic!("{other:?} selects no letters"),
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_exit_codes() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains("Example") && help.contains("Exit codes"),
                "{}",
                command.get_name()
            );
        }
    }

    #[test]
    fn the_database_is_not_named_on_the_command_line() {
        let refused = parse(&["list", "--database-url", "postgres://u:hunter2@h/d"]).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"));
    }

    #[test]
    fn without_a_state_the_open_letters_are_meant() {
        let Command::List { filters, limit } = parse(&["list"]).unwrap().command else {
            panic!("not a list")
        };
        assert_eq!(filters.filters().states, LetterState::OPEN);
        assert_eq!(limit, 50);
    }

    #[test]
    fn an_action_without_letters_is_refused() {
        assert!(matches!(selection(&["replay"]), Err(Trouble::Usage(_))));
        assert!(matches!(selection(&["discard", "--reason", "x"]), Err(Trouble::Usage(_))));
    }

    #[test]
    fn an_action_takes_ids_or_filters() {
        assert!(matches!(selection(&["replay", ID]), Ok(Selection::Ids(ids)) if ids.len() == 1));
        assert!(matches!(selection(&["replay", "--key", "d"]), Ok(Selection::Filters(_))));
        assert!(matches!(selection(&["replay", ID, "--key", "d"]), Err(Trouble::Usage(_))));
    }

    #[test]
    fn an_action_on_settled_letters_is_refused() {
        let refused = selection(&["replay", "--state", "applied"]);
        assert!(matches!(refused, Err(Trouble::Usage(_))), "{refused:?}");
    }

    #[test]
    fn a_discard_needs_a_reason_that_is_not_blank() {
        assert!(parse(&["discard", ID]).is_err());
        assert!(parse(&["discard", ID, "--reason", "  "]).is_err());
        assert!(parse(&["discard", ID, "--reason", "vendor test"]).is_ok());
        assert!(parse(&["resume", "resource", "--reason", ""]).is_err());
    }

    #[test]
    fn nobody_acts_under_a_blank_name() {
        assert!(parse(&["list", "--who", " "]).is_err());
        assert_eq!(parse(&["list", "--who", "ann"]).unwrap().who.as_deref(), Some("ann"));
    }

    #[test]
    fn a_cap_is_a_number_of_letters() {
        assert!(parse(&["replay", "--key", "d", "--max", "0"]).is_err());
        assert!(parse(&["replay", "--key", "d", "--max", "10001"]).is_err());
        assert!(parse(&["replay", "--key", "d", "--max", "1"]).is_ok());
    }
}
