//! What a process of the stack is: how it is run, asked and ended. Plain data.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use super::ready::Probe;

/// How a process is asked to end.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum StopSignal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT, which Postgres reads as: do not wait for clients.
    Int,
    /// SIGQUIT, which nginx reads as: finish what is in flight.
    Quit,
}

/// In which order processes start, and in reverse end.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
pub(crate) enum Tier {
    /// What our processes stand on.
    #[default]
    Infrastructure,
    /// Our processes.
    Service,
    /// The front door.
    FrontDoor,
}

/// A program with everything that decides what it does.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Program {
    /// The executable.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Its environment, beside the few variables that every program gets.
    pub(crate) env: Vec<(String, String)>,
    /// Its working directory.
    pub(crate) dir: PathBuf,
}

/// A process of the stack.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Its name: that of its pid file and log.
    pub(crate) name: String,
    /// What is run.
    pub(crate) program: Program,
    /// Where it listens.
    pub(crate) ports: Vec<u16>,
    /// How it is asked whether it serves.
    pub(crate) probe: Probe,
    /// How long it may take until it does.
    pub(crate) start_budget: Duration,
    /// How it is asked to end.
    pub(crate) stop_signal: StopSignal,
    /// How long it may take to end before it is killed.
    pub(crate) stop_budget: Duration,
    /// Its place in the order.
    pub(crate) tier: Tier,
    /// Files whose content decides what it does: another content means a restart.
    pub(crate) files: Vec<PathBuf>,
}

impl Process {
    /// Differs when the process would behave otherwise than the one that was started.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.program.hash(&mut hasher);
        self.ports.hash(&mut hasher);
        for file in &self.files {
            std::fs::read(file).unwrap_or_default().hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_process() -> Process {
        Process {
            name: "projector".to_owned(),
            program: Program {
                path: "/bin/true".into(),
                args: Vec::new(),
                env: vec![("MILLRACE_LOG".to_owned(), "info".to_owned())],
                dir: "/".into(),
            },
            ports: vec![8003],
            probe: Probe::Redis(1),
            start_budget: Duration::ZERO,
            stop_signal: StopSignal::Term,
            stop_budget: Duration::ZERO,
            tier: Tier::Service,
            files: Vec::new(),
        }
    }

    #[test]
    fn an_unchanged_process_keeps_its_fingerprint() {
        assert_eq!(a_process().fingerprint(), a_process().fingerprint());
    }

    #[test]
    fn another_setting_or_port_changes_the_fingerprint() {
        let mut louder = a_process();
        louder.program.env[0].1 = "debug".to_owned();
        let mut moved = a_process();
        moved.ports[0] += 1;
        assert_ne!(louder.fingerprint(), a_process().fingerprint());
        assert_ne!(moved.fingerprint(), a_process().fingerprint());
    }
}
