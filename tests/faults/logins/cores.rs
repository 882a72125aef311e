//! Cores of their own, such as processes have that run on machines of their own.

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Keeps every thread of a process to one core, and with them those that they begin.
pub(super) fn keep_to(core: usize, process: u32) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let id = thread?.file_name().to_string_lossy().parse().context("reading a thread's id")?;
        let id = Pid::from_raw(id).context("there is no such thread")?;
        sched_setaffinity(Some(id), &cores).with_context(|| format!("there is no core {core}"))?;
    }
    Ok(())
}
