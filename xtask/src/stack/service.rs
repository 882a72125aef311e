//! Our own processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::ports::Listener;
use super::process::{Process, Program, StopSignal, Tier};
use super::ready::Probe;
use super::{Stack, environment, postgres};

/// A kind of process of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The write side.
    CommandApi,
    /// The read side.
    QueryApi,
    /// Folds the log into the read models.
    Projector,
}

impl Service {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::CommandApi, Self::QueryApi, Self::Projector];

    /// The name of the binary, and of the first process of the kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommandApi => "command-api",
            Self::QueryApi => "query-api",
            Self::Projector => "projector",
        }
    }

    pub(crate) const fn listener(self) -> Listener {
        match self {
            Self::CommandApi => Listener::CommandApi,
            Self::QueryApi => Listener::QueryApi,
            Self::Projector => Listener::Projector,
        }
    }

    const fn bind_setting(self) -> &'static settings::Setting {
        match self {
            Self::CommandApi => &settings::table::COMMAND_API_BIND,
            Self::QueryApi => &settings::table::QUERY_API_BIND,
            Self::Projector => &settings::table::PROJECTOR_BIND,
        }
    }

    const fn role(self) -> &'static str {
        match self {
            Self::CommandApi => "command_api",
            Self::QueryApi => "query_api",
            Self::Projector => "projector",
        }
    }
}

/// The operators' tool, which runs when somebody calls it.
pub(crate) const REPLAYER: &str = "dlq-replayer";

/// Every process of ours that the scale asks for, each with its binary put in place.
pub(crate) fn processes(stack: &Stack) -> Result<Vec<Process>> {
    let mut processes = Vec::new();
    install(stack, REPLAYER)?;
    for service in Service::ALL {
        let binary = install(stack, service.name())?;
        for instance in 1..=stack.scale.of(service) {
            processes.push(process(stack, service, instance, &binary));
        }
    }
    Ok(processes)
}

fn process(stack: &Stack, service: Service, instance: u16, binary: &Path) -> Process {
    let name = match instance {
        1 => service.name().to_owned(),
        _ => format!("{}-{instance}", service.name()),
    };
    let port = stack.ports.of_instance(service.listener(), instance);
    let settings = settings(stack, service, &name, port);
    Process {
        program: Program {
            path: binary.to_owned(),
            args: Vec::new(),
            env: settings,
            dir: stack.local.path.clone(),
        },
        name,
        ports: vec![port],
        probe: Probe::Http { port, path: "/health/ready".to_owned() },
        start_budget: Duration::from_secs(30),
        stop_signal: StopSignal::Term,
        // The drain time-out's default, and time to close what is left.
        stop_budget: Duration::from_secs(15),
        tier: Tier::Service,
        files: vec![binary.to_owned()],
    }
}

/// The caller's settings, which are how one tries another value, under those that make the stack.
fn settings(stack: &Stack, service: Service, name: &str, port: u16) -> Vec<(String, String)> {
    use settings::table;
    let ours = [
        (table::PROFILE.name, "dev".to_owned()),
        (table::INSTANCE.name, name.to_owned()),
        (table::KAFKA_BROKERS.name, environment::brokers(stack)),
        (table::SCHEMA_REGISTRY_URL.name, environment::registry_url(stack)),
        (table::DATABASE_URL.name, postgres::url(stack, service.role())),
        (service.bind_setting().name, format!("127.0.0.1:{port}")),
        (table::MAIL_OUTBOX.name, outbox(stack).display().to_string()),
    ];
    // The stack's own address is no process' setting, and its names have no prefix.
    let is_passed_on = |name: &String| {
        name.starts_with("MILLRACE_")
            && ![table::URL.name, table::PREFIX.name].contains(&name.as_str())
            && !ours.iter().any(|(ours, _)| ours == name)
    };
    std::env::vars()
        .filter(|(name, _)| is_passed_on(name))
        .chain(ours.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
        .collect()
}

/// Where mails of the local stack are put.
pub(super) fn outbox(stack: &Stack) -> PathBuf {
    stack.local.path.join("outbox")
}

/// The program of command-api with its settings, to be run as a tool.
pub(super) fn command_api_tool(stack: &Stack) -> (PathBuf, Vec<(String, String)>) {
    let service = Service::CommandApi;
    let port = stack.ports.of_instance(service.listener(), 1);
    let program = stack.local.bin().join(service.name());
    (program, settings(stack, service, service.name(), port))
}

/// Copies the binary that was built beside this program to where a later build does not replace it
/// under a running process.
fn install(stack: &Stack, name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("finding this program")?;
    let built = this.with_file_name(name);
    let installed = stack.local.bin().join(name);
    let new = std::fs::read(&built)
        .with_context(|| format!("{} is not built: run `make up`", built.display()))?;
    if std::fs::read(&installed).is_ok_and(|old| old == new) {
        return Ok(installed);
    }
    let unfinished = installed.with_extension("new");
    std::fs::copy(&built, &unfinished)
        .and_then(|_| std::fs::rename(&unfinished, &installed))
        .with_context(|| format!("putting {} in place", installed.display()))?;
    Ok(installed)
}
