//! Where the checkout is: found above the working directory, never built into the program.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The directory of the workspace's manifest.
///
/// # Errors
/// The working directory is not inside a checkout.
pub fn find() -> Result<PathBuf> {
    let here = std::env::current_dir().context("finding the working directory")?;
    match here.ancestors().find(|dir| dir.join("deploy/local/pom.xml").exists()) {
        Some(checkout) => Ok(checkout.to_owned()),
        None => bail!("{} is not inside a checkout of the project", here.display()),
    }
}
