//! Every metric as a page.

use std::fmt::Write as _;

use crate::{Description, Kind, Metric};

/// The metrics as the Markdown page `docs/metrics.md`.
pub fn catalogue() -> String {
    let mut text = "# Metrics\n\n\
        Every metric of every process, as declared in `crates/telemetry/src/metric.rs`;\n\
        `cargo xtask write-metrics` writes this page. Histograms come with `_bucket`, `_sum` and `_count`.\n\n\
        | Name | Type | Unit | Labels | Meaning |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for metric in Metric::ALL {
        let description = metric.describe();
        let Description { name, labels, help, .. } = description;
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, unit) = (kind(description.kind), unit(&description));
        let labels = labels.join(", ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    text
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Seconds | Kind::Sizes => "histogram",
    }
}

/// The last word of a name is its unit; what counts things has none but them.
fn unit(description: &Description) -> &'static str {
    let name = description.name.trim_end_matches("_total");
    match name.rsplit('_').next() {
        Some("seconds") => "seconds",
        Some("bytes") => "bytes",
        Some("offset") => "offset",
        _ => "count",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_line() {
        let page = catalogue();
        for metric in Metric::ALL {
            assert!(page.contains(&format!("\n| `{}` | ", metric.describe().name)));
        }
        assert!(page.contains(
            "| `command_api_append_seconds` | histogram | seconds |  | Time from enqueueing"
        ));
        assert!(page.contains("| `process_resident_memory_bytes` | gauge | bytes |  | Memory"));
    }

    #[test]
    fn no_text_breaks_the_table() {
        assert!(Metric::ALL.iter().all(|metric| !metric.describe().help.contains(['|', '\n'])));
    }
}
