//! `docs/promises.tsv`: every promise has a state, and what is called done has a proof that exists.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::sources;

const FILE: &str = "docs/promises.tsv";

/// Promises are marked, never dropped.
const COUNT: usize = 387;

const HEADER: [&str; 6] = ["id", "document", "group", "promise", "status", "proof"];

/// What is wrong with the list.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let text = sources::read(checkout, FILE)?;
    Ok(judge(&text, COUNT, |file| sources::read(checkout, file).ok()))
}

/// Judges a list of `count` promises; `read` gives the text of a file that exists.
fn judge(text: &str, count: usize, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut lines = text.lines();
    let mut faults = Vec::new();
    if lines.next().is_none_or(|line| line.split('\t').ne(HEADER)) {
        faults.push(format!("{FILE}: the first line is not {}", HEADER.join(", ")));
    }
    let mut seen = BTreeSet::new();
    for line in lines {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, _, _, _, status, proof] = columns[..] else {
            faults.push(format!("{FILE}: not six columns: {line}"));
            continue;
        };
        if !seen.insert(id) {
            faults.push(format!("{id} stands twice"));
        }
        faults.extend(fault(status, proof, &read).map(|fault| format!("{id}: {fault}")));
    }
    if seen.len() != count {
        faults.push(format!("{FILE} holds {} promises instead of {count}", seen.len()));
    }
    faults
}

fn fault(status: &str, proof: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    match status {
        "open" => None,
        "superseded" if proof.is_empty() => {
            Some("does not say by what it is superseded".to_owned())
        }
        "superseded" => None,
        "done" if proof.is_empty() => Some("is done without a proof".to_owned()),
        "done" => proof.split(';').find_map(|proof| missing(proof.trim(), &read)),
        other => Some(format!("the status {other} is none of open, done, superseded")),
    }
}

/// What a proof, `<file>` or `<file>::<a test or text in it>`, does not have.
fn missing(proof: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (file, within) = match proof.split_once("::") {
        Some((file, within)) => (file, Some(within)),
        None => (proof, None),
    };
    let Some(text) = read(file) else {
        return Some(format!("its proof {file} does not exist"));
    };
    let within = within?;
    (!text.contains(within)).then(|| format!("{file} holds no {within}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(line: &str) -> Vec<String> {
        let text = format!("{}\n{line}\n", HEADER.join("\t"));
        judge(&text, 1, |file| {
            (file == "tests/journeys.rs").then(|| "fn a_device_reports() {}".to_owned())
        })
    }

    #[test]
    fn an_open_promise_needs_no_proof() {
        assert!(judged("S1-1\td\tg\tp\topen\t").is_empty());
    }

    #[test]
    fn a_done_promise_names_a_file_and_a_test_in_it() {
        assert!(judged("S1-1\td\tg\tp\tdone\ttests/journeys.rs").is_empty());
        assert!(judged("S1-1\td\tg\tp\tdone\ttests/journeys.rs::a_device_reports").is_empty());
        assert_eq!(
            judged("S1-1\td\tg\tp\tdone\ttests/journeys.rs::a_user_logs_in"),
            ["S1-1: tests/journeys.rs holds no a_user_logs_in"]
        );
        assert_eq!(
            judged("S1-1\td\tg\tp\tdone\ttests/journeys.rs; tests/faults.rs"),
            ["S1-1: its proof tests/faults.rs does not exist"]
        );
        assert_eq!(judged("S1-1\td\tg\tp\tdone\t"), ["S1-1: is done without a proof"]);
    }

    #[test]
    fn a_superseded_promise_says_by_what() {
        assert_eq!(judged("S1-1\td\tg\tp\tsuperseded\t").len(), 1);
        assert!(judged("S1-1\td\tg\tp\tsuperseded\tdocs/adr/3").is_empty());
    }

    #[test]
    fn a_dropped_a_doubled_and_a_broken_line_are_named() {
        assert_eq!(judge(&HEADER.join("\t"), 1, |_| None).len(), 1);
        assert_eq!(judged("S1-1\td\tg\tp\topen\t\nS1-1\td\tg\tp\topen\t"), ["S1-1 stands twice"]);
        assert_eq!(judged("S1-1\td\tg\tp\topen").len(), 2);
        assert_eq!(judged("S1-1\td\tg\tp\tmaybe\t").len(), 1);
    }
}
