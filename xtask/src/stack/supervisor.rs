//! Starting, awaiting and ending processes by their pid.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::group;
use super::identity::Identity;
use super::local_dir::LocalDir;
use super::process::{Process, StopSignal};
use super::record::Record;

/// How often a condition is asked for again: far below what a person or a boot would notice.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Variables of the caller that every process gets; all others are its own.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "JAVA_HOME"];

/// Starts a process in its own process group, with its log as output, and remembers it.
pub(crate) fn start(local: &LocalDir, process: &Process) -> Result<Child> {
    let log = open_log(local, &process.name)?;
    let program = &process.program;
    let child = Command::new(&program.path)
        .args(&program.args)
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(program.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&program.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("sharing the log")?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {} ({})", process.name, program.path.display()))?;
    match Identity::of(child.id()) {
        Some(identity) => Record::new(process, identity).save(local)?,
        None => bail!("{} ended at once\n{}", process.name, tail(local, &process.name)),
    }
    Ok(child)
}

/// Waits until a process serves. Without the child (started by an earlier call) its record tells
/// whether it still lives.
pub(crate) fn await_ready(
    local: &LocalDir,
    process: &Process,
    child: Option<&mut Child>,
) -> Result<()> {
    let deadline = Instant::now() + process.start_budget;
    let mut child = child;
    loop {
        let Err(error) = process.probe.ask() else { return Ok(()) };
        let ended = match &mut child {
            Some(child) => child.try_wait().context("asking for the exit")?.is_some(),
            None => !is_running(local, &process.name)?,
        };
        if ended {
            bail!("{} ended before it was ready\n{}", process.name, tail(local, &process.name));
        }
        if Instant::now() > deadline {
            bail!(
                "{} was not ready within {} s: {error:#}\n{}",
                process.name,
                process.start_budget.as_secs(),
                tail(local, &process.name)
            );
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Ends processes together: asks each, waits, and kills those that outstay their budget. One that
/// cannot be killed keeps its record, so that a later call finds it.
pub(crate) fn stop(local: &LocalDir, records: &[Record]) -> Result<()> {
    for record in records {
        send(record, signal(record.stop_signal));
        group::wake(&record.identity);
    }
    let asked_at = Instant::now();
    let mut faults = Vec::new();
    for record in records {
        let budget = Duration::from_secs(record.stop_budget);
        while record.identity.lives() && asked_at.elapsed() < budget {
            std::thread::sleep(POLL_INTERVAL);
        }
        if record.identity.lives() {
            println!("{} did not end within {} s and is killed", record.name, record.stop_budget);
        }
        match group::kill(&record.name, &record.identity) {
            Ok(()) => record.forget(local),
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

fn send(record: &Record, signal: Signal) {
    if record.identity.lives()
        && let Some(pid) = pid(record.identity.pid)
    {
        // It may have ended in between, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

fn pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid.cast_signed())
}

const fn signal(stop_signal: StopSignal) -> Signal {
    match stop_signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
    }
}

fn is_running(local: &LocalDir, name: &str) -> Result<bool> {
    Ok(Record::all(local)?.iter().any(|record| record.name == name && record.identity.lives()))
}

fn open_log(local: &LocalDir, name: &str) -> Result<File> {
    let path = local.log_of(name);
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("opening the log {}", path.display()))
}

/// The end of a log, indented, for the message of a failed start.
fn tail(local: &LocalDir, name: &str) -> String {
    const LINES: usize = 15;
    let path = local.log_of(name);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    format!("the end of {}:\n  {}", path.display(), last.join("\n  "))
}
