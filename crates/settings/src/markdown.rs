//! The table of settings as a page of the documentation and as the text of `--help`.

use std::fmt::Write as _;

use crate::{Kind, Setting, table};

impl Kind {
    /// What is accepted, in words for a reader of the table.
    pub fn accepts(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Number { min, max: u64::MAX } => format!("number from {min}"),
            Self::Number { min, max } => format!("number, {min} to {max}"),
            Self::Millis { min, max } => format!("milliseconds, {min} to {max}"),
            Self::Seconds { min, max } => {
                format!("seconds, {min} to {max}, or such as `15m` and `1h`")
            }
            Self::OneOf(words) => words.join(" or "),
            Self::Url => "URL".to_owned(),
            Self::SocketAddress => "address `ip:port`".to_owned(),
        }
    }
}

/// The page `docs/configuration.md`.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Written from `crates/settings/src/table.rs`; change it there.\n\n\
         Every process reads its settings from environment variables at start. A variable that begins\n\
         with `MILLRACE_` and is not in this table stops the start, and so does a value that is not\n\
         accepted: all faults are named at once. `<process> --check-config` says what a process would\n\
         run with. A secret can also be read from a file: `<NAME>_FILE` names it.\n\n\
         | Variable | Default | Accepts | Decides |\n\
         | --- | --- | --- | --- |\n",
    );
    for setting in table::ALL {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            variables(setting),
            setting.default.map_or_else(|| "none".to_owned(), default_cell),
            setting.kind.accepts(),
            setting.about.replace('|', "\\|")
        );
    }
    page
}

fn variables(setting: &Setting) -> String {
    let mut cell = format!("`{}`", setting.name);
    for alias in setting.aliases {
        let _ = write!(cell, " or `{alias}`");
    }
    cell
}

fn default_cell(default: &str) -> String {
    if default.is_empty() { "empty".to_owned() } else { format!("`{default}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_row_for_each_setting() {
        let page = page();
        for setting in table::ALL {
            let rows = page.lines().filter(|l| l.starts_with(&format!("| `{}`", setting.name)));
            assert_eq!(rows.count(), 1, "{}", setting.name);
        }
    }

    #[test]
    fn every_row_has_four_cells() {
        for row in page().lines().filter(|l| l.starts_with("| `")) {
            let bars = row.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 5, "{row}");
        }
    }
}
