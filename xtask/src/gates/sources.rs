//! The files of the checkout, as git knows them: those to be committed included, ignored ones not.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Paths relative to the checkout, sorted.
pub(super) fn files(checkout: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(checkout)
        .output()
        .context("running git ls-files")?;
    ensure!(output.status.success(), "git ls-files ended with {}", output.status);
    let text = String::from_utf8(output.stdout).context("reading the names of the files")?;
    let mut files: Vec<String> =
        text.lines().filter(|file| checkout.join(file).exists()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// The text of a file.
pub(super) fn read(checkout: &Path, file: &str) -> Result<String> {
    std::fs::read_to_string(checkout.join(file)).with_context(|| format!("reading {file}"))
}
