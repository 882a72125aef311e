//! The cache of the parts that come as Maven packages, shared by all checkouts of a user.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::local_dir::LocalDir;

/// Where the unpacked parts are.
#[derive(Debug, Clone)]
pub(crate) struct Parts(PathBuf);

impl Parts {
    /// Finds the parts of this checkout's versions, and fetches them if nobody did before.
    pub(crate) fn fetch(local: &LocalDir) -> Result<Self> {
        let pom = local.deploy("local/pom.xml");
        let text = std::fs::read(&pom).with_context(|| format!("reading {}", pom.display()))?;
        let mut hasher = DefaultHasher::new();
        (text, platform()?).hash(&mut hasher);
        let parts = cache()?.join("parts").join(format!("{:016x}", hasher.finish()));
        if !parts.exists() {
            fetch(&pom, &parts)?;
        }
        Ok(Self(parts))
    }

    /// Kafka's jars.
    pub(crate) fn kafka(&self) -> PathBuf {
        self.0.join("kafka")
    }

    /// The registry, with `*-runner.jar` in it.
    pub(crate) fn registry(&self) -> PathBuf {
        self.0.join("registry")
    }

    /// A program of Postgres.
    pub(crate) fn postgres(&self, program: &str) -> PathBuf {
        self.0.join("postgres/bin").join(program)
    }
}

/// What all checkouts of a user share: parts, tools and build results.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("millrace"))
}

fn platform() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("linux-amd64"),
        "aarch64" => Ok("linux-arm64v8"),
        other => bail!("there is no packaged Postgres for {other}"),
    }
}

/// Lays the parts out beside their place and moves them there whole, so that a broken download or a
/// second call leaves nothing half done.
fn fetch(pom: &Path, parts: &Path) -> Result<()> {
    println!("fetching Kafka, the registry and Postgres into {}", parts.display());
    let unfinished = parts.with_extension(std::process::id().to_string());
    run(Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(pom)
        .arg(format!("-Dparts={}", unfinished.display()))
        .arg(format!("-Dpostgres.platform={}", platform()?))
        .arg("process-resources"))?;
    unpack_postgres(&unfinished.join("postgres"))?;
    if let Err(error) = std::fs::rename(&unfinished, parts) {
        ensure!(parts.exists(), "moving the parts to {}: {error}", parts.display());
        std::fs::remove_dir_all(&unfinished).context("removing the parts fetched twice")?;
    }
    Ok(())
}

fn unpack_postgres(dir: &Path) -> Result<()> {
    let archive = std::fs::read_dir(dir)
        .context("looking for Postgres")?
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "txz"))
        .context("the Postgres package holds no archive")?;
    run(Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(dir))?;
    std::fs::remove_file(&archive).context("removing the unpacked archive")
}

/// Runs a command to its end; a failure shows what it said.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    bail!("{command:?} failed: {}", String::from_utf8_lossy(&said).trim())
}
