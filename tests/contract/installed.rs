//! Other people's programs that tests need, installed once for all checkouts of a user.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use test_support::alone;
use tokio::process::Command;

/// Installs Debian packages that this machine lacks, each given as `command:package`.
pub(super) async fn packages(wanted: &[&str]) -> Result<()> {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/local/install.sh");
    run(Command::new(tools).args(wanted)).await
}

/// A directory with the `node_modules` that a list names, and Node where there is none.
pub(super) async fn node_modules(name: &str, sources: &str) -> Result<PathBuf> {
    let dir = cache(name)?;
    let lists = ["package.json", "package-lock.json"];
    install(&dir, sources, &lists, async || {
        packages(&["node:nodejs", "npm:npm"]).await?;
        for list in lists {
            std::fs::copy(Path::new(sources).join(list), dir.join(list))
                .with_context(|| format!("copying {list}"))?;
        }
        let arguments = ["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new("npm").args(arguments).current_dir(&dir)).await
    })
    .await?;
    Ok(dir)
}

/// A directory of a user's, for all checkouts.
pub(super) fn cache(name: &str) -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let dir = cache.join("millrace").join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}

/// Installs what the lists name, unless just that was installed before.
pub(super) async fn install(
    dir: &Path,
    sources: &str,
    lists: &[&str],
    install: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let wanted: String = lists
        .iter()
        .map(|list| std::fs::read_to_string(Path::new(sources).join(list)))
        .collect::<Result<_, _>>()
        .context("reading what to install")?;
    let _alone = alone().await?;
    let stamp = dir.join("installed");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&*wanted) {
        install().await?;
        std::fs::write(&stamp, wanted).context("writing what is installed")?;
    }
    Ok(())
}

/// Runs a program to its end.
pub(super) async fn run(command: &mut Command) -> Result<()> {
    let output = command.output().await.with_context(|| format!("running {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {errors}", output.status);
    Ok(())
}
