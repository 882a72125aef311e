//! The operators' tool for dead letters: it shows records that a projection could not fold, and
//! settles them: by folding them again, or by deciding that they never are.
//!
//! It works on the tables alone, so it works with the projector running or stopped. Every action
//! leaves a line in `letter_actions`, in the transaction of its effect; what had no effect leaves
//! one too. Values that may hold persons' data are masked unless they are asked for, and errors
//! hold names and codes only.

mod arguments;
mod audit;
mod console;
mod database;
mod diff;
mod discard;
mod exit;
mod letter;
mod list;
mod mask;
mod projections;
mod rate;
mod replay;
mod resume;
mod selection;
mod show;
mod since;
mod stats;
mod stream;
mod table;
mod trouble;

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Parser as _;
use settings::{Prefix, Settings};

pub use audit::Actor;
pub use console::Console;
pub use diff::RowChange;
pub use exit::Exit;
pub use letter::Letter;
pub use projections::Projections;
pub use projector::letters::LetterState;
pub use replay::{Failed, Outcome, ReplayError, Replayed, Replays};
pub use trouble::Trouble;

use arguments::{Arguments, CAP, Command};
use database::Database;
use replay::Terms;

/// What a call is given besides its console.
#[derive(Debug, Clone)]
pub struct Call {
    /// The command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
}

impl Call {
    /// What this process was given. Arguments and variables that are no text are left out or
    /// refused where they are read.
    pub fn of_process() -> Self {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            arguments: std::env::args_os().collect(),
            variables: std::env::vars_os().filter_map(text).collect(),
        }
    }
}

/// Does what the call asks, with the projections of this release; returns how it ended. What is
/// wrong has been said on the console's `err`.
pub async fn run(call: Call, console: &mut Console<'_>) -> Exit {
    run_with(call, console, Projections::from_settings).await
}

/// The same with another way to fold letters.
pub async fn run_with<R: Replays>(
    call: Call,
    console: &mut Console<'_>,
    replays: impl FnOnce(&mut Settings, &Prefix) -> R,
) -> Exit {
    let arguments = match Arguments::try_parse_from(&call.arguments) {
        Ok(arguments) => arguments,
        Err(error) => return misread(&error, console),
    };
    match execute(arguments, call.variables, console, replays).await {
        Ok(exit) => exit,
        Err(trouble) => {
            if !trouble.is_silent() {
                console.note(format!("error: {trouble}"));
            }
            trouble.exit()
        }
    }
}

/// Help and version are what was asked for; all else is wrong.
fn misread(error: &clap::Error, console: &mut Console<'_>) -> Exit {
    let text = error.render().to_string();
    if error.use_stderr() {
        console.note(text.trim_end());
        return Exit::Usage;
    }
    match console.line(text.trim_end()) {
        Ok(()) => Exit::Done,
        Err(trouble) => trouble.exit(),
    }
}

async fn execute<R: Replays>(
    arguments: Arguments,
    variables: BTreeMap<String, String>,
    console: &mut Console<'_>,
    replays: impl FnOnce(&mut Settings, &Prefix) -> R,
) -> Result<Exit, Trouble> {
    let Arguments { command, json, who } = arguments;
    let who = who.or_else(|| variables.get("USER").filter(|user| !user.is_empty()).cloned());
    let who = || {
        who.clone()
            .ok_or_else(|| Trouble::Usage("who acts? $USER is not set: say --who NAME".to_owned()))
    };
    let mut settings = Settings::new(variables);
    let prefix = Prefix::from_settings(&mut settings);
    let database = Database::from_settings(&mut settings, &prefix);
    // Only a replay needs more than the database.
    let replays =
        matches!(command, Command::Replay { .. }).then(|| replays(&mut settings, &prefix));
    settings.finish(()).map_err(|error| Trouble::Usage(error.to_string()))?;
    match command {
        Command::List { filters, limit } => {
            let mut connection = database.connect().await?;
            list::run(&mut connection, console, &filters.filters(), limit, json).await
        }
        Command::Show { id, reveal } => {
            let mut connection = database.connect().await?;
            show::run(&database, &mut connection, console, id, reveal, json).await
        }
        Command::Stats { projection } => {
            let mut connection = database.connect().await?;
            stats::run(&mut connection, console, projection.as_deref(), json).await
        }
        Command::Resume { projection, reason } => {
            let who = who()?;
            let actor = Actor { who: &who, reason: Some(&reason) };
            let mut connection = database.connect().await?;
            resume::run(&mut connection, console, &projection, actor, json).await
        }
        Command::Discard { letters, reason } => {
            let who = who()?;
            let actor = Actor { who: &who, reason: Some(&reason) };
            let (max, yes) = (letters.max, letters.yes);
            let selection = letters.selection()?;
            let mut connection = database.connect().await?;
            let selected = letter::select(&mut connection, &selection, max, CAP).await?;
            discard::run(&mut connection, console, &selected, actor, yes, json).await
        }
        Command::Replay { letters, dry_run, diff, reveal, rate, reason } => {
            let who = who()?;
            let actor = Actor { who: &who, reason: reason.as_deref() };
            let (max, yes) = (letters.max, letters.yes);
            let selection = letters.selection()?;
            let terms = Terms { actor, dry_run, diff, reveal, rate, yes, as_json: json };
            let mut connection = database.connect().await?;
            let selected = letter::select(&mut connection, &selection, max, CAP).await?;
            let Some(mut replays) = replays else {
                return Err(Trouble::Usage("no way to fold letters".to_owned()));
            };
            replay::run(&mut replays, &database, connection, console, &selected, terms).await
        }
    }
}
