//! The registry over TLS and with names: an nginx in front of it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::ports::Listener;
use super::process::{Process, Program, StopSignal, Tier};
use super::ready::Probe;
use super::{Stack, certificates, nginx, template};

/// Who may ask, each with its name as password.
const NAMES: [&str; 3] = ["projector", "dlq_replayer", "deploy"];

/// The process, with its configuration written.
pub(crate) fn process(stack: &Stack) -> Result<Process> {
    let port = stack.ports.of(Listener::RegistryDoor);
    let conf = stack.local.conf().join("registry-door.conf");
    let users = stack.local.conf().join("registry-door.users");
    let lines: String = NAMES.iter().map(|name| format!("{name}:{{PLAIN}}{name}\n")).collect();
    std::fs::write(&users, lines).with_context(|| format!("writing {}", users.display()))?;
    template::write(
        &stack.local.deploy("local/registry-door.conf"),
        &conf,
        &[
            ("user", nginx::user().to_owned()),
            ("run", stack.local.run().display().to_string()),
            ("data", data(stack).display().to_string()),
            ("port", port.to_string()),
            ("certificate", certificates::certificate(stack).display().to_string()),
            ("key", certificates::key(stack).display().to_string()),
            ("users", users.display().to_string()),
            ("registry_port", stack.ports.of(Listener::Registry).to_string()),
        ],
    )?;
    Ok(Process {
        name: "registry-door".to_owned(),
        program: Program {
            path: nginx::find(),
            args: nginx::arguments(stack, &conf),
            env: Vec::new(),
            dir: stack.local.path.clone(),
        },
        ports: vec![port],
        probe: Probe::Https {
            port,
            path: "/registry-door/health".to_owned(),
            authority: certificates::authority(stack),
        },
        start_budget: Duration::from_secs(15),
        stop_signal: StopSignal::Term,
        stop_budget: Duration::from_secs(5),
        tier: Tier::Infrastructure,
        files: vec![conf, users, certificates::certificate(stack)],
    })
}

/// Makes its directory.
pub(crate) fn prepare(stack: &Stack) -> Result<()> {
    std::fs::create_dir_all(data(stack)).context("creating the registry door's directory")
}

fn data(stack: &Stack) -> PathBuf {
    stack.local.data().join("registry-door")
}
