//! `make test`: the gates, then every test on a stack of its own, which always ends.

use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::gates::{self, Gate};
use crate::stack::identity::Identity;
use crate::stack::local_dir::LocalDir;
use crate::stack::ports::Ports;
use crate::stack::scale::Scale;
use crate::stack::{self, Stack, group};

/// Far from the ports of a stack that is worked with, and below those that the kernel gives to whoever
/// connects (from 32,768).
const FIRST_OFFSET: u16 = 20_000;

/// Where the stack of a run lives.
const DIRECTORY: &str = ".local/test";

/// Where a test that needs a whole stack for itself has it. A test that is killed cannot remove it,
/// so the run does.
pub const OWN_STACK_DIRECTORY: &str = ".local/own";

/// The test that a soak is, and how long it takes unless the environment says.
const SOAK: &str = "faults::cache::soak::no_read_is_stale_and_no_token_is_lied_to_whatever_breaks";
const SOAK_SECONDS: &str = "600";

/// Tests of the whole system; what they are to be told comes behind. As parts of the workspace, so that
/// nothing is built anew with other features.
const SYSTEM_TESTS: [&str; 7] =
    ["test", "--quiet", "--locked", "--workspace", "--test", "system", "--"];

/// Asks for processes that reach the stack over TLS and by name.
const SECURED: &str = "SECURED";

/// What runs once more in this way in every run, and what runs if the environment asks for it.
const SOME_SECURED: [&str; 6] = [
    "journeys::walk_through",
    "journeys::cache",
    "journeys::consistency",
    "journeys::dead_letters",
    "journeys::idempotency",
    "journeys::lists::export",
];
const ALL_SECURED: [&str; 1] = ["journeys::"];

/// How many tests of a program run at once.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// How long an interrupted program and what it started may take to end: longer than our processes
/// take to drain.
const END_BUDGET: Duration = Duration::from_secs(15);

/// What a stack is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Tests,
    /// What the disk costs belongs to what is measured.
    Figures,
}

/// A program that is run with the variables of a stack.
struct Program {
    path: &'static str,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Program {
    fn new(path: &'static str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { path, arguments, variables: Vec::new() }
    }

    fn with(mut self, arguments: &[String]) -> Self {
        self.arguments.extend_from_slice(arguments);
        self
    }

    fn setting(mut self, name: &'static str, value: String) -> Self {
        self.variables.push((name, value));
        self
    }
}

