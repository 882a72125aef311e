//! What is remembered of a started process, so that a later call can find, ask and end it.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::local_dir::LocalDir;
use super::process::{Process, StopSignal, Tier};
use super::ready::Probe;

/// A started process, as written beside its pid file. Any version of this program finds and ends
/// what another started, so all but the first two fields may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The process' name.
    pub(crate) name: String,
    /// The process itself.
    pub(crate) identity: Identity,
    /// Where it listens.
    #[serde(default)]
    pub(crate) ports: Vec<u16>,
    /// How it is asked whether it serves.
    #[serde(default)]
    pub(crate) probe: Option<Probe>,
    /// How it is asked to end.
    #[serde(default)]
    pub(crate) stop_signal: StopSignal,
    /// Seconds it may take to end.
    #[serde(default)]
    pub(crate) stop_budget: u64,
    /// Its place in the order.
    #[serde(default)]
    pub(crate) tier: Tier,
    /// [`Process::fingerprint`] when it was started.
    #[serde(default)]
    pub(crate) fingerprint: String,
}

impl Record {
    /// The record of a process that was just started as `identity`.
    pub(crate) fn new(process: &Process, identity: Identity) -> Self {
        Self {
            name: process.name.clone(),
            identity,
            ports: process.ports.clone(),
            probe: Some(process.probe.clone()),
            stop_signal: process.stop_signal,
            stop_budget: process.stop_budget.as_secs(),
            tier: process.tier,
            fingerprint: process.fingerprint(),
        }
    }

    /// Writes the record and the pid file.
    pub(crate) fn save(&self, local: &LocalDir) -> Result<()> {
        let write = |path: std::path::PathBuf, text: String| {
            fs::File::create(&path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(|| format!("writing {}", path.display()))
        };
        write(local.record_of(&self.name), serde_json::to_string(self)?)?;
        write(local.pid_of(&self.name), format!("{}\n", self.identity.pid))
    }

    /// Removes the record and the pid file.
    pub(crate) fn forget(&self, local: &LocalDir) {
        for path in [local.record_of(&self.name), local.pid_of(&self.name)] {
            // Nothing hangs on the files once the process has gone; nginx removes its own.
            let _ = fs::remove_file(path);
        }
    }

    /// Every record of a stack, in the order in which processes start.
    pub(crate) fn all(local: &LocalDir) -> Result<Vec<Self>> {
        let Ok(files) = fs::read_dir(local.run()) else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        for path in files.flatten().map(|file| file.path()) {
            if path.extension().is_some_and(|extension| extension == "json") {
                records.push(Self::read(&path)?);
            }
        }
        records.sort_by(|a, b| (a.tier, &a.name).cmp(&(b.tier, &b.name)));
        Ok(records)
    }

    fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| {
            format!("reading {}; remove it once its process has ended", path.display())
        })
    }
}
