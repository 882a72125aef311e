//! The broker: one node that is its own quorum.

mod users;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Stack;
use super::certificates;
use super::parts::run;
use super::ports::Listener;
use super::process::{Process, Program, StopSignal, Tier};
use super::ready::Probe;
use super::template;

/// The process, with its configuration written.
pub(crate) fn process(stack: &Stack) -> Result<Process> {
    let port = stack.ports.of(Listener::Kafka);
    let secured_port = stack.ports.of(Listener::KafkaSecured);
    let controller_port = stack.ports.of(Listener::KafkaController);
    template::write(
        &stack.local.deploy("local/kafka.properties"),
        &properties(stack),
        &[
            ("broker_port", port.to_string()),
            ("secured_port", secured_port.to_string()),
            ("keystore", certificates::both(stack).display().to_string()),
            ("plain_users", users::plain()),
            ("controller_port", controller_port.to_string()),
            ("data", data(stack).display().to_string()),
        ],
    )?;
    let log4j = stack.local.deploy("local/kafka-log4j2.properties");
    let args = [
        "-Xmx512m".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        format!("-Dlog4j2.configurationFile={}", log4j.display()),
        "-cp".to_owned(),
        class_path(stack),
        "kafka.Kafka".to_owned(),
        properties(stack).display().to_string(),
    ];
    Ok(Process {
        name: "kafka".to_owned(),
        program: Program {
            path: "java".into(),
            args: args.into(),
            env: Vec::new(),
            dir: stack.local.path.clone(),
        },
        ports: vec![port, secured_port, controller_port],
        probe: Probe::Kafka(port),
        start_budget: Duration::from_secs(60),
        stop_signal: StopSignal::Term,
        stop_budget: Duration::from_secs(20),
        tier: Tier::Infrastructure,
        files: vec![properties(stack), log4j, certificates::both(stack)],
    })
}

/// Formats the storage of a new cluster; an existing one is left as it is.
pub(crate) fn prepare(stack: &Stack) -> Result<()> {
    if data(stack).join("meta.properties").exists() {
        return Ok(());
    }
    let cluster_id = URL_SAFE_NO_PAD.encode(uuid::Uuid::now_v7().as_bytes());
    run(Command::new("java")
        .args(["-cp", &class_path(stack), "kafka.tools.StorageTool", "format", "-t", &cluster_id])
        .arg("-c")
        .arg(properties(stack))
        .args(users::scram().flat_map(|user| ["--add-scram".to_owned(), user])))
    .context("formatting Kafka's storage")?;
    users::remember(stack)
}

/// Names by SCRAM, which a broker that runs still needs where its storage is older than these.
pub(crate) fn provision(stack: &Stack) -> Result<()> {
    users::add(stack)
}

fn properties(stack: &Stack) -> PathBuf {
    stack.local.conf().join("kafka.properties")
}

fn data(stack: &Stack) -> PathBuf {
    stack.local.data().join("kafka")
}

pub(super) fn class_path(stack: &Stack) -> String {
    format!("{}/*", stack.parts.kafka().display())
}
