//! Tools that are no part of the toolchain, at pinned versions, installed once for all checkouts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::succeed;
use crate::stack::parts::cache;

/// The version of cargo-deny whose reading of `deny.toml` is meant.
const CARGO_DENY: &str = "0.20.2";

/// Checks foreign crates against `deny.toml`.
pub(super) fn cargo_deny(checkout: &Path) -> Result<()> {
    let program = installed("cargo-deny", CARGO_DENY)?;
    succeed(
        Command::new(program)
            .args(["--locked", "--log-level=error", "check", "--hide-inclusion-graph"])
            .args(["bans", "licenses", "sources"])
            .current_dir(checkout),
    )
}

/// The path of a tool, built first if this version was not yet. (Its prebuilt packages are too old
/// to read today's lock files.)
fn installed(tool: &str, version: &str) -> Result<PathBuf> {
    let root = cache()?.join("tools").join(format!("{tool}-{version}"));
    let program = root.join("bin").join(tool);
    if program.exists() {
        return Ok(program);
    }
    println!("building {tool} {version}, once");
    succeed(
        Command::new("cargo")
            .args(["install", "--locked", "--quiet", "--no-default-features"])
            .arg(format!("{tool}@{version}"))
            .arg("--root")
            .arg(&root)
            // The workspace's target directory may be held by a build that waits for this.
            .env_remove("CARGO_TARGET_DIR"),
    )?;
    Ok(program)
}
