//! The front door.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::Stack;
use super::edge_limits::EdgeLimits;
use super::ports::Listener;
use super::process::{Process, Program, StopSignal, Tier};
use super::ready::Probe;
use super::service::Service;
use super::template;

/// The process, with its configuration written.
pub(crate) fn process(stack: &Stack) -> Result<Process> {
    let port = stack.ports.of(Listener::Nginx);
    let conf = stack.local.conf().join("nginx.conf");
    let [counted, general, auth] = EdgeLimits::from_env().values();
    template::write(
        &stack.local.deploy("nginx/nginx.conf"),
        &conf,
        &[
            counted,
            general,
            auth,
            ("user", user().to_owned()),
            ("run", stack.local.run().display().to_string()),
            ("access_log", stack.local.log().join("nginx.log").display().to_string()),
            ("data", data(stack).display().to_string()),
            ("listen", format!("127.0.0.1:{port}")),
            ("surroundings", String::new()),
            ("command_api_servers", servers(stack, Service::CommandApi)),
            ("query_api_servers", servers(stack, Service::QueryApi)),
        ],
    )?;
    Ok(Process {
        name: "nginx".to_owned(),
        program: Program {
            path: find(),
            args: arguments(stack, &conf),
            env: Vec::new(),
            dir: stack.local.path.clone(),
        },
        ports: vec![port],
        probe: Probe::Http { port, path: "/front-door/health".to_owned() },
        start_budget: Duration::from_secs(15),
        stop_signal: StopSignal::Quit,
        stop_budget: Duration::from_secs(15),
        tier: Tier::FrontDoor,
        files: vec![conf],
    })
}

/// Makes its directory.
pub(crate) fn prepare(stack: &Stack) -> Result<()> {
    std::fs::create_dir_all(data(stack)).context("creating nginx' directory")
}

/// `server` lines for every process of a kind.
fn servers(stack: &Stack, service: Service) -> String {
    let line = |instance| {
        let port = stack.ports.of_instance(service.listener(), instance);
        format!("        server 127.0.0.1:{port} max_fails=0;\n")
    };
    (1..=stack.scale.of(service)).map(line).collect::<String>().trim_end().to_owned()
}

/// As root nginx would hand its work to a user who may not enter every checkout.
pub(crate) fn user() -> &'static str {
    if rustix::process::geteuid().is_root() { "user root;" } else { "" }
}

/// How it is told of its configuration.
pub(crate) fn arguments(stack: &Stack, conf: &Path) -> Vec<String> {
    ["-e", "stderr", "-p", &stack.local.path.to_string_lossy(), "-c", &conf.to_string_lossy()]
        .map(str::to_owned)
        .into()
}

/// Debian keeps it where only root's path leads.
pub(crate) fn find() -> PathBuf {
    let usual = PathBuf::from("/usr/sbin/nginx");
    if usual.exists() { usual } else { "nginx".into() }
}

fn data(stack: &Stack) -> PathBuf {
    stack.local.data().join("nginx")
}
