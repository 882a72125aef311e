//! Where log lines go and in which form.

use settings::{Settings, table};
use tracing_subscriber::filter::{Directive, LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

use crate::Traces;
use crate::json::JsonLines;
use crate::text::TextLines;
use crate::trace::TARGET;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For reading at a terminal.
    Text,
}

/// Who writes: on every line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The process, such as `query-api`.
    pub service: &'static str,
    /// The instance among those of the process.
    pub instance: String,
}

impl Identity {
    /// Reads the instance's name; the process and its pid stand in where it has none.
    pub fn from_settings(settings: &mut Settings, service: &'static str) -> Self {
        let instance = settings
            .optional_text(&table::INSTANCE)
            .unwrap_or_else(|| format!("{service}-{}", std::process::id()));
        Self { service, instance }
    }
}

/// Which lines are written and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Who writes.
    pub identity: Identity,
    /// The filter, as `tracing` writes it.
    pub filter: String,
    /// The form.
    pub format: LogFormat,
}

impl LogConfig {
    /// Reads filter, form and the instance's name; a filter that means nothing is a fault.
    pub fn from_settings(settings: &mut Settings, service: &'static str) -> Self {
        let filter = settings.text(&table::LOG);
        if let Err(error) = parse(&filter) {
            settings.fault(format!("{} is no log filter: {error}", table::LOG.name));
        }
        let format = match settings.text(&table::LOG_FORMAT).as_str() {
            "text" => LogFormat::Text,
            _ => LogFormat::Json,
        };
        Self { identity: Identity::from_settings(settings, service), filter, format }
    }
}

/// Why lines cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum StartLogError {
    /// The filter means nothing.
    #[error("the log filter cannot be read")]
    Filter(#[from] ParseError),
    /// Somebody writes them already.
    #[error("this process already writes a log")]
    AlreadyStarted,
}

/// Begins to write log lines to standard output, once per process, and beside them to record traces
/// if there are any.
pub fn start_log(config: &LogConfig, traces: Option<&Traces>) -> Result<(), StartLogError> {
    let filter = parse(&config.filter)?;
    let started = match traces {
        None => start_lines(config, filter),
        Some(traces) => start_both(config, filter, traces),
    };
    started.ok_or(StartLogError::AlreadyStarted)
}

fn start_lines(config: &LogConfig, filter: EnvFilter) -> Option<()> {
    let lines = fmt().with_env_filter(filter).with_ansi(false);
    let started = match config.format {
        LogFormat::Text => {
            let lines = lines.event_format(TextLines::default());
            tracing::subscriber::set_global_default(lines.finish())
        }
        LogFormat::Json => {
            let json = JsonLines::new(&config.identity);
            let lines = lines.fmt_fields(json.fields()).event_format(json);
            tracing::subscriber::set_global_default(lines.finish())
        }
    };
    started.ok()
}

/// Spans of traces are no spans of lines: what a line is told of them is their ids.
fn start_both(config: &LogConfig, filter: EnvFilter, traces: &Traces) -> Option<()> {
    let none = LevelFilter::OFF;
    let no_traces: Directive = format!("{TARGET}={none}").parse().ok()?;
    let filter = filter.add_directive(no_traces);
    let lines = fmt::layer().with_ansi(false);
    let started = match config.format {
        LogFormat::Text => {
            let lines = lines.event_format(TextLines::default());
            Registry::default().with(lines.with_filter(filter)).with(traces.layer()).try_init()
        }
        LogFormat::Json => {
            let json = JsonLines::new(&config.identity);
            let lines = lines.fmt_fields(json.fields()).event_format(json);
            Registry::default().with(lines.with_filter(filter)).with(traces.layer()).try_init()
        }
    };
    started.ok()
}

fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(filter)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What was written.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Captured {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn faults(variables: &[(&str, &str)]) -> Vec<String> {
        let pairs = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut settings = Settings::new(pairs);
        LogConfig::from_settings(&mut settings, "query-api");
        settings.finish(()).err().map(|e| e.0).unwrap_or_default()
    }

    #[test]
    fn a_filter_by_target_is_taken() {
        assert!(faults(&[("MILLRACE_LOG", "info,query_api=debug")]).is_empty());
    }

    #[test]
    fn a_filter_that_means_nothing_is_named() {
        let faults = faults(&[("MILLRACE_LOG", "info,=,a=loud")]);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("MILLRACE_LOG is no log filter"), "{faults:?}");
    }
}
