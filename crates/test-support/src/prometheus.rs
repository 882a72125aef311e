//! A Prometheus of a test's own, which scrapes processes of the test and applies the real rules.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{Client, eventually, eventually_within};

/// A `prometheus` on a free port that scrapes and applies rules every second, and keeps what it scrapes
/// in a directory of its own. Dropped, it is killed and the directory removed.
#[derive(Debug)]
pub struct Prometheus {
    dir: PathBuf,
    address: SocketAddr,
    child: Child,
    client: Client,
}

/// One answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value now.
    pub value: f64,
}

impl Prometheus {
    /// Starts one with rules, by file name, and waits until it is ready. It scrapes nothing until it is
    /// told [what](Self::scrape).
    ///
    /// # Errors
    /// It is not installed, or does not take the rules.
    pub async fn start(rules: &BTreeMap<String, String>) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("millrace-prometheus-{name}"));
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        for (file, text) in rules {
            let place = dir.join(format!("rules-{file}"));
            std::fs::write(place, text).with_context(|| format!("writing {file}"))?;
        }
        std::fs::write(dir.join("targets.json"), "[]").context("writing the targets")?;
        std::fs::write(dir.join("prometheus.yml"), CONFIG).context("writing its configuration")?;
        let address = free_address()?;
        let child = spawn(&dir, address)?;
        let mut prometheus = Self { dir, address, child, client: Client::new()? };
        prometheus.ready().await?;
        Ok(prometheus)
    }

    /// From now on scrapes these, each under the name of its job, and nothing else.
    ///
    /// # Errors
    /// It does not hear of it.
    pub async fn scrape(&self, targets: &[(&str, SocketAddr)]) -> Result<()> {
        let group = |(job, address): &(&str, SocketAddr)| json!({"targets": [address.to_string()], "labels": {"job": job}});
        let groups: Vec<Value> = targets.iter().map(group).collect();
        // Beside its place and moved there whole: it may be read at any time.
        let (new, place) = (self.dir.join("targets.new"), self.dir.join("targets.json"));
        std::fs::write(&new, Value::from(groups).to_string()).context("writing the targets")?;
        std::fs::rename(&new, &place).context("putting the targets in their place")?;
        let wanted: Vec<String> =
            targets.iter().map(|(_, address)| format!("http://{address}/metrics")).collect();
        eventually("Prometheus knows its targets", async || {
            let known = self.ask("/api/v1/targets?state=active").await?;
            let known: Vec<&str> = known["data"]["activeTargets"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|target| target["scrapeUrl"].as_str())
                .collect();
            let is_known = |url: &String| known.contains(&url.as_str());
            ensure!(known.len() == wanted.len() && wanted.iter().all(is_known), "{known:?}");
            Ok(())
        })
        .await
    }

    /// What an expression gives now.
    ///
    /// # Errors
    /// It is none.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let query = escaped(expression);
        let answer = self.ask(&format!("/api/v1/query?query={query}")).await?;
        let found = answer["data"]["result"].as_array();
        let found = found.with_context(|| format!("{expression} is answered {answer}"))?;
        found.iter().map(Sample::of).collect()
    }

    /// Waits until an alert of this name fires; what it is about.
    ///
    /// # Errors
    /// It does not; then with what it is waiting for.
    pub async fn fires(&self, alert: &str) -> Result<Vec<Sample>> {
        let patience = Duration::from_secs(60);
        eventually_within(patience, &format!("the alert {alert} fires"), async || {
            let firing = self.firing(alert).await?;
            ensure!(!firing.is_empty(), "these do: {:?}", self.query("ALERTS").await?);
            Ok(firing)
        })
        .await
    }

    /// Waits until no alert of this name fires any more.
    ///
    /// # Errors
    /// One goes on.
    pub async fn clears(&self, alert: &str) -> Result<()> {
        let patience = Duration::from_secs(90);
        eventually_within(patience, &format!("the alert {alert} is over"), async || {
            let firing = self.firing(alert).await?;
            ensure!(firing.is_empty(), "it fires for {firing:?}");
            Ok(())
        })
        .await
    }

    /// What an alert of this name fires for now.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn firing(&self, alert: &str) -> Result<Vec<Sample>> {
        self.query(&format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}")).await
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(&format!("http://{}{path}", self.address)).await?;
        answer.json().with_context(|| format!("{path} is answered {answer}"))
    }

    async fn ready(&mut self) -> Result<()> {
        let (client, address) = (self.client.clone(), self.address);
        let child = &mut self.child;
        let log = self.dir.join("prometheus.log");
        eventually("Prometheus is ready", async || {
            if let Some(status) = child.try_wait().context("asking for its exit status")? {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                anyhow::bail!("it ended with {status}: {said}");
            }
            let answer = client.get(&format!("http://{address}/-/ready")).await?;
            ensure!(answer.status == 200, "it answers {answer}");
            Ok(())
        })
        .await
    }
}

impl Sample {
    fn of(found: &Value) -> Result<Self> {
        let labels = found["metric"].as_object().into_iter().flatten();
        let labels = labels.map(|(name, value)| (name.clone(), text(value))).collect();
        let value = text(&found["value"][1]);
        let value = value.parse().with_context(|| format!("{found} has no number"))?;
        Ok(Self { labels, value })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

const CONFIG: &str = "\
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: ['rules-*.yml']
scrape_configs:
  - job_name: of-the-test
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
";

fn spawn(dir: &Path, address: SocketAddr) -> Result<Child> {
    let log = dir.join("prometheus.log");
    let log = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    Command::new("prometheus")
        .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .args(["--storage.tsdb.retention.time=1h", "--storage.tsdb.retention.size=256MB"])
        .args(["--log.level=warn", "--query.timeout=5s"])
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("sharing its log")?)
        .stderr(log)
        .spawn()
        .context("starting prometheus: make tools")
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    listener.local_addr().context("reading its number")
}

/// As a value in a query.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_escaped() {
        assert_eq!(escaped("a{b=\"c\"} + 1"), "a%7Bb%3D%22c%22%7D%20%2B%201");
    }
}
