//! A mail server of a test's own: other people's, behind a script that says what it was given.

use std::path::{Path, PathBuf};
use std::process::{Command as Run, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Where the script is, and what it needs.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mail");

/// How long the server may take to start, or to say what it was given.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mail server on a free port. Dropped, it is killed.
pub(super) struct MailServer {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) port: u16,
}

impl MailServer {
    pub(super) async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(python())
            .args(["-B", "-W", "ignore"])
            .arg(Path::new(SOURCES).join("server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = line(&mut lines).await.unwrap().parse().unwrap();
        Self { child, input, lines, port }
    }

    /// What it was given next.
    pub(super) async fn given(&mut self) -> Value {
        serde_json::from_str(&line(&mut self.lines).await.unwrap()).unwrap()
    }

    /// All that it was given and that nobody asked for yet; then it ends.
    pub(super) async fn given_besides(self) -> Vec<Value> {
        let Self { mut child, input, mut lines, .. } = self;
        drop(input);
        let mut given = Vec::new();
        while let Some(line) = line(&mut lines).await {
            given.push(serde_json::from_str(&line).unwrap());
        }
        child.wait().await.unwrap();
        given
    }
}

/// What it says next; nothing once it has ended.
async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    let line = timeout(PATIENCE, lines.next_line()).await;
    line.unwrap_or_else(|_| panic!("the mail server says nothing for {PATIENCE:?}")).unwrap()
}

/// A Python with a mail server, installed once for all checkouts of a user.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache
            .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
        let dir = cache.join("millrace/mail-server-py");
        std::fs::create_dir_all(&dir).unwrap();
        // Another checkout may be installing the same.
        let alone = std::fs::File::create(dir.join("lock")).unwrap();
        alone.lock().unwrap();
        let (list, installed) =
            (Path::new(SOURCES).join("requirements.txt"), dir.join("installed"));
        let (venv, wanted) = (dir.join("venv"), std::fs::read_to_string(&list).unwrap());
        let python = venv.join("bin/python");
        if std::fs::read_to_string(&installed).ok().as_ref() != Some(&wanted) {
            run(Run::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            let strict = ["--only-binary", ":all:", "--require-hashes", "--requirement"];
            run(Run::new(&python).args(pip).args(strict).arg(&list));
            std::fs::write(&installed, wanted).unwrap();
        }
        python
    })
}

fn run(command: &mut Run) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {errors}", output.status);
}
