//! The directory of a stack: where everything it writes is found.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::checkout;

/// The checkout and the directory in it under which one stack lives.
#[derive(Debug, Clone)]
pub struct LocalDir {
    /// The checkout.
    pub checkout: PathBuf,
    /// `.local`, absolute.
    pub path: PathBuf,
}

impl LocalDir {
    /// Finds the checkout above the working directory; `dir` is relative to it or absolute.
    pub fn find(dir: &Path) -> Result<Self> {
        let checkout = checkout::find()?;
        Ok(Self { path: checkout.join(dir), checkout })
    }

    /// Makes the directories that a start needs.
    pub fn create(&self) -> Result<()> {
        for dir in [self.run(), self.log(), self.data(), self.conf(), self.bin()] {
            std::fs::create_dir_all(&dir)
                .with_context(|| format!("creating the directory {}", dir.display()))?;
        }
        Ok(())
    }

    /// Removes everything that the stack has written; its lock and a stack in a directory below stay.
    pub(crate) fn remove(&self) -> Result<()> {
        for dir in [self.run(), self.log(), self.data(), self.conf(), self.bin()] {
            if dir.exists() {
                std::fs::remove_dir_all(&dir)
                    .with_context(|| format!("removing the directory {}", dir.display()))?;
            }
        }
        if self.env().exists() {
            std::fs::remove_file(self.env()).context("removing the env file")?;
        }
        Ok(())
    }

    /// The sourceable file of addresses and passwords.
    pub fn env(&self) -> PathBuf {
        self.path.join("env")
    }

    /// What a call that changes the stack locks. It outlives all else here: whoever waits for the lock
    /// has the file open, and would hold nothing if another had made it anew.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// `<process>.pid` files and sockets.
    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// `<process>.log` files.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// What `reset` removes.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Rendered configuration files.
    pub fn conf(&self) -> PathBuf {
        self.path.join("conf")
    }

    /// Certificates and their keys.
    pub fn tls(&self) -> PathBuf {
        self.conf().join("tls")
    }

    /// The binaries as started: a build beside a running stack does not change it.
    pub fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// The log of a process.
    pub fn log_of(&self, process: &str) -> PathBuf {
        self.log().join(format!("{process}.log"))
    }

    /// The pid file of a process.
    pub fn pid_of(&self, process: &str) -> PathBuf {
        self.run().join(format!("{process}.pid"))
    }

    /// What is remembered of a process beside its pid.
    pub fn record_of(&self, process: &str) -> PathBuf {
        self.run().join(format!("{process}.json"))
    }

    /// A file of the checkout under `deploy/`.
    pub fn deploy(&self, file: &str) -> PathBuf {
        self.checkout.join("deploy").join(file)
    }
}
