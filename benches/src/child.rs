//! Processes under measurement.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cpu;

/// A child that is killed when it is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts one of our release binaries, which lie beside this one.
    pub(crate) fn start(
        binary: &str,
        settings: &[(String, String)],
        arguments: &[String],
    ) -> Result<Self> {
        let path = beside_us(binary)?;
        let child = Command::new(&path)
            .args(arguments)
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", path.display()))?;
        Ok(Self(child))
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of_tree(self.0.id())
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn beside_us(binary: &str) -> Result<PathBuf> {
    let us = std::env::current_exe()?;
    Ok(us.parent().context("this binary lies nowhere")?.join(binary))
}
