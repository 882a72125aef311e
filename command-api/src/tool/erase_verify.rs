//! `erase-verify`: what is left of a person who was erased, in every store, and what was looked at.
//!
//! Some things must not be there by their kind, which needs no knowledge of the person: a key, a password
//! hash, a personal field that is not sealed. Beyond that, texts that the person is known by are searched
//! for everywhere. What they are is never told: neither to a store, nor in what is printed.

mod cache;
mod database;
mod files;
mod log;
mod needle;
mod report;
mod sealing;

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use domain::user::UserId;
use event_schema::schema::Family;
use tokio::task::spawn_blocking;

use super::session::Session;
use super::{Told, ToolError};
use crate::decision::now;
use database::Database;
use log::Log;
use needle::Needles;
use report::{Place, Report};
use sealing::Sealing;

pub(super) use report::UNFINISHED;

/// Looks in every store for what is left of an erased user, and says what it looked at.
///
/// Ends with 0 where nothing is left, 1 where something was found, 5 where nothing was found and something
/// could not be looked at, 2 for wrong arguments, 78 for wrong settings.
#[derive(Debug, Args)]
pub(super) struct EraseVerify {
    /// The user's id.
    #[arg(value_parser = UserId::parse)]
    user: UserId,
    /// A text that the user is known by, to be searched for everywhere; may be given several times. It is
    /// called `marker 1` and so on in what is printed.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    contains: Vec<String>,
    /// A directory of logs that the texts are searched for in, too; may be given several times.
    #[arg(long, value_name = "DIR", requires = "contains")]
    logs: Vec<PathBuf>,
    /// Print one JSON document, to be kept.
    #[arg(long)]
    json: bool,
}

impl EraseVerify {
    pub(super) async fn run(self, session: &Session) -> Result<Told, ToolError> {
        let Self { user, contains, logs, json } = self;
        let began = now();
        let needles = Needles::new(&contains);
        let mut places = Vec::new();
        let sealing = sealing(session).await;
        let mut database = Database::connect(&session.config).await;
        let person = match &mut database {
            Ok(database) => Some(database.person(user, &sealing, &mut places).await),
            Err(why) => {
                places.push(Place::not_looked_at("Postgres", why.as_str()));
                None
            }
        };
        let log = Log {
            kafka: &session.config.producer.kafka,
            prefix: &session.config.prefix,
            needles: &needles,
        };
        log.stream(user, person, &sealing, &mut places).await;
        cache::look(session.cache.as_ref(), user, &needles, &mut places).await;
        if !needles.is_empty() {
            if let Ok(database) = &mut database {
                database.sweep(&needles, &mut places).await;
            }
            log.sweep(&mut places).await;
            let outbox = session.config.mail.outbox().map(Path::to_owned);
            places.extend(in_files(outbox, logs, needles).await?);
        }
        let report = Report {
            user,
            deployment: session.config.prefix.to_string(),
            markers: contains.len(),
            began,
            ended: now(),
            places,
        };
        let text = if json { report.json() } else { report.text() };
        Ok(Told { text, code: report.code() })
    }
}

/// Reads events, as far as it is known what their schema ids mean.
async fn sealing(session: &Session) -> Result<Sealing, String> {
    let deployed = session.deployed().await.map_err(|error| error.to_string())?;
    Ok(Sealing::new(deployed.of_family(Family::User).known_ids()))
}

/// Looks at mails that were written into a directory, and at logs.
async fn in_files(
    outbox: Option<PathBuf>,
    logs: Vec<PathBuf>,
    needles: Needles,
) -> Result<Vec<Place>, ToolError> {
    let look = move || {
        // The operator knows which, and a path may hold what is looked for.
        let outbox = outbox.map(|path| ("the outbox of mails".to_owned(), path));
        let numbered = logs.into_iter().zip(1..);
        let logs = numbered.map(|(path, number)| (format!("the files of --logs {number}"), path));
        let places = outbox.into_iter().chain(logs);
        places.flat_map(|(name, path)| files::look(&name, &path, &needles)).collect()
    };
    let looking = ToolError::failed("looking at files");
    spawn_blocking(look).await.map_err(|error| looking(error.to_string()))
}
