//! What operators do from a terminal: `command-api <tool>`.
//!
//! A tool reads the settings of the process and runs beside it. What it prints is for people; its exit
//! code is for scripts.

mod create_admin;
mod erase;
mod erase_verify;
mod keys;
mod remove_second_factor;
mod repair;
mod session;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use settings::Settings;

use create_admin::CreateAdmin;
use erase::Erase;
use erase_verify::{EraseVerify, UNFINISHED};
use keys::Keys;
use remove_second_factor::RemoveSecondFactor;
use repair::Repair;
use session::Session;

/// The settings are wrong (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// A tool did not do its work.
const FAILURE: u8 = 1;

/// Who decides what a tool decides, in the log.
const ACTOR: &str = "operator";

/// Tools of the command side.
#[derive(Debug, Parser)]
#[command(name = "command-api", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Registers a user who is an admin.
    CreateAdmin(CreateAdmin),
    /// Forgets a user.
    Erase(Erase),
    /// Looks in every store for what is left of an erased user.
    EraseVerify(EraseVerify),
    /// Lists, replaces and revokes the keys that sign access tokens.
    Keys(Keys),
    /// Takes a user's second factor away.
    RemoveSecondFactor(RemoveSecondFactor),
    /// Takes from the log what the event store has lost.
    Repair(Repair),
}

/// Why a tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// What it was asked for breaks rules.
    #[error("{0}")]
    Asked(String),
    /// Something that it needs did not answer.
    #[error("{doing}: {why}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        why: String,
    },
}

impl ToolError {
    fn failed(doing: &'static str) -> impl Fn(String) -> Self {
        move |why| Self::Failed { doing, why }
    }
}

/// What a tool says, and how it ends.
struct Told {
    text: String,
    code: u8,
}

impl From<String> for Told {
    fn from(text: String) -> Self {
        Self { text, code: 0 }
    }
}

/// Runs the tool that the command line names; `None` where it names none.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let names = ["create-admin", "erase", "erase-verify", "keys", "remove-second-factor", "repair"];
    let is_tool = arguments.get(1).and_then(|name| name.to_str());
    is_tool.filter(|name| names.contains(name))?;
    Some(match Arguments::try_parse_from(arguments) {
        Ok(Arguments { tool }) => tool.run(),
        Err(error) => {
            // Help goes to the one, faults to the other.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    })
}

impl Tool {
    fn run(self) -> ExitCode {
        let unable = self.unable();
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("command-api: {error}");
                return ExitCode::from(unable);
            }
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        // Pools belong to the runtime that they are made in.
        let _entered = runtime.enter();
        let session = match Session::from_settings(Settings::new(variables)) {
            Ok(session) => session,
            Err(error) => {
                eprintln!("command-api: {error}");
                return ExitCode::from(CONFIG);
            }
        };
        let done = runtime.block_on(async {
            match self {
                Self::CreateAdmin(tool) => tool.run(&session).await.map(Told::from),
                Self::Erase(tool) => tool.run(&session).await.map(Told::from),
                Self::EraseVerify(tool) => tool.run(&session).await,
                Self::Keys(tool) => tool.run(&session).await.map(Told::from),
                Self::RemoveSecondFactor(tool) => tool.run(&session).await.map(Told::from),
                Self::Repair(tool) => tool.run(&session).await.map(Told::from),
            }
        });
        match done {
            Ok(Told { text, code }) => {
                say(&text);
                ExitCode::from(code)
            }
            Err(error) => {
                eprintln!("command-api: {error}");
                ExitCode::from(unable)
            }
        }
    }

    /// The exit code where it could not do its work.
    fn unable(&self) -> u8 {
        match self {
            // What has not looked has found nothing.
            Self::EraseVerify(_) => UNFINISHED,
            Self::CreateAdmin(_)
            | Self::Erase(_)
            | Self::Keys(_)
            | Self::RemoveSecondFactor(_)
            | Self::Repair(_) => FAILURE,
        }
    }
}

#[expect(clippy::print_stdout, reason = "what a tool found is its output")]
fn say(text: &str) {
    print!("{text}");
}
