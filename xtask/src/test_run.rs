//! `make test`: the gates, then every test on a stack of its own, which always ends.

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

/// Far from the ports of a stack that is worked with.
const FIRST_OFFSET: u16 = 20_000;

/// Where the stack of a run lives.
const DIRECTORY: &str = ".local/test";

/// Where a test that needs a whole stack for itself has it. A test that is killed cannot remove it,
/// so the run does.
pub const OWN_STACK_DIRECTORY: &str = ".local/own";

/// The test that a soak is, and how long it takes unless the environment says.
const SOAK: &str = "faults::cache::soak::no_read_is_stale_and_no_token_is_lied_to_whatever_breaks";
const SOAK_SECONDS: &str = "600";

/// How long an interrupted program and what it started may take to end: longer than our processes
/// take to drain.
const END_BUDGET: Duration = Duration::from_secs(15);

/// Runs all gates and then, even if some did not pass, all tests.
///
/// # Errors
/// A gate or a test did not pass, or the run was interrupted.
pub fn run(arguments: &[String]) -> Result<()> {
    let local = LocalDir::find(Path::new(DIRECTORY))?;
    let own = LocalDir::find(Path::new(OWN_STACK_DIRECTORY))?;
    let gates = gates::check(&local.checkout, &Gate::ALL);
    let left_before = stack::reset(&own);
    let tests = on_a_stack(&local, "cargo", &[&cargo_test(), arguments].concat());
    let left_behind = stack::reset(&own);
    let faults: Vec<String> = [gates, left_before, tests, left_behind]
        .into_iter()
        .filter_map(|it| Some(format!("{:#}", it.err()?)))
        .collect();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Reads through the cache while everything breaks, on a stack of its own: for `SOAK_SECONDS` seconds,
/// by the seed `SOAK_SEED`. The program's tests must have been built.
///
/// # Errors
/// A read was not what it had to be, or the run was interrupted.
pub fn soak() -> Result<()> {
    let local = LocalDir::find(Path::new(".local/soak"))?;
    let seconds = std::env::var("SOAK_SECONDS").unwrap_or_else(|_| SOAK_SECONDS.to_owned());
    let seconds = format!("SOAK_SECONDS={seconds}");
    let cargo = ["cargo", "test", "--quiet", "--locked", "--package", "system-tests", "--"];
    let test = ["--nocapture", "--exact", SOAK];
    let arguments = [&[seconds.as_str()], &cargo[..], &test].concat();
    on_a_stack(&local, "env", &arguments.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

/// Runs the benches on a stack of their own.
///
/// # Errors
/// A bench failed, or the run was interrupted.
pub fn bench(arguments: &[String]) -> Result<()> {
    let local = LocalDir::find(Path::new(".local/bench"))?;
    let cargo = ["run", "--quiet", "--release", "--locked", "--package", "benches", "--"];
    let directory = ["--directory".to_owned(), local.path.display().to_string()];
    on_a_stack(&local, "cargo", &[&cargo.map(str::to_owned), &directory[..], arguments].concat())
}

fn cargo_test() -> Vec<String> {
    ["test", "--locked", "--workspace"].map(str::to_owned).into()
}

/// Runs a program with the variables of a new stack. The stack is removed afterwards; its logs stay
/// if the program failed.
fn on_a_stack(local: &LocalDir, program: &str, arguments: &[String]) -> Result<()> {
    stack::reset(local)?;
    let result = tokio::runtime::Runtime::new()
        .context("starting the runtime")?
        .block_on(interruptible(local, program, arguments));
    match &result {
        Ok(()) => stack::reset(local)?,
        Err(_) => {
            stack::down(local)?;
            println!("the stack's logs are in {}", local.log().display());
        }
    }
    result
}

/// Starts the stack and the program, in a way that a signal ends the program and not this process,
/// which has a stack to end.
async fn interruptible(local: &LocalDir, program: &str, arguments: &[String]) -> Result<()> {
    let mut signals = Signals::listen()?;
    let for_stack = local.clone();
    let variables = tokio::task::spawn_blocking(move || start_stack(for_stack))
        .await
        .context("starting the stack")??;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables)
        .current_dir(&local.checkout)
        // A group of its own, so that all of it can be told to end, and before the stack does.
        .process_group(0)
        .spawn()
        .with_context(|| format!("running {program}"))?;
    let leader = child.id().and_then(Identity::of);
    let interrupted = signals.or_end_of(&mut child).await?;
    // Interrupted, it is asked to end; and what a crashed test has started would hold on to the stack.
    if let Some(leader) = leader {
        let name = program.to_owned();
        tokio::task::spawn_blocking(move || group::end(&name, &leader, END_BUDGET))
            .await
            .context("ending what the program has started")??;
    }
    let status = child.wait().await.with_context(|| format!("waiting for {program}"))?;
    ensure!(!interrupted, "{program} was interrupted");
    ensure!(status.success(), "{program} {} ended with {status}", arguments.join(" "));
    Ok(())
}

fn start_stack(local: LocalDir) -> Result<Vec<(String, String)>> {
    let stack = Stack::new(local, Ports::free_from(FIRST_OFFSET)?, Scale::default())?;
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
