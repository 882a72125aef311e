//! `deploy/kafka/topics.yaml` mirrors the enum of topics, for operators who create them otherwise.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use kafka_io::topic::Topic;
use settings::Prefix;

use super::sources;

const FILE: &str = "deploy/kafka/topics.yaml";

/// How the file differs from the enum.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let agrees = sources::read(checkout, FILE)? == render();
    let fault = format!("{FILE} is not what the code declares: cargo xtask write-topics");
    Ok(if agrees { Vec::new() } else { vec![fault] })
}

/// Writes the file.
pub(super) fn write(checkout: &Path) -> Result<()> {
    std::fs::write(checkout.join(FILE), render()).with_context(|| format!("writing {FILE}"))
}

fn render() -> String {
    let mut text = "# Every topic, as declared in crates/kafka-io/src/topic.rs; `cargo xtask write-topics` writes it.\n\
                    # Where a deployment has a prefix, it stands before each name: <prefix>.<name>.\n\
                    topics:\n"
        .to_owned();
    for topic in Topic::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  - name: {}", topic.name(&Prefix::default()));
        let _ = writeln!(text, "    partitions: {}", Topic::PARTITIONS);
        let _ = writeln!(text, "    config:");
        for (name, value) in topic.config() {
            let _ = writeln!(text, "      {name}: \"{value}\"");
        }
    }
    text
}
