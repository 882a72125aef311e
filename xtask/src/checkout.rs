//! Where the checkout is: found above the working directory, never built into the program. The image
//! of the deploy steps holds no more of it than they read.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The directory of the workspace's manifest.
///
/// # Errors
/// The working directory is not inside a checkout.
pub fn find() -> Result<PathBuf> {
    let here = std::env::current_dir().context("finding the working directory")?;
    match here.ancestors().find(|dir| dir.join("migrations/read-models").exists()) {
        Some(checkout) => Ok(checkout.to_owned()),
        None => bail!("{} is not inside a checkout of the project", here.display()),
    }
}
