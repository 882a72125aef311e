//! The first admin of a local stack, registered by command-api's own tool.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::stack::Stack;

/// Who it is.
const USERNAME: &str = "admin";

/// Where mails to them go: into the outbox.
const EMAIL: &str = "admin@millrace.example";

/// A password that is no secret, as everything of a local stack.
pub const PASSWORD: &str = "local-dev-admin";

/// Registers the admin, unless somebody has that name or address; returns what the tool says of it.
///
/// # Errors
/// The tool does not do it.
pub fn register(stack: &Stack) -> Result<String> {
    let (program, settings) = stack.command_api_tool();
    let done = Command::new(program)
        .args(["create-admin", "--username", USERNAME, "--email", EMAIL, "--if-missing"])
        .env_clear()
        .envs(settings)
        .env("MILLRACE_ADMIN_PASSWORD", PASSWORD)
        .output()
        .context("running command-api create-admin")?;
    let error = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "command-api create-admin: {}", error.trim());
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
