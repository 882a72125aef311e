//! What a process is asked to do, and the exit codes by which it answers.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use settings::{Effective, Settings, SettingsError};
use telemetry::StopReason;

use crate::Process;
use crate::healthcheck::Question;
use crate::process::read;

/// The command line was not understood (`EX_USAGE`).
const USAGE: u8 = 64;
/// The settings are wrong (`EX_CONFIG`).
const CONFIG: u8 = 78;

const USAGE_LINE: &str = "[--check-config | --help | healthcheck [live | ready]]";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Run,
    CheckConfig,
    Healthcheck(Question),
    Help,
}

impl Asked {
    /// Reads the arguments; the first that is not known is the error.
    pub(crate) fn from_arguments(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, String> {
        let mut asked = Self::Run;
        for argument in arguments {
            asked = match (asked, argument.to_str()) {
                (_, Some("--help" | "-h")) => return Ok(Self::Help),
                (Self::Run | Self::CheckConfig, Some("--check-config")) => Self::CheckConfig,
                (Self::Run, Some("healthcheck")) => Self::Healthcheck(Question::Live),
                (Self::Healthcheck(_), Some("live")) => Self::Healthcheck(Question::Live),
                (Self::Healthcheck(_), Some("ready")) => Self::Healthcheck(Question::Ready),
                _ => return Err(argument.to_string_lossy().into_owned()),
            };
        }
        Ok(asked)
    }
}

/// How a process ends: what it prints and its code.
pub(crate) struct Exit;

impl Exit {
    pub(crate) fn usage(name: &str, unknown: &str) -> ExitCode {
        complain(&format!("{name}: {unknown} is not an argument\nusage: {name} {USAGE_LINE}"));
        ExitCode::from(USAGE)
    }

    pub(crate) fn help<P: Process>() -> ExitCode {
        // What a process reads is found by letting it read nothing.
        let mut settings = Settings::new([]);
        read::<P>(&mut settings);
        say(&help_text(P::NAME, P::ABOUT, settings.effective()));
        ExitCode::SUCCESS
    }

    pub(crate) fn check_config<P: Process>(mut settings: Settings) -> ExitCode {
        read::<P>(&mut settings);
        let effective = effective_text(settings.effective());
        match settings.finish(()) {
            Ok(()) => {
                say(&format!("configuration ok\n{effective}"));
                ExitCode::SUCCESS
            }
            Err(error) => Self::wrong_settings(P::NAME, &error),
        }
    }

    /// 0 or 1, which are what container engines understand.
    pub(crate) fn healthcheck<P: Process>(mut settings: Settings, question: Question) -> ExitCode {
        let bind = settings.socket_address(P::BIND);
        let found = match settings.finish(bind) {
            Ok(bind) => question.ask(bind).map_err(|unhealthy| unhealthy.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                complain(&format!("{}: {reason}", P::NAME));
                ExitCode::FAILURE
            }
        }
    }

    pub(crate) fn wrong_settings(name: &str, error: &SettingsError) -> ExitCode {
        complain(&format!("{name}: {error}"));
        ExitCode::from(CONFIG)
    }

    pub(crate) fn failed(name: &str, error: &(dyn Error + 'static)) -> ExitCode {
        tracing::error!(error, "process cannot start");
        let mut text = format!("{name}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        complain(&text);
        ExitCode::FAILURE
    }

    pub(crate) fn after(reason: StopReason) -> ExitCode {
        match reason {
            StopReason::Signal(_) => ExitCode::SUCCESS,
            StopReason::Died => ExitCode::FAILURE,
        }
    }
}

fn effective_text(effective: &[Effective]) -> String {
    let mut text = String::new();
    for Effective { setting, value, is_default } in effective {
        let value = value.as_deref().unwrap_or("(none)");
        let note = if *is_default { "  (default)" } else { "" };
        let _ = writeln!(text, "  {}={value}{note}", setting.name);
    }
    text
}

fn help_text(name: &str, about: &str, read: &[Effective]) -> String {
    let mut text = format!(
        "{name}: {about}\n\n\
         usage: {name} {USAGE_LINE}\n\n  \
         --check-config  say what it would run with, or every fault of the settings\n  \
         --help          this text\n  \
         healthcheck     ask the process that runs beside this one whether it lives, or is ready\n\n\
         settings, from environment variables:\n"
    );
    for Effective { setting, .. } in read {
        let default = match setting.default {
            Some("") => ", default empty".to_owned(),
            Some(default) => format!(", default {default}"),
            None => String::new(),
        };
        let accepts = setting.kind.accepts();
        let _ = writeln!(text, "  {}  ({accepts}{default})\n      {}", setting.name, setting.about);
    }
    text
}

/// A reader that has gone away is no reason to fail.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.trim_end().as_bytes());
    let _ = std::io::stdout().write_all(b"\n");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use settings::table;

    use super::*;

    fn asked(arguments: &[&str]) -> Result<Asked, String> {
        Asked::from_arguments(arguments.iter().map(OsString::from))
    }

    #[test]
    fn without_arguments_a_process_runs() {
        assert_eq!(asked(&[]), Ok(Asked::Run));
        assert_eq!(asked(&["--check-config"]), Ok(Asked::CheckConfig));
        assert_eq!(asked(&["--check-config", "--help"]), Ok(Asked::Help));
    }

    #[test]
    fn a_healthcheck_asks_whether_the_process_lives_unless_told_otherwise() {
        assert_eq!(asked(&["healthcheck"]), Ok(Asked::Healthcheck(Question::Live)));
        assert_eq!(asked(&["healthcheck", "live"]), Ok(Asked::Healthcheck(Question::Live)));
        assert_eq!(asked(&["healthcheck", "ready"]), Ok(Asked::Healthcheck(Question::Ready)));
        assert_eq!(asked(&["healthcheck", "well"]), Err("well".to_owned()));
        assert_eq!(asked(&["ready"]), Err("ready".to_owned()));
        assert_eq!(asked(&["--check-config", "healthcheck"]), Err("healthcheck".to_owned()));
    }

    #[test]
    fn an_argument_that_is_not_known_is_named() {
        assert_eq!(asked(&["--check-config", "--verbose"]), Err("--verbose".to_owned()));
    }

    #[test]
    fn the_effective_settings_show_no_secret_and_tell_what_is_default() {
        let url = ("DATABASE_URL".to_owned(), "postgres://u:hunter2@h/d".to_owned());
        let mut settings = Settings::new([url]);
        settings.text(&table::DATABASE_URL);
        settings.text(&table::LOG);
        assert_eq!(
            effective_text(settings.effective()),
            "  DATABASE_URL=***\n  MILLRACE_LOG=info  (default)\n"
        );
    }

    #[test]
    fn help_lists_what_the_process_reads() {
        let mut settings = Settings::new([]);
        settings.number(&table::HTTP_MAX_CONNECTIONS);
        let text = help_text("query-api", "answers reads", settings.effective());
        assert!(
            text.contains("MILLRACE_HTTP_MAX_CONNECTIONS  (number, 1 to 1000000, default 10000)")
        );
        assert!(!text.contains("DATABASE_URL"));
    }
}
