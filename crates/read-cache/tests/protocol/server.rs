//! A Redis of the tests: on a free port, in a directory of its own, ended when it is dropped.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use test_support::eventually;

use crate::resp::Resp;

const BINARY: &str = "/usr/bin/redis-server";

/// A running Redis.
pub(crate) struct Server {
    dir: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Mutex<Child>,
}

impl Server {
    /// The one that tests share while any of them runs.
    pub(crate) async fn shared() -> Result<Arc<Self>> {
        static SHARED: tokio::sync::Mutex<Weak<Server>> =
            tokio::sync::Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start(&[]).await?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// One that a test may kill, freeze and flush.
    pub(crate) async fn start(arguments: &[&str]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("millrace-read-cache-{name}"));
        std::fs::create_dir_all(&dir)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let child = Mutex::new(spawn(&dir, port, &arguments)?);
        let server = Self { dir, port, arguments, child };
        server.answers().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection that knows nothing of the protocol.
    pub(crate) fn resp(&self) -> Result<Resp> {
        Resp::connect(SocketAddr::from(([127, 0, 0, 1], self.port)))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill9(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.lock().unwrap().wait()?;
        Ok(())
    }

    /// Freezes it: its sockets stay open, nothing is answered.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts it again on the same port, after it was killed.
    pub(crate) async fn start_again(&self) -> Result<()> {
        *self.child.lock().unwrap() = spawn(&self.dir, self.port, &self.arguments)?;
        self.answers().await
    }

    async fn answers(&self) -> Result<()> {
        eventually("Redis answers", async || {
            ensure!(self.resp()?.text(&["PING"])? == "PONG", "it answers something else");
            Ok(())
        })
        .await
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.lock().unwrap().id().cast_signed();
        kill_process(Pid::from_raw(pid).context("a process without an id")?, signal)?;
        Ok(())
    }
}

fn spawn(dir: &PathBuf, port: u16, arguments: &[String]) -> Result<Child> {
    let log = std::fs::File::create(dir.join("redis.log"))?;
    Command::new(BINARY)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .arg("--dir")
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {BINARY}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before; either way it is gone afterwards.
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
