//! Which crate may depend on which: the table, and what in the manifests contradicts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Each crate of the workspace with those it may depend on; tests may also use [`FOR_TESTS`].
const EDGES: [(&str, &[&str]); 23] = [
    // Pure, or owners of one foreign thing.
    ("settings", &[]),
    ("failpoint", &[]),
    ("domain", &[]),
    ("problem-details", &[]),
    ("rate-limit", &[]),
    ("consistency-token", &["settings"]),
    ("telemetry", &["settings"]),
    ("event-schema", &["domain", "settings"]),
    ("kafka-io", &["event-schema", "settings"]),
    ("event-store", &["domain", "failpoint", "settings"]),
    ("read-cache", &["failpoint", "rate-limit", "settings"]),
    ("read-models", &["domain", "settings"]),
    ("api-description", &["problem-details", "rate-limit", "settings"]),
    ("lifecycle", &["api-description", "problem-details", "rate-limit", "settings", "telemetry"]),
    ("access", &["domain", "lifecycle", "problem-details", "settings", "telemetry"]),
    // Processes.
    (
        "command-api",
        &[
            "access",
            "api-description",
            "consistency-token",
            "domain",
            "event-schema",
            "event-store",
            "failpoint",
            "kafka-io",
            "lifecycle",
            "problem-details",
            "read-cache",
            "read-models",
            "settings",
            "telemetry",
        ],
    ),
    (
        "query-api",
        &[
            "access",
            "api-description",
            "consistency-token",
            "domain",
            "lifecycle",
            "problem-details",
            "read-cache",
            "read-models",
            "settings",
            "telemetry",
        ],
    ),
    (
        "projector",
        &[
            "domain",
            "event-schema",
            "kafka-io",
            "lifecycle",
            "read-cache",
            "read-models",
            "settings",
            "telemetry",
        ],
    ),
    (
        "dlq-replayer",
        &[
            "domain",
            "event-schema",
            "kafka-io",
            "projector",
            "read-cache",
            "read-models",
            "settings",
            "telemetry",
        ],
    ),
    // Tools and tests.
    ("xtask", &["event-schema", "kafka-io", "rate-limit", "read-models", "settings", "telemetry"]),
    ("test-support", ANY),
    ("system-tests", ANY),
    ("benches", ANY),
];

/// Anything of the workspace.
const ANY: &[&str] = &["*"];

/// What tests of any crate may use.
const FOR_TESTS: [&str; 2] = ["test-support", "xtask"];

/// All foreign crates of those of ours that do no I/O: no runtime, network, clock, random or log.
const PURE: [(&str, &[&str]); 3] = [
    ("domain", &["chrono", "thiserror", "uuid"]),
    ("consistency-token", &["base64", "hmac", "sha2", "thiserror"]),
    ("rate-limit", &["parking_lot", "thiserror"]),
];

/// Foreign crates that only one of ours names, or those that stand here; tests of any may use them.
const OWNED: [(&str, &str); 23] = [
    // It seals personal fields, and keys that sign: each with its own rules.
    ("aes-gcm", "command-api"),
    ("aes-gcm", "event-schema"),
    ("apache-avro", "event-schema"),
    ("argon2", "command-api"),
    ("bcrypt", "command-api"),
    // Who signs access tokens; `access` verifies them.
    ("ed25519-dalek", "command-api"),
    ("fail", "failpoint"),
    ("fred", "read-cache"),
    ("hyper", "lifecycle"),
    ("hyper-util", "lifecycle"),
    ("jsonwebtoken", "access"),
    ("lettre", "command-api"),
    ("metrics-exporter-prometheus", "telemetry"),
    ("opentelemetry", "telemetry"),
    ("opentelemetry-otlp", "telemetry"),
    ("opentelemetry_sdk", "telemetry"),
    ("rdkafka", "kafka-io"),
    ("schema_registry_converter", "event-schema"),
    ("tower-http", "lifecycle"),
    ("tracing-opentelemetry", "telemetry"),
    ("tracing-subscriber", "telemetry"),
    ("utoipa-swagger-ui-vendored", "query-api"),
    ("zip", "query-api"),
];

/// Those that look at the system from outside, and so may use what the system's clients use.
const OUTSIDERS: [&str; 4] = ["benches", "system-tests", "test-support", "xtask"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    kind: Option<String>,
    path: Option<PathBuf>,
}

