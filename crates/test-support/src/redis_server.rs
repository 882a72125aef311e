//! A Redis of a test's own, which may be killed, frozen, emptied and filled.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::eventually;

/// A `redis-server` on a free port. It keeps nothing on disk and evicts by `allkeys-lru`. Dropped,
/// it is killed and its directory removed.
#[derive(Debug)]
pub struct RedisServer {
    dir: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Mutex<Child>,
}

impl RedisServer {
    /// Starts one and waits until it answers. `arguments` follow ours, as `redis-server` takes
    /// them: `["--maxmemory", "16mb"]`.
    ///
    /// # Errors
    /// It cannot be started or does not answer.
    pub async fn start(arguments: &[&str]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("millrace-redis-{name}"));
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let port = free_port()?;
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let child = Mutex::new(spawn(&dir, port, &arguments)?);
        let server = Self { dir, port, arguments, child };
        server.answers().await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its URL, as `REDIS_URL` takes it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// A connection that knows nothing of what our processes do.
    ///
    /// # Errors
    /// It does not take connections.
    pub fn resp(&self) -> Result<Resp> {
        Resp::connect(self.address())
    }

    /// A number of `INFO`, such as `evicted_keys`; counted since the last start.
    ///
    /// # Errors
    /// It does not answer, or says nothing of it.
    pub fn info(&self, name: &str) -> Result<u64> {
        let info = self.resp()?.text(&["INFO"])?;
        let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let found = found.with_context(|| format!("INFO says nothing of {name}"))?;
        found.trim().parse().with_context(|| format!("{name} is {found}"))
    }

    /// Removes everything it holds.
    ///
    /// # Errors
    /// It does not answer.
    pub fn flush(&self) -> Result<()> {
        self.resp()?.text(&["FLUSHALL", "SYNC"]).map(drop)
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill9(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child().wait().context("waiting for a killed Redis").map(drop)
    }

    /// Starts it again, empty, on the same port, after it was killed.
    ///
    /// # Errors
    /// It cannot be started or does not answer.
    pub async fn start_again(&self) -> Result<()> {
        *self.child() = spawn(&self.dir, self.port, &self.arguments)?;
        self.answers().await
    }

    /// Freezes it: its sockets stay open, nothing is answered.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    async fn answers(&self) -> Result<()> {
        eventually("Redis answers", async || {
            let answer = self.resp()?.text(&["PING"])?;
            ensure!(answer == "PONG", "it answers {answer}");
            Ok(())
        })
        .await
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child().id().cast_signed());
        let pid = pid.context("a process without an id")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to Redis"))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed before; either way it is gone afterwards.
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("reading its number")?.port())
}

fn spawn(dir: &Path, port: u16, arguments: &[String]) -> Result<Child> {
    let log = dir.join("redis.log");
    let log = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "allkeys-lru"])
        .arg("--dir")
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("sharing the log")?)
        .stderr(log)
        .spawn()
        .context("starting redis-server")
}

/// What `redis-cli` sees: commands as words, answers as text. Waits 5 seconds for an answer.
#[derive(Debug)]
pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).context("setting a time-out")?;
        stream.set_nodelay(true).context("setting TCP_NODELAY")?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// The answer to a command; `None` for nil. Numbers as their digits.
    ///
    /// # Errors
    /// It is an error or a list, or there is none.
    pub fn ask(&mut self, words: &[&str]) -> Result<Option<String>> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.get_mut().write_all(command.as_bytes()).context("sending a command")?;
        self.answer().with_context(|| format!("the answer to {}", words.first().unwrap_or(&"")))
    }

    /// The answer to a command that has one.
    ///
    /// # Errors
    /// It is nil, an error or a list, or there is none.
    pub fn text(&mut self, words: &[&str]) -> Result<String> {
        self.ask(words)?.with_context(|| format!("{words:?} answers nil"))
    }

    fn answer(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        ensure!(!line.is_empty(), "the connection is closed");
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" | ":" => Ok(Some(rest.to_owned())),
            "$" if rest == "-1" => Ok(None),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>()? + 2];
                self.stream.read_exact(&mut text)?;
                text.truncate(text.len() - 2);
                Ok(Some(String::from_utf8(text)?))
            }
            _ => bail!("Redis answers {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_was_killed_comes_back_empty_on_its_port() {
        let redis = RedisServer::start(&[]).await.unwrap();
        redis.resp().unwrap().text(&["SET", "key", "value"]).unwrap();
        redis.kill9().unwrap();
        assert!(redis.resp().is_err());
        redis.start_again().await.unwrap();
        assert_eq!(redis.resp().unwrap().ask(&["GET", "key"]).unwrap(), None);
    }

    #[tokio::test]
    async fn one_with_little_memory_evicts_and_says_so() {
        let redis = RedisServer::start(&["--maxmemory", "3mb"]).await.unwrap();
        let mut resp = redis.resp().unwrap();
        let value = "x".repeat(10_000);
        for key in 0..1_000 {
            resp.text(&["SET", &format!("key-{key}"), &value]).unwrap();
        }
        assert!(redis.info("evicted_keys").unwrap() > 0);
        redis.flush().unwrap();
        assert_eq!(resp.text(&["DBSIZE"]).unwrap(), "0");
    }
}
