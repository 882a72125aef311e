//! The front door before the processes of a test, and what its logs hold.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use test_support::{Client, Spine, World, eventually};
use tokio::process::{Child, Command};
use xtask::stack::edge_limits::EdgeLimits;

const TEMPLATE: &str = include_str!("../../deploy/nginx/nginx.conf");

/// Its logs, of requests and of what went wrong.
const REQUESTS: &str = "nginx.log";
const ERRORS: &str = "nginx-errors.log";

/// A running nginx with the stack's own configuration. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct FrontDoor {
    address: SocketAddr,
    dir: PathBuf,
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
        Self::limited(dir, command_api, query_api, EdgeLimits::OFF).await
    }

    /// The same, with limits of what an address may ask for.
    pub(super) async fn limited(
        dir: &Path,
        command_api: SocketAddr,
        query_api: SocketAddr,
        limits: EdgeLimits,
    ) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let address = free_address()?;
        let conf = dir.join("nginx.conf");
        let text = configuration(dir, address, command_api, query_api, limits);
        std::fs::write(&conf, text).context("writing nginx.conf")?;
        let errors = File::create(dir.join(ERRORS)).context("making the log of errors")?;
        let nginx = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-e", "stderr", "-p"])
            .arg(dir)
            .arg("-c")
            .arg(&conf)
            // One process, so that none is left when it is killed.
            .args(["-g", "master_process off;"])
            .stdin(Stdio::null())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .context("starting nginx")?;
        let url = format!("http://{address}");
        eventually("the front door serves", async || {
            let health = Client::new()?.get(&format!("{url}/front-door/health")).await?;
            ensure!(health.status == 200, "it answers {health}");
            Ok(())
        })
        .await
        .with_context(|| {
            format!("it says {:?}", std::fs::read_to_string(dir.join(ERRORS)).unwrap_or_default())
        })?;
        Ok(Self { address, dir: dir.to_owned(), _nginx: nginx })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has said of requests, and of what went wrong.
    fn logs(&self) -> Result<(String, String)> {
        let read = |name| std::fs::read_to_string(self.dir.join(name));
        Ok((read(REQUESTS)?, read(ERRORS)?))
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
    limits: EdgeLimits,
) -> String {
    let server = |address| format!("server {address} max_fails=0;");
    let dir = dir.display();
    let values = [
        ("user", "user root;".to_owned()),
        ("run", dir.to_string()),
        ("log", dir.to_string()),
        ("access_log", format!("{dir}/{REQUESTS}")),
        ("data", dir.to_string()),
        ("listen", address.to_string()),
        ("command_api_servers", server(command_api)),
        ("query_api_servers", server(query_api)),
    ];
    // As many listening sockets as there are workers, and here there is one.
    let mut text =
        TEMPLATE.replace("{{...}}", "").replace("worker_processes auto", "worker_processes 1");
    for (name, value) in values.into_iter().chain(limits.values()) {
        text = text.replace(&format!("{{{{{name}}}}}"), &value);
    }
    while let (Some(start), Some(end)) = (text.find("{{"), text.find("}}")) {
        text.replace_range(start..end + 2, "");
    }
    text
}

/// Paths that say who somebody is, with how they are logged. `NAME` stands for a name, `SECRET` for a token.
const TELLING: [(&str, &str); 8] = [
    ("/api/v1/users/by-username/NAME", "/api/v1/users/by-username/..."),
    ("/users/by-username/NAME", "/users/by-username/..."),
    ("/api/v1/users/by-username/NAME/", "/api/v1/users/by-username/..."),
    ("/api/v1/users/by%2Dusername/NAME", "/api/v1/users/by-username/..."),
    ("/api/v1//users/./by-username//NAME", "/api/v1/users/by-username/..."),
    ("/API/V1/Users/By-Username/NAME", "/API/V1/Users/By-Username/..."),
    ("/api/v1/users?prefix=NAME", "/api/v1/users"),
    ("/api/v1/auth/verify-email?token=SECRET", "/api/v1/auth/verify-email"),
];

#[tokio::test]
async fn its_logs_hold_no_name_and_no_token_that_a_request_is_made_of() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("millrace-discreet-{}", std::process::id()));
    // Nobody listens behind it: what fails is what errors are told of.
    let front_door = FrontDoor::before(&dir, free_address()?, free_address()?).await?;
    let client = Client::new()?;
    for (path, _) in TELLING {
        let path = path.replace("NAME", "ann-of-the-mill").replace("SECRET", "not-for-the-log");
        let answer = client.get(&front_door.url(&path)).await?;
        ensure!(answer.status == 502, "{path} is answered {answer}");
    }
    eventually("all requests are logged", async || {
        let (requests, errors) = front_door.logs()?;
        for (path, logged) in TELLING {
            let logged = format!("\"path\":\"{logged}\"");
            ensure!(requests.contains(&logged), "{path} is not logged as {logged}: {requests}");
        }
        let lines = requests.lines().filter(|line| !line.contains("/front-door/")).count();
        ensure!(lines == TELLING.len(), "{lines} requests are logged");
        for told in ["ann-of-the-mill", "not-for-the-log"] {
            ensure!(!requests.contains(told), "requests tell {told}: {requests}");
            ensure!(!errors.contains(told), "errors tell {told}: {errors}");
        }
        Ok(())
    })
    .await?;
    std::fs::remove_dir_all(dir).context("removing the front door's files")
}
