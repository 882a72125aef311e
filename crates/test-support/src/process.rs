//! Our processes as children of a test: started, asked, stopped, frozen and killed.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::http::{Answer, Client};
use crate::{eventually, eventually_within};

/// A process that is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    name: &'static str,
    settings: BTreeMap<String, String>,
    dir: PathBuf,
}

impl Launch {
    /// The process of this name, whose log goes to a file in `dir`.
    pub(crate) fn new(name: &'static str, dir: PathBuf) -> Self {
        Self { name, settings: BTreeMap::new(), dir }
    }

    /// Sets a variable of its environment, which else holds nothing of the test's own.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.insert(name.to_owned(), value.to_string());
        self
    }

    /// Sets several.
    pub(crate) fn settings_of(mut self, settings: BTreeMap<String, String>) -> Self {
        self.settings.extend(settings);
        self
    }

    /// The process' name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Leaves a variable unset.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// The variables, for a process that is started inside the test.
    pub fn settings(&self) -> impl Iterator<Item = (String, String)> + use<> {
        self.settings.clone().into_iter()
    }

    /// Starts it and waits until it listens, which says nothing about its dependencies.
    ///
    /// # Errors
    /// It is not built, or ends instead; then with what it wrote.
    pub async fn start(&self) -> Result<Running> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = self.dir.join(format!("{}-{number}.log", self.name));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = self
            .command(&[])?
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("sharing the log")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {}", self.name))?;
        let mut running = Running {
            name: self.name,
            child,
            address: ([127, 0, 0, 1], 0).into(),
            log,
            exit: None,
        };
        running.address = running.listening().await?;
        Ok(running)
    }

    /// Runs it with arguments to its end.
    ///
    /// # Errors
    /// It is not built, or does not end within 20 seconds.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::from(self.command(arguments)?);
        command.stdin(Stdio::null()).kill_on_drop(true);
        tokio::time::timeout(Duration::from_secs(20), command.output())
            .await
            .with_context(|| format!("{} {arguments:?} does not end", self.name))?
            .with_context(|| format!("running {}", self.name))
    }

    /// Starts it with arguments and leaves the rest to the caller. It is killed when dropped, and
    /// what it writes goes nowhere.
    ///
    /// # Errors
    /// It is not built.
    pub fn spawn(&self, arguments: &[&str]) -> Result<tokio::process::Child> {
        let mut command = tokio::process::Command::from(self.command(arguments)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.kill_on_drop(true).spawn().with_context(|| format!("starting {}", self.name))
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary(self.name)?);
        command.args(arguments).env_clear().envs(&self.settings);
        Ok(command)
    }
}

/// The debug binary beside the test's own.
fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("finding the test's own binary")?;
    let dir = test.ancestors().nth(2).context("the test's binary is in no target directory")?;
    let path = dir.join(name);
    ensure!(path.exists(), "{} is not built: run `make test`, or `cargo build`", path.display());
    Ok(path)
}

/// A process that was started. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    exit: Option<ExitStatus>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it has written so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log)
            .with_context(|| format!("reading {}", self.log.display()))
    }

    /// The most memory it has held so far, in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kibibytes.with_context(|| format!("{path} tells no peak"))? * 1024)
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.exit = Some(self.child.wait().context("waiting for a killed process")?);
        Ok(())
    }

    /// Freezes it: sockets stay open, nothing is answered.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn sigstop(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn sigcont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end and does not wait.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn sigterm(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It does not end within 15 seconds.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.sigterm()?;
        self.ended().await
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It does not end within 15 seconds.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let name = self.name;
        eventually_within(Duration::from_secs(15), &format!("{name} ends"), async || {
            self.exit = self.child.try_wait().context("asking for the exit status")?;
            self.exit.with_context(|| format!("{name} still runs"))
        })
        .await
    }

    /// What it answers to a GET of a path.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Client::new()?.get(&self.url(path)).await
    }

    /// Waits until `/health/ready` answers 200.
    ///
    /// # Errors
    /// It is not ready in time; then with its faults.
    pub async fn ready(&self) -> Result<()> {
        eventually(&format!("{} is ready", self.name), async || {
            let health = self.get("/health/ready").await?;
            ensure!(health.status == 200, "it answers {health}");
            Ok(())
        })
        .await
    }

    /// Waits until `/health/ready` answers 503 with a text that holds all the words.
    ///
    /// # Errors
    /// It does not in time; then with what it answers.
    pub async fn not_ready(&self, words: &[&str]) -> Result<()> {
        eventually(&format!("{} is not ready because of {words:?}", self.name), async || {
            let health = self.get("/health/ready").await?;
            ensure!(
                health.status == 503 && words.iter().all(|word| health.text.contains(word)),
                "it answers {health}"
            );
            Ok(())
        })
        .await
    }

    /// The sum of a metric over all its labels; 0 where it was never counted.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let page = self.get("/metrics").await?.text;
        Ok(page.lines().filter_map(|line| sample(line, name)).sum())
    }

    async fn listening(&mut self) -> Result<SocketAddr> {
        let name = self.name;
        let log = self.log.clone();
        let child = &mut self.child;
        let what = format!("{name} listens");
        let listens = eventually(&what, async || {
            let text = std::fs::read_to_string(&log).context("reading its log")?;
            if let Some(address) = text.lines().find_map(listening_address) {
                return Ok(Some(address));
            }
            if child.try_wait().context("asking for its exit status")?.is_some() {
                return Ok(None);
            }
            anyhow::bail!("it has written: {text}")
        });
        match listens.await? {
            Some(address) => Ok(address),
            None => anyhow::bail!("{name} has ended: {}", self.log()?),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid =
            Pid::from_raw(self.child.id().cast_signed()).context("a process without an id")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exit.is_none() {
            // It may have ended by itself; either way it is gone afterwards.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line.get("message")? == "process listens")
        .then(|| line.get("address")?.as_str()?.parse().ok())?
}

/// The value of a line of the exposition if it is of the metric.
fn sample(line: &str, metric: &str) -> Option<f64> {
    let rest = line.strip_prefix(metric)?;
    let value = match rest.strip_prefix('{') {
        Some(labels) => labels.rsplit_once("} ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_with_and_without_labels() {
        assert_eq!(sample("a_total{x=\"1 } 2\",y=\"z\"} 3", "a_total"), Some(3.0));
        assert_eq!(sample("a_total 4", "a_total"), Some(4.0));
        assert_eq!(sample("a_total_more 4", "a_total"), None);
    }

    #[test]
    fn the_address_is_found_in_the_line_that_says_it() {
        let line = r#"{"message":"process listens","address":"127.0.0.1:4321"}"#;
        assert_eq!(listening_address(line), Some(([127, 0, 0, 1], 4321).into()));
        assert_eq!(listening_address(r#"{"message":"other"}"#), None);
        assert_eq!(listening_address("thread panicked"), None);
    }
}
