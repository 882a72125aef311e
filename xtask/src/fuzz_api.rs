//! Requests made of the API's own description, sent to a running stack: whether it answers as it says.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::stack::parts::cache;

/// What is installed, and what the program is told beside the description.
const SOURCES: &str = "tests/contract/api_fuzz";

/// What an answer must be. Not that every request that a schema allows is taken, since rules such as
/// "at most five minutes ahead" are none of a schema's.
const CHECKS: [&str; 7] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
];

/// What is fuzzed, and for how long.
#[derive(Debug, Clone)]
pub struct FuzzedApi<'a> {
    /// The checkout, for what is installed.
    pub checkout: &'a Path,
    /// The front door.
    pub url: &'a str,
    /// An access token that may do everything that is described.
    pub access_token: &'a str,
    /// How long.
    pub seconds: u64,
    /// The same seed sends the same requests.
    pub seed: u64,
}

impl FuzzedApi<'_> {
    /// Sends requests until the time is over.
    ///
    /// # Errors
    /// An answer was not what it had to be, which the program has printed.
    pub fn run(&self) -> Result<()> {
        let program = installed(self.checkout)?;
        let description = format!("{}/api/v1/openapi.json", self.url);
        let sources = self.checkout.join(SOURCES);
        let mut command = Command::new(&program);
        command
            .args(["--no-color", "run", &description])
            .args(["--header", &format!("Authorization: Bearer {}", self.access_token)])
            .args(["--checks", &CHECKS.join(",")])
            .args(["--max-time", &self.seconds.to_string()])
            .args(["--seed", &self.seed.to_string()])
            .args(["--request-timeout", "60", "--continue-on-failure"])
            .args(["--generation-database", "none", "--suppress-health-check", "all"])
            .args(["--warnings", "off"])
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", &sources)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Where it would look for files of its own.
            .current_dir(std::env::temp_dir());
        let status = command.status().with_context(|| format!("running {}", program.display()))?;
        ensure!(
            status.success(),
            "the API does not answer as it says; try the requests shown above"
        );
        Ok(())
    }
}

/// The program, installed once for all checkouts of a user.
fn installed(checkout: &Path) -> Result<PathBuf> {
    let list = checkout.join(SOURCES).join("requirements.txt");
    let wanted =
        std::fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let dir = cache()?.join("schemathesis");
    let (stamp, program) = (dir.join("installed"), dir.join("bin/schemathesis"));
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    println!("installing schemathesis");
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir))?;
    let python = dir.join("bin/python");
    succeed(Command::new(python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(&list))?;
    std::fs::write(&stamp, wanted).context("writing what is installed")?;
    Ok(program)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
