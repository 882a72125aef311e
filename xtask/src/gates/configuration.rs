//! `docs/configuration.md` is the table of settings as a page.

use std::path::Path;

use anyhow::{Context, Result};

use super::sources;

const FILE: &str = "docs/configuration.md";

/// How the page differs from the table.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let agrees = sources::read(checkout, FILE)? == settings::table::markdown();
    let fault =
        format!("{FILE} is not what the table of settings says: cargo xtask write-settings");
    Ok(if agrees { Vec::new() } else { vec![fault] })
}

/// Writes the page.
pub(super) fn write(checkout: &Path) -> Result<()> {
    std::fs::write(checkout.join(FILE), settings::table::markdown())
        .with_context(|| format!("writing {FILE}"))
}
