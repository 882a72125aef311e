//! A process from its command line to its exit code.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use settings::{Setting, Settings};
use telemetry::{
    LogConfig, ProcessReady, ProcessStarted, ProcessStopped, StopReason, TraceConfig, Traces,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::Shutdown;
use crate::command_line::{Asked, Exit};

/// What a process is to [`main`] and to its tests.
pub trait Process: Sized + Send {
    /// Its name, such as `query-api`.
    const NAME: &'static str;
    /// What it does, in one line.
    const ABOUT: &'static str;
    /// The setting that says where it listens.
    const BIND: &'static Setting;

    /// What it runs with.
    type Config: Send;
    /// Why it does not start.
    type StartError: Error + Send + Sync + 'static;

    /// Reads what it runs with; wrong settings are noted as faults.
    fn config(settings: &mut Settings) -> Self::Config;

    /// Starts it. A dependency that is down is no reason to fail: the process is then not ready.
    fn start(config: Self::Config) -> impl Future<Output = Result<Self, Self::StartError>> + Send;

    /// Where it listens.
    fn addr(&self) -> SocketAddr;

    /// Returns when a part of it has ended that must not, such as `health.died()`.
    fn stopped(&self) -> impl Future<Output = ()> + Send;

    /// Ends it: what was begun is finished within its drain budget. True if everything was.
    fn stop(self) -> impl Future<Output = bool> + Send;
}

/// Time beyond the drain budget after which a stop that does not come to its end is given up.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// The `main` of a process: reads the command line and the settings, starts, waits for SIGTERM,
/// SIGINT or the process's own end, and stops. A second signal ends it at once.
pub fn main<P: Process>() -> ExitCode {
    let asked = match Asked::from_arguments(std::env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(unknown) => return Exit::usage(P::NAME, &unknown),
    };
    // A variable that is no UTF-8 is none of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match asked {
        Asked::Help => Exit::help::<P>(),
        Asked::Healthcheck(question) => Exit::healthcheck::<P>(Settings::new(variables), question),
        Asked::CheckConfig => Exit::check_config::<P>(Settings::new(variables)),
        Asked::Run => run::<P>(Settings::new(variables)),
    }
}

/// Everything [`main`] reads, in the order in which it is documented.
pub(crate) struct Read<C> {
    pub(crate) log: LogConfig,
    pub(crate) traces: Option<TraceConfig>,
    pub(crate) budget: Duration,
    pub(crate) config: C,
}

pub(crate) fn read<P: Process>(settings: &mut Settings) -> Read<P::Config> {
    let log = LogConfig::from_settings(settings, P::NAME);
    let traces = TraceConfig::from_settings(settings);
    let budget = Shutdown::budget(settings);
    Read { log, traces, budget, config: P::config(settings) }
}

fn run<P: Process>(mut settings: Settings) -> ExitCode {
    let read = read::<P>(&mut settings);
    let Read { log, traces, budget, config } = match settings.finish(read) {
        Ok(read) => read,
        Err(error) => return Exit::wrong_settings(P::NAME, &error),
    };
    telemetry::metrics();
    let start = |config| Traces::start(&config, &log.identity, env!("CARGO_PKG_VERSION"));
    let traces = match traces.map(start).transpose() {
        Ok(traces) => traces,
        Err(error) => return Exit::failed(P::NAME, &error),
    };
    if let Err(error) = telemetry::start_log(&log, traces.as_ref()) {
        return Exit::failed(P::NAME, &error);
    }
    log_panics();
    ProcessStarted { service: P::NAME, version: env!("CARGO_PKG_VERSION") }.emit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::failed(P::NAME, &error),
    };
    let Ended { exit, left } = runtime.block_on(live::<P>(config, budget));
    // A blocking call that does not return must not keep a stopped process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(traces) = traces {
        traces.stop(left);
    }
    exit
}

/// How a process ended, and how much of the time to end is left.
struct Ended {
    exit: ExitCode,
    left: Duration,
}

async fn live<P: Process>(config: P::Config, budget: Duration) -> Ended {
    let not_begun =
        |error: &(dyn Error + 'static)| Ended { exit: Exit::failed(P::NAME, error), left: budget };
    // Before the start: a signal that comes meanwhile is not lost.
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => return not_begun(&error),
        };
    let process = match P::start(config).await {
        Ok(process) => process,
        Err(error) => return not_begun(&error),
    };
    ProcessReady { address: process.addr() }.emit();
    let reason = tokio::select! {
        _ = terminate.recv() => StopReason::Signal("SIGTERM"),
        _ = interrupt.recv() => StopReason::Signal("SIGINT"),
        () = process.stopped() => StopReason::Died,
    };
    tracing::info!(%reason, "process stops");
    let began = Instant::now();
    let is_clean = tokio::select! {
        is_clean = process.stop() => is_clean,
        () = tokio::time::sleep(budget + STOP_MARGIN) => false,
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
    };
    ProcessStopped { reason, drain: began.elapsed(), is_clean }.emit();
    Ended { exit: Exit::after(reason), left: budget.saturating_sub(began.elapsed()) }
}

/// A panic is a log line like any other; where it happened is what helps.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        let location = location.as_deref().unwrap_or("unknown");
        tracing::error!(panic.location = location, panic.message = message, "panic");
    }));
}
