//! The front door before the processes of a test.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use test_support::{Client, Spine, World, eventually};
use tokio::process::{Child, Command};

const TEMPLATE: &str = include_str!("../../deploy/nginx/nginx.conf");

/// A running nginx with the stack's own configuration. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct FrontDoor {
    address: SocketAddr,
    _nginx: Child,
}

impl FrontDoor {
    /// Starts it in front of these processes and waits until it serves.
    pub(super) async fn start(world: &World, spine: &Spine) -> Result<Self> {
        let dir = world.dir().join("front-door");
        Self::before(&dir, spine.command_api.address(), spine.query_api.address()).await
    }

    /// Starts it in front of what listens there, if anything does, with its files in `dir`.
    pub(super) async fn before(
        dir: &Path,
        command_api: SocketAddr,
        query_api: SocketAddr,
    ) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let address = free_address()?;
        let conf = dir.join("nginx.conf");
        let text = configuration(dir, address, command_api, query_api);
        std::fs::write(&conf, text).context("writing nginx.conf")?;
        let nginx = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-e", "stderr", "-p"])
            .arg(dir)
            .arg("-c")
            .arg(&conf)
            // One process, so that none is left when it is killed.
            .args(["-g", "master_process off;"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting nginx")?;
        let url = format!("http://{address}");
        eventually("the front door serves", async || {
            let health = Client::new()?.get(&format!("{url}/front-door/health")).await?;
            ensure!(health.status == 200, "it answers {health}");
            Ok(())
        })
        .await?;
        Ok(Self { address, _nginx: nginx })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// An address that was free a moment ago: nginx cannot be asked which one it took.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    listener.local_addr().context("asking for the port")
}

/// The template, filled in. What concerns other places where it runs stays empty.
fn configuration(
    dir: &Path,
    address: SocketAddr,
    command_api: SocketAddr,
    query_api: SocketAddr,
) -> String {
    let server = |address| format!("server {address} max_fails=0;");
    let dir = dir.display();
    let values = [
        ("user", "user root;".to_owned()),
        ("run", dir.to_string()),
        ("log", dir.to_string()),
        ("access_log", format!("{dir}/nginx.log")),
        ("data", dir.to_string()),
        ("listen", address.to_string()),
        ("command_api_servers", server(command_api)),
        ("query_api_servers", server(query_api)),
    ];
    // As many listening sockets as there are workers, and here there is one.
    let mut text =
        TEMPLATE.replace("{{...}}", "").replace("worker_processes auto", "worker_processes 1");
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), &value);
    }
    while let (Some(start), Some(end)) = (text.find("{{"), text.find("}}")) {
        text.replace_range(start..end + 2, "");
    }
    text
}
