//! The front door before the processes of a test.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use test_support::{Client, Spine, World, eventually};
use tokio::process::{Child, Command};

const TEMPLATE: &str = include_str!("../../../deploy/nginx/nginx.conf");

/// A running nginx with the stack's own configuration. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct FrontDoor {
    url: String,
    _nginx: Child,
}

impl FrontDoor {
    /// Starts it in front of these processes and waits until it serves.
    pub(super) async fn start(world: &World, spine: &Spine) -> Result<Self> {
        let dir = world.dir().join("front-door");
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let port = free_port()?;
        let conf = dir.join("nginx.conf");
        std::fs::write(&conf, configuration(&dir, port, spine)).context("writing nginx.conf")?;
        let nginx = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-e", "stderr", "-p"])
            .arg(&dir)
            .arg("-c")
            .arg(&conf)
            // One process, so that none is left when it is killed.
            .args(["-g", "master_process off;"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting nginx")?;
        let url = format!("http://127.0.0.1:{port}");
        eventually("the front door serves", async || {
            let health = Client::new()?.get(&format!("{url}/front-door/health")).await?;
            ensure!(health.status == 200, "it answers {health}");
            Ok(())
        })
        .await?;
        Ok(Self { url, _nginx: nginx })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// A port that was free a moment ago: nginx cannot be asked which one it took.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr().context("asking for the port")?.port())
}

/// The template, filled in. What concerns other places where it runs stays empty.
fn configuration(dir: &Path, port: u16, spine: &Spine) -> String {
    let server = |address| format!("server {address} max_fails=0;");
    let dir = dir.display();
    let values = [
        ("user", "user root;".to_owned()),
        ("run", dir.to_string()),
        ("log", dir.to_string()),
        ("access_log", format!("{dir}/nginx.log")),
        ("data", dir.to_string()),
        ("port", port.to_string()),
        ("listen", format!("127.0.0.1:{port}")),
        ("command_api_servers", server(spine.command_api.address())),
        ("query_api_servers", server(spine.query_api.address())),
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
