//! What a change must pass. Every gate can be run alone; [`check`] runs them all.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

mod alerts;
mod configuration;
mod dependencies;
mod deploy;
mod documents;
mod front_doors;
mod layout;
mod metrics;
mod promises;
mod routes;
mod sources;
mod tools;
mod topics;

/// A gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Gate {
    /// The code is formatted.
    Fmt,
    /// Crates depend only on those they may, and on nothing that they do not use.
    Deps,
    /// Files lie where they are looked for, are not too long, and their names say something.
    Layout,
    /// Every route is described, so that it is said and tried who may use it.
    Routes,
    /// Documents point at files that exist.
    Docs,
    /// Topics are declared alike in the code and for operators.
    Topics,
    /// The page of settings says what the table of settings says.
    Settings,
    /// The page of metrics says what the code declares.
    Metrics,
    /// Each alert has its page and its tests, and rules and dashboards ask for metrics that exist.
    Alerts,
    /// What is promised and called done has a proof.
    Promises,
    /// Containers, pipelines and the cloud are told nothing that they do not understand.
    Deploy,
    /// No lint complains.
    Clippy,
    /// The documentation of the code builds.
    Rustdoc,
    /// Foreign crates: who may use which, their licences and where they come from.
    Deny,
}

impl Gate {
    /// Every gate, the quick ones first.
    pub const ALL: [Self; 14] = [
        Self::Fmt,
        Self::Deps,
        Self::Layout,
        Self::Routes,
        Self::Docs,
        Self::Topics,
        Self::Settings,
        Self::Metrics,
        Self::Promises,
        Self::Alerts,
        Self::Deploy,
        Self::Clippy,
        Self::Rustdoc,
        Self::Deny,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Deps => "deps",
            Self::Layout => "layout",
            Self::Routes => "routes",
            Self::Docs => "docs",
            Self::Topics => "topics",
            Self::Settings => "settings",
            Self::Metrics => "metrics",
            Self::Alerts => "alerts",
            Self::Promises => "promises",
            Self::Deploy => "deploy",
            Self::Clippy => "clippy",
            Self::Rustdoc => "rustdoc",
            Self::Deny => "deny",
        }
    }

    fn pass(self, checkout: &Path) -> Result<()> {
        match self {
            Self::Fmt => cargo(checkout, &["fmt", "--all", "--check"]),
            Self::Deps => none(dependencies::faults(checkout)?),
            Self::Layout => none(layout::faults(checkout)?),
            Self::Routes => none(routes::faults(checkout)?),
            Self::Docs => none(documents::faults(checkout)?),
            Self::Topics => none(topics::faults(checkout)?),
            Self::Settings => none(configuration::faults(checkout)?),
            Self::Metrics => none(metrics::faults(checkout)?),
            Self::Alerts => alerts::check(checkout),
            Self::Promises => none(promises::faults(checkout)?),
            Self::Deploy => deploy::check(checkout),
            Self::Clippy => cargo(
                checkout,
                &[
                    "clippy",
                    "--quiet",
                    "--locked",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ],
            ),
            Self::Rustdoc => rustdoc(checkout),
            Self::Deny => tools::cargo_deny(checkout),
        }
    }
}

/// Runs the gates to the last, so that one run names everything that is wrong.
///
/// # Errors
/// The names of those that did not pass; what is wrong is printed as it is found.
pub fn check(checkout: &Path, gates: &[Gate]) -> Result<()> {
    let mut failed = Vec::new();
    for gate in gates {
        let began = Instant::now();
        let result = gate.pass(checkout);
        let seconds = began.elapsed().as_secs_f32();
        match result {
            Ok(()) => println!("gate {:<9} passed in {seconds:.1} s", gate.name()),
            Err(error) => {
                println!("gate {:<9} failed: {error:#}", gate.name());
                failed.push(gate.name());
            }
        }
    }
    ensure!(failed.is_empty(), "these gates did not pass: {}", failed.join(", "));
    Ok(())
}

/// Writes the page of settings anew from their table.
///
/// # Errors
/// The file cannot be written.
pub fn write_settings(checkout: &Path) -> Result<()> {
    configuration::write(checkout)
}

/// Writes the page of metrics anew from the code.
///
/// # Errors
/// The file cannot be written.
pub fn write_metrics(checkout: &Path) -> Result<()> {
    metrics::write(checkout)
}

/// Writes the operators' list of topics anew from the code.
///
/// # Errors
/// The file cannot be written.
pub fn write_topics(checkout: &Path) -> Result<()> {
    topics::write(checkout)
}

/// Writes the description of the API anew from what the processes say of themselves. The test that
/// compares them does it: whoever says it is a process, and none is part of this program.
///
/// # Errors
/// The processes are not built, or the file cannot be written.
pub fn write_api_description(checkout: &Path) -> Result<()> {
    const TEST: &str =
        "contract::api_description::the_stored_description_is_what_the_processes_say_of_themselves";
    let arguments =
        ["test", "--quiet", "--locked", "--package", "system-tests", "--", "--exact", TEST];
    let mut cargo = Command::new("cargo");
    succeed(cargo.args(arguments).env("WRITE_API_DESCRIPTION", "1").current_dir(checkout))
}

/// Writes the front doors of containers anew from their template.
///
/// # Errors
/// A file cannot be written.
pub fn write_front_doors(checkout: &Path) -> Result<()> {
    front_doors::write(checkout)
}

fn none(faults: Vec<String>) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    bail!("\n  {}", faults.join("\n  "))
}

fn cargo(checkout: &Path, args: &[&str]) -> Result<()> {
    succeed(Command::new("cargo").args(args).current_dir(checkout))
}

fn rustdoc(checkout: &Path) -> Result<()> {
    succeed(
        Command::new("cargo")
            .args(["doc", "--quiet", "--locked", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .current_dir(checkout),
    )
}

/// Runs a program whose output is for the reader.
fn succeed(program: &mut Command) -> Result<()> {
    let status = program.status().with_context(|| format!("running {program:?}"))?;
    ensure!(status.success(), "{program:?} ended with {status}");
    Ok(())
}
