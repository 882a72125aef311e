//! A stack of a test's own, whose broker and database may be stopped and frozen.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::stack::local_dir::LocalDir;
use xtask::stack::ports::Ports;
use xtask::stack::{self as xtask_stack, scale::Scale};
use xtask::test_run::OWN_STACK_DIRECTORY;

use crate::{Alone, Stack, alone, eventually};

/// Apart from the ports of the stack that other tests share, and below those that the kernel gives to
/// whoever connects (from 32,768): a client of another test would now and then hold one of these.
const FIRST_OFFSET: u16 = 10_000;

/// Kafka, registry, Postgres and Redis for one test at a time. Dropped, all of it is removed.
#[derive(Debug)]
pub struct OwnStack {
    local: LocalDir,
    ports: Ports,
    _alone: Alone,
}

impl OwnStack {
    /// Waits until no other test runs alone, and starts the stack: about ten seconds.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn start() -> Result<Self> {
        let alone = alone().await?;
        let started = tokio::task::spawn_blocking(move || {
            let local = LocalDir::find(Path::new(OWN_STACK_DIRECTORY))?;
            // What a test that was interrupted has left.
            xtask_stack::reset(&local)?;
            let own = Self { local, ports: Ports::free_from(FIRST_OFFSET)?, _alone: alone };
            own.bring_up()?;
            anyhow::Ok(own)
        });
        started.await.context("starting a stack of its own")?
    }

    /// Its addresses.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn stack(&self) -> Result<Stack> {
        Stack::from_env_file(&self.local.env())
    }

    /// Stops a part in an orderly way.
    ///
    /// # Errors
    /// There is no such part.
    pub async fn stop(&self, part: &'static str) -> Result<()> {
        let local = self.local.clone();
        tokio::task::spawn_blocking(move || xtask_stack::stop(&local, part))
            .await
            .context("stopping a part")?
    }

    /// Brings back what does not run.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn up(&self) -> Result<()> {
        let (local, ports) = (self.local.clone(), self.ports);
        tokio::task::spawn_blocking(move || bring_up(local, ports))
            .await
            .context("bringing it up")?
    }

    /// Freezes a part: its sockets stay open and nothing is answered.
    ///
    /// # Errors
    /// There is no such part.
    pub fn freeze(&self, part: &str) -> Result<()> {
        self.signal(part, Signal::STOP)
    }

    /// Lets a frozen part go on.
    ///
    /// # Errors
    /// There is no such part.
    pub fn thaw(&self, part: &str) -> Result<()> {
        self.signal(part, Signal::CONT)
    }

    /// Ends the broker as a power cut would.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill9_broker(&self) -> Result<()> {
        self.end("kafka", Signal::KILL).await
    }

    /// Ends the database at once, without a word to its sessions: it recovers at its next start.
    ///
    /// # Errors
    /// It does not run.
    pub async fn crash_database(&self) -> Result<()> {
        // Postgres reads it as "immediate shutdown"; a killed one leaves children behind for a while.
        self.end("postgres", Signal::QUIT).await
    }

    /// Keeps a copy of the database as it is now, which stops it for a moment.
    ///
    /// # Errors
    /// It does not stop, cannot be copied or does not start.
    pub async fn save_database(&self) -> Result<()> {
        self.stop("postgres").await?;
        let (data, saved) = (self.database(), self.saved_database());
        // With owners and rights, which Postgres insists on.
        run("cp", &["-a".as_ref(), data.as_os_str(), saved.as_os_str()])?;
        self.up().await
    }

    /// Sets the database back to the copy, as a restore from a backup does.
    ///
    /// # Errors
    /// There is no copy, or it does not start from it.
    pub async fn restore_database(&self) -> Result<()> {
        self.stop("postgres").await?;
        let (data, saved) = (self.database(), self.saved_database());
        run("rm", &["-rf".as_ref(), data.as_os_str()])?;
        run("cp", &["-a".as_ref(), saved.as_os_str(), data.as_os_str()])?;
        self.up().await
    }

    fn database(&self) -> PathBuf {
        self.local.path.join("data/postgres")
    }

    fn saved_database(&self) -> PathBuf {
        self.local.path.join("data/postgres-saved")
    }

    async fn end(&self, part: &str, signal: Signal) -> Result<()> {
        let pid = self.pid(part)?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {part}"))?;
        eventually(&format!("{part} has ended"), async || {
            ensure!(!lives(pid), "process {pid} lives");
            Ok(())
        })
        .await
    }

    fn bring_up(&self) -> Result<()> {
        bring_up(self.local.clone(), self.ports)
    }

    fn signal(&self, part: &str, signal: Signal) -> Result<()> {
        kill_process(self.pid(part)?, signal)
            .with_context(|| format!("sending {signal:?} to {part}"))
    }

    fn pid(&self, part: &str) -> Result<Pid> {
        let text = std::fs::read_to_string(self.local.pid_of(part))
            .with_context(|| format!("there is no part {part}"))?;
        text.trim().parse().ok().and_then(Pid::from_raw).context("a pid file without a pid")
    }
}

fn bring_up(local: LocalDir, ports: Ports) -> Result<()> {
    xtask_stack::Stack::new(local, ports, Scale::default())?.unsynced().up_infrastructure()
}

fn run(program: &str, arguments: &[&OsStr]) -> Result<()> {
    let status = Command::new(program).args(arguments).status();
    let status = status.with_context(|| format!("running {program}"))?;
    ensure!(status.success(), "{program} {arguments:?} ended with {status}");
    Ok(())
}

/// Whether a process still holds anything. One that nobody waits for stays as a shell, which may
/// have threads that are still ending.
fn lives(pid: Pid) -> bool {
    let proc = format!("/proc/{}", pid.as_raw_pid());
    let stat = std::fs::read_to_string(format!("{proc}/stat")).unwrap_or_default();
    let is_shell =
        stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"));
    let threads = std::fs::read_dir(format!("{proc}/task")).map_or(0, Iterator::count);
    !is_shell || threads > 1
}

impl Drop for OwnStack {
    fn drop(&mut self) {
        for part in ["kafka", "postgres"] {
            // A frozen part cannot end in order.
            let _ = self.thaw(part);
        }
        // What stays is removed by the next test that needs a stack of its own.
        let _ = xtask_stack::reset(&self.local);
    }
}
