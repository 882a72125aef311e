//! Who is known at the secured listener: each with its name as password.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::super::Stack;
use super::super::environment;
use super::super::parts::run;
use super::class_path;

/// Those who talk to the broker.
pub(super) const NAMES: [&str; 3] = ["command_api", "projector", "deploy"];

/// As the configuration of PLAIN has them.
pub(super) fn plain() -> String {
    NAMES.map(|name| format!("user_{name}=\"{name}\"")).join(" ")
}

/// As new storage is given them.
pub(super) fn scram() -> impl Iterator<Item = String> {
    NAMES.into_iter().map(|name| format!("SCRAM-SHA-512=[name={name},password={name}]"))
}

/// Notes that the storage has them.
pub(super) fn remember(stack: &Stack) -> Result<()> {
    std::fs::write(known(stack), NAMES.join("\n")).context("noting Kafka's users")
}

/// Adds them to storage that was made before they were thought of.
pub(super) fn add(stack: &Stack) -> Result<()> {
    if std::fs::read_to_string(known(stack)).is_ok_and(|known| known == NAMES.join("\n")) {
        return Ok(());
    }
    println!("adding names to Kafka's storage, once");
    for name in NAMES {
        run(Command::new("java")
            .args(["-cp", &class_path(stack), "kafka.admin.ConfigCommand"])
            .args(["--bootstrap-server", &environment::brokers(stack), "--alter"])
            .args(["--entity-type", "users", "--entity-name", name, "--add-config"])
            .arg(format!("SCRAM-SHA-512=[password={name}]")))
        .with_context(|| format!("adding {name} to Kafka's storage"))?;
    }
    remember(stack)
}

fn known(stack: &Stack) -> PathBuf {
    stack.local.data().join("kafka-users")
}
