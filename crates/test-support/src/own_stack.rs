//! A stack of a test's own, whose broker and database may be stopped and frozen.

use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use xtask::stack::local_dir::LocalDir;
use xtask::stack::ports::Ports;
use xtask::stack::{self as xtask_stack, scale::Scale};

use crate::{Alone, Stack, alone};

/// Apart from the stack that other tests share.
const DIRECTORY: &str = ".local/own";
const FIRST_OFFSET: u16 = 30_000;

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
            let local = LocalDir::find(Path::new(DIRECTORY))?;
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

    /// Ends a part as a power cut would.
    ///
    /// # Errors
    /// There is no such part.
    pub fn kill9(&self, part: &str) -> Result<()> {
        self.signal(part, Signal::KILL)
    }

    fn bring_up(&self) -> Result<()> {
        bring_up(self.local.clone(), self.ports)
    }

    fn signal(&self, part: &str, signal: Signal) -> Result<()> {
        let text = std::fs::read_to_string(self.local.pid_of(part))
            .with_context(|| format!("there is no part {part}"))?;
        let pid =
            text.trim().parse().ok().and_then(Pid::from_raw).context("a pid file without a pid")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {part}"))
    }
}

fn bring_up(local: LocalDir, ports: Ports) -> Result<()> {
    xtask_stack::Stack::new(local, ports, Scale::default())?.up_infrastructure()
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