/// Runs all gates and then, even if some did not pass, all tests; and once these pass, some of those of
/// users again with processes that reach the stack over TLS and by name. With `SECURED=1` in the
/// environment all of those, and no others. Arguments choose among the tests.
///
/// # Errors
/// A gate or a test did not pass, or the run was interrupted.
pub fn run(arguments: &[String]) -> Result<()> {
    let local = LocalDir::find(Path::new(DIRECTORY))?;
    let own = LocalDir::find(Path::new(OWN_STACK_DIRECTORY))?;
    let gates = gates::check(&local.checkout, &Gate::ALL);
    let left_before = stack::reset(&own);
    let tests = programs(&local.checkout, arguments)
        .and_then(|programs| on_a_stack(&local, Purpose::Tests, programs));
    let left_behind = stack::reset(&own);
    let faults: Vec<String> = [gates, left_before, tests, left_behind]
        .into_iter()
        .filter_map(|it| Some(format!("{:#}", it.err()?)))
        .collect();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Runs one test more at once than there are cores, unless the environment says otherwise: most of the time a test
/// waits for processes that it has started.
fn at_once(program: Program) -> Program {
    if std::env::var_os(TEST_THREADS).is_some() {
        return program;
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    program.setting(TEST_THREADS, (cores + 1).to_string())
}

/// What a run consists of.
fn programs(checkout: &Path, arguments: &[String]) -> Result<Vec<Program>> {
    let secured = || at_once(Program::new("cargo", &SYSTEM_TESTS)).setting(SECURED, "1".to_owned());
    let is_secured = std::env::var(SECURED).is_ok_and(|value| value == "1");
    let all = at_once(Program::new("cargo", &["test", "--locked", "--workspace"]));
    Ok(match (is_secured, arguments) {
        (true, []) => vec![secured().with(&ALL_SECURED.map(str::to_owned))],
        (true, arguments) => vec![secured().with(arguments)],
        (false, []) => {
            must_match_tests(checkout, &SOME_SECURED)?;
            vec![all, secured().with(&SOME_SECURED.map(str::to_owned))]
        }
        (false, arguments) => vec![all.with(arguments)],
    })
}

/// Reads through the cache while everything breaks, on a stack of its own: for `SOAK_SECONDS` seconds,
/// by the seed `SOAK_SEED`. The program's tests must have been built.
///
/// # Errors
/// A read was not what it had to be, or the run was interrupted.
pub fn soak() -> Result<()> {
    let local = LocalDir::find(Path::new(".local/soak"))?;
    let seconds = std::env::var("SOAK_SECONDS").unwrap_or_else(|_| SOAK_SECONDS.to_owned());
    let arguments = [&SYSTEM_TESTS[..], &["--nocapture", "--exact", SOAK]].concat();
    let soak = Program::new("cargo", &arguments).setting("SOAK_SECONDS", seconds);
    on_a_stack(&local, Purpose::Figures, vec![soak])
}

/// Runs the benches on a stack of their own.
///
/// # Errors
/// A bench failed, or the run was interrupted.
pub fn bench(arguments: &[String]) -> Result<()> {
    let local = LocalDir::find(Path::new(".local/bench"))?;
    let cargo = ["run", "--quiet", "--release", "--locked", "--package", "benches", "--"];
    let directory = ["--directory".to_owned(), local.path.display().to_string()];
    let benches = Program::new("cargo", &cargo).with(&directory).with(arguments);
    on_a_stack(&local, Purpose::Figures, vec![benches])
}

/// Refuses a filter that chooses no test.
fn must_match_tests(checkout: &Path, filters: &[&str]) -> Result<()> {
    let output = std::process::Command::new("cargo")
        .args(SYSTEM_TESTS)
        .arg("--list")
        .current_dir(checkout)
        .output()
        .context("listing tests")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let tests = String::from_utf8_lossy(&output.stdout);
    let is_test =
        |filter: &str| tests.lines().any(|it| it.ends_with(": test") && it.contains(filter));
    let missing: Vec<_> = filters.iter().filter(|filter| !is_test(filter)).collect();
    ensure!(missing.is_empty(), "no test is called {missing:?}");
    Ok(())
}

/// Runs programs, one after the other until one fails, with the variables of a new stack. The stack is
/// removed afterwards; its logs stay if a program failed.
fn on_a_stack(local: &LocalDir, purpose: Purpose, programs: Vec<Program>) -> Result<()> {
    stack::reset(local)?;
    let result = tokio::runtime::Runtime::new()
        .context("starting the runtime")?
        .block_on(interruptible(local, purpose, programs));
    match &result {
        Ok(()) => stack::reset(local)?,
        Err(_) => {
            stack::down(local)?;
            println!("the stack's logs are in {}", local.log().display());
        }
    }
    result
}

/// Starts the stack and the programs, in a way that a signal ends the program and not this process,
/// which has a stack to end.
async fn interruptible(local: &LocalDir, purpose: Purpose, programs: Vec<Program>) -> Result<()> {
    let mut signals = Signals::listen()?;
    let for_stack = local.clone();
    let variables = tokio::task::spawn_blocking(move || start_stack(for_stack, purpose))
        .await
        .context("starting the stack")??;
    for program in programs {
        run_to_its_end(&local.checkout, program, &variables, &mut signals).await?;
    }
    Ok(())
}

async fn run_to_its_end(
    checkout: &Path,
    program: Program,
    stack: &[(String, String)],
    signals: &mut Signals,
) -> Result<()> {
    let Program { path, arguments, variables } = program;
    let mut child = Command::new(path)
        .args(&arguments)
        .envs(stack.iter().map(|(name, value)| (name, value)))
        .envs(variables)
        .current_dir(checkout)
        // A group of its own, so that all of it can be told to end, and before the stack does.
        .process_group(0)
        .spawn()
        .with_context(|| format!("running {path}"))?;
    let leader = child.id().and_then(Identity::of);
    let interrupted = signals.or_end_of(&mut child).await?;
    // Interrupted, it is asked to end; and what a crashed test has started would hold on to the stack.
    if let Some(leader) = leader {
        tokio::task::spawn_blocking(move || group::end(path, &leader, END_BUDGET))
            .await
            .context("ending what the program has started")??;
    }
    let status = child.wait().await.with_context(|| format!("waiting for {path}"))?;
    ensure!(!interrupted, "{path} was interrupted");
    ensure!(status.success(), "{path} {} ended with {status}", arguments.join(" "));
    Ok(())
}

fn start_stack(local: LocalDir, purpose: Purpose) -> Result<Vec<(String, String)>> {
    let stack = Stack::new(local, Ports::free_from(FIRST_OFFSET)?, Scale::default())?;
    let stack = if purpose == Purpose::Tests { stack.unsynced() } else { stack };
    stack.up_infrastructure()?;
    stack.variables()
}

/// The signals by which a run is interrupted.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits until the child ends or a signal comes; returns whether it was a signal.
    async fn or_end_of(&mut self, child: &mut Child) -> Result<bool> {
        tokio::select! {
            status = child.wait() => status.map(|_| false).context("waiting for the program"),
            _ = self.interrupt.recv() => Ok(true),
            _ = self.terminate.recv() => Ok(true),
        }
    }
}
