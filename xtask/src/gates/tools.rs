//! Tools that are no part of the toolchain, at pinned versions, installed once for all checkouts.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

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

/// What the tools of `deploy/checks/` are installed from: every version is in these files.
const DEPLOY_CHECKS: [&str; 4] =
    ["install.sh", "requirements.txt", "package.json", "package-lock.json"];

/// The directory with the tools of `deploy/checks/` in `python` and `node`, installed first if these
/// versions were not yet.
pub(super) fn deploy_checks(checkout: &Path) -> Result<PathBuf> {
    let source = checkout.join("deploy/checks");
    let mut hasher = DefaultHasher::new();
    for file in DEPLOY_CHECKS {
        std::fs::read(source.join(file))
            .with_context(|| format!("reading deploy/checks/{file}"))?
            .hash(&mut hasher);
    }
    let root = cache()?.join("tools").join(format!("deploy-checks-{:016x}", hasher.finish()));
    static INSTALLING: Mutex<()> = Mutex::new(());
    // Of two threads the second finds what the first has installed.
    let _alone = INSTALLING.lock();
    if root.exists() {
        return Ok(root);
    }
    println!("installing the tools that check deploy/, once");
    // Beside its place and moved there whole, so that a broken download leaves nothing half done.
    let unfinished = root.with_extension(std::process::id().to_string());
    succeed(Command::new(source.join("install.sh")).arg(&unfinished))?;
    if let Err(error) = std::fs::rename(&unfinished, &root) {
        ensure!(root.exists(), "moving the tools to {}: {error}", root.display());
        std::fs::remove_dir_all(&unfinished).context("removing the tools installed twice")?;
    }
    Ok(root)
}