/// What contradicts the table, and what is declared without being used.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version=1", "--locked"])
        .current_dir(checkout)
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let mut faults = Vec::new();
    for package in &metadata.packages {
        faults.extend(forbidden(package));
        let manifest = std::fs::read_to_string(&package.manifest_path)?;
        if !manifest.contains("[lints]\nworkspace = true") {
            faults.push(format!("{} does not take the workspace's lints", package.name));
        }
        let folder = package.manifest_path.parent().unwrap_or(checkout);
        faults.extend(unused(package, &rust_words(folder)?));
    }
    Ok(faults)
}

fn forbidden(package: &Package) -> Vec<String> {
    let edges: BTreeMap<_, _> = EDGES.into_iter().collect();
    let Some(allowed) = edges.get(package.name.as_str()) else {
        return vec![format!("{} is not in the table of allowed dependencies", package.name)];
    };
    let may_use = |dependency: &&Dependency| {
        let name = dependency.name.as_str();
        let for_tests = dependency.kind.as_deref() == Some("dev");
        match &dependency.path {
            Some(_) => {
                *allowed == ANY
                    || allowed.contains(&name)
                    || (for_tests && FOR_TESTS.contains(&name))
            }
            None => for_tests || may_use_foreign(&package.name, name),
        }
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| !may_use(dependency))
        .map(|dependency| format!("{} may not depend on {}", package.name, dependency.name))
        .collect()
}

fn may_use_foreign(package: &str, foreign: &str) -> bool {
    if let Some((_, pure)) = PURE.iter().find(|(name, _)| *name == package) {
        return pure.contains(&foreign);
    }
    let owners: Vec<&str> =
        OWNED.iter().filter(|(owned, _)| *owned == foreign).map(|(_, owner)| *owner).collect();
    owners.is_empty() || owners.contains(&package) || OUTSIDERS.contains(&package)
}

fn unused(package: &Package, words: &str) -> Vec<String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
            !mentions(words, &name)
        })
        .map(|dependency| format!("{} does not use {}", package.name, dependency.name))
        .collect()
}

/// Whether the code holds the name as a whole word.
fn mentions(code: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        !code[..at].ends_with(is_word) && !code[at + name.len()..].starts_with(is_word)
    })
}

/// The code under a folder, without its comments.
fn rust_words(folder: &Path) -> Result<String> {
    let mut words = String::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let code = std::fs::read_to_string(&path)?;
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                words.extend(lines.flat_map(|line| [line, "\n"]));
            }
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depending(name: &str, on: &str, kind: Option<&str>, path: bool) -> Package {
        Package {
            name: name.to_owned(),
            manifest_path: PathBuf::new(),
            dependencies: vec![Dependency {
                name: on.to_owned(),
                rename: None,
                kind: kind.map(str::to_owned),
                path: path.then(PathBuf::new),
            }],
        }
    }

    #[test]
    fn the_read_side_does_not_know_the_log() {
        let found = forbidden(&depending("query-api", "kafka-io", None, true));
        assert_eq!(found, ["query-api may not depend on kafka-io"]);
        assert!(forbidden(&depending("projector", "kafka-io", None, true)).is_empty());
    }

    #[test]
    fn the_domain_takes_no_runtime_but_its_tests_may() {
        assert_eq!(
            forbidden(&depending("domain", "tokio", None, false)),
            ["domain may not depend on tokio"]
        );
        assert!(forbidden(&depending("domain", "proptest", Some("dev"), false)).is_empty());
        assert!(forbidden(&depending("projector", "test-support", Some("dev"), true)).is_empty());
    }

    #[test]
    fn a_foreign_crate_with_an_owner_is_named_by_others_in_tests_only() {
        assert_eq!(
            forbidden(&depending("command-api", "rdkafka", None, false)),
            ["command-api may not depend on rdkafka"]
        );
        assert!(forbidden(&depending("kafka-io", "rdkafka", None, false)).is_empty());
        assert!(
            forbidden(&depending("command-api", "jsonwebtoken", Some("dev"), false)).is_empty()
        );
        assert!(forbidden(&depending("xtask", "jsonwebtoken", None, false)).is_empty());
        for owner in ["command-api", "event-schema"] {
            assert!(forbidden(&depending(owner, "aes-gcm", None, false)).is_empty());
        }
        assert_eq!(forbidden(&depending("access", "aes-gcm", None, false)).len(), 1);
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_named() {
        assert_eq!(forbidden(&depending("newcomer", "domain", None, true)).len(), 1);
    }

    #[test]
    fn a_dependency_is_used_where_the_code_names_it() {
        let package = depending("projector", "tokio-util", None, false);
        assert!(unused(&package, "use tokio_util::sync;").is_empty());
        assert_eq!(
            unused(&package, "use tokio_utilities::x;"),
            ["projector does not use tokio-util"]
        );
    }
}
