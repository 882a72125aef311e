//! `docs/metrics.md` is the enum of metrics as a page.

use std::path::Path;

use anyhow::{Context, Result};

use super::sources;

const FILE: &str = "docs/metrics.md";

/// How the page differs from the enum.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let agrees = sources::read(checkout, FILE)? == telemetry::catalogue();
    let fault = format!("{FILE} is not what the code declares: cargo xtask write-metrics");
    Ok(if agrees { Vec::new() } else { vec![fault] })
}

/// Writes the page.
pub(super) fn write(checkout: &Path) -> Result<()> {
    std::fs::write(checkout.join(FILE), telemetry::catalogue())
        .with_context(|| format!("writing {FILE}"))
}
