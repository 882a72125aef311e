//! Redis, which holds nothing that cannot be lost.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Stack;
use super::certificates;
use super::ports::Listener;
use super::process::{Process, Program, StopSignal, Tier};
use super::ready::Probe;
use super::template;

/// The process, with its configuration written.
pub(crate) fn process(stack: &Stack) -> Result<Process> {
    let port = stack.ports.of(Listener::Redis);
    let secured_port = stack.ports.of(Listener::RedisSecured);
    let conf = stack.local.conf().join("redis.conf");
    template::write(
        &stack.local.deploy("local/redis.conf"),
        &conf,
        &[
            ("port", port.to_string()),
            ("secured_port", secured_port.to_string()),
            ("certificate", certificates::certificate(stack).display().to_string()),
            ("key", certificates::key(stack).display().to_string()),
            ("data", data(stack).display().to_string()),
        ],
    )?;
    Ok(Process {
        name: "redis".to_owned(),
        program: Program {
            path: "redis-server".into(),
            args: vec![conf.display().to_string()],
            env: Vec::new(),
            dir: stack.local.path.clone(),
        },
        ports: vec![port, secured_port],
        probe: Probe::Redis(port),
        start_budget: Duration::from_secs(15),
        stop_signal: StopSignal::Term,
        stop_budget: Duration::from_secs(10),
        tier: Tier::Infrastructure,
        files: vec![conf, certificates::certificate(stack)],
    })
}

/// Makes its directory.
pub(crate) fn prepare(stack: &Stack) -> Result<()> {
    std::fs::create_dir_all(data(stack)).context("creating Redis' directory")
}

fn data(stack: &Stack) -> PathBuf {
    stack.local.data().join("redis")
}
