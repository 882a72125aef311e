//! Other people's SDKs, installed once for all checkouts of a user.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::LogRecord;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::contract::installed::{cache, install, node_modules, run};

/// Where scripts and lists of what they need are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contract/cloud_events");

/// An SDK behind a script that sends and reads.
#[derive(Debug)]
pub(super) struct Sdk {
    program: PathBuf,
    script: &'static str,
    variables: Vec<(&'static str, OsString)>,
}

impl Sdk {
    /// The SDK for Python.
    pub(super) async fn python() -> Result<Self> {
        let dir = cache("cloud-events-py")?;
        let program = dir.join("bin/python");
        install(&dir, SOURCES, &["requirements.txt"], async || {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir)).await?;
            let list = Path::new(SOURCES).join("requirements.txt");
            run(Command::new(&program).args(["-m", "pip", "install", "-q", "-r"]).arg(list)).await
        })
        .await?;
        Ok(Self { program, script: "client.py", variables: vec![("PYTHONUTF8", "1".into())] })
    }

    /// The SDK for JavaScript, and Node for it where there is none.
    pub(super) async fn javascript() -> Result<Self> {
        let dir = node_modules("cloud-events-js", SOURCES).await?;
        let modules = dir.join("node_modules").into_os_string();
        let variables = vec![("NODE_PATH", modules)];
        Ok(Self { program: "node".into(), script: "client.cjs", variables })
    }

    /// Sends an event or more in each mode and returns what was sent and answered.
    pub(super) async fn send(&self, events: &str, access_token: &str) -> Result<Vec<Value>> {
        lines(&self.run(&["send", events, access_token], "").await?)
    }

    /// Reads records of the log, with nothing but the registry.
    pub(super) async fn read(&self, registry: &str, records: &[LogRecord]) -> Result<Vec<Value>> {
        let input = records.iter().map(as_line).collect::<Result<String>>()?;
        lines(&self.run(&["read", registry], &input).await?)
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .arg(Path::new(SOURCES).join(self.script))
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let mut to = child.stdin.take().context("the script takes no input")?;
        to.write_all(input.as_bytes()).await.context("writing to the script")?;
        drop(to);
        let output = child.wait_with_output().await.context("running the script")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} {arguments:?}: {errors}", self.script);
        String::from_utf8(output.stdout).context("the script writes no text")
    }
}

fn as_line(record: &LogRecord) -> Result<String> {
    let headers: serde_json::Map<String, Value> = record
        .headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_deref().context("a header without a value")?;
            Ok((name.clone(), std::str::from_utf8(value)?.into()))
        })
        .collect::<Result<_>>()?;
    let key = record.key.as_deref().context("a record without a key")?;
    let value = record.value.as_deref().context("a record without a value")?;
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = serde_json::json!({
        "headers": headers, "key": std::str::from_utf8(key)?, "value": hex,
    });
    Ok(format!("{line}\n"))
}

fn lines(text: &str) -> Result<Vec<Value>> {
    text.lines()
        .map(|line| serde_json::from_str(line).context("the script writes no JSON"))
        .collect()
}
