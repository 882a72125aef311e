//! What happens to the process itself.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Metric;

/// The process has read its settings and begins.
#[derive(Debug)]
pub struct ProcessStarted {
    /// Which process.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl ProcessStarted {
    /// Sets the gauge and writes the line.
    pub fn emit(&self) {
        Metric::BuildInfo.gauge(&[self.service, self.version]).set(1.0);
        tracing::info!(version = self.version, pid = std::process::id(), "process started");
    }
}

/// The process listens; whether it is ready, its health says.
#[derive(Debug)]
pub struct ProcessReady {
    /// Where it listens.
    pub address: SocketAddr,
}

impl ProcessReady {
    /// Writes the line.
    pub fn emit(&self) {
        tracing::info!(address = %self.address, "process listens");
    }
}

/// Why a process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It was told to.
    Signal(&'static str),
    /// A part of it ended that must not end.
    Died,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(name) => f.write_str(name),
            Self::Died => f.write_str("a part of it ended"),
        }
    }
}

/// The process has stopped.
#[derive(Debug)]
pub struct ProcessStopped {
    /// Why.
    pub reason: StopReason,
    /// How long it took to finish what it had begun.
    pub drain: Duration,
    /// Whether everything was finished within the budget.
    pub is_clean: bool,
}

impl ProcessStopped {
    /// Writes the line.
    pub fn emit(&self) {
        let drain_ms = u64::try_from(self.drain.as_millis()).unwrap_or(u64::MAX);
        if self.is_clean {
            tracing::info!(reason = %self.reason, drain_ms, "process stopped");
        } else {
            tracing::warn!(reason = %self.reason, drain_ms, "process stopped before it had finished what it had begun");
        }
    }
}
