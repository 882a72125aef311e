//! The user under whom Postgres runs, which refuses to run as root.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Candidates, in the order in which they are looked for.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// Who runs Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServiceUser {
    /// The caller, who is not root.
    Caller,
    /// A user without rights; we are root.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl ServiceUser {
    /// The caller, or a service user of this machine where the caller is root.
    pub(crate) fn find() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Caller);
        }
        let table = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        NAMES
            .iter()
            .find_map(|name| lookup(&table, name))
            .map(|(uid, gid)| Self::Other { uid, gid })
            .with_context(|| format!("Postgres refuses root, and there is no user {NAMES:?}"))
    }

    /// The command that runs a program as this user.
    ///
    /// A checkout in a home directory that others may not enter (root's own, for example) is entered
    /// by right of one capability, so that the data can stay under `.local` all the same.
    pub(crate) fn command(&self, program: &Path, needs: &[&Path]) -> (PathBuf, Vec<String>) {
        let Self::Other { uid, gid } = self else { return (program.to_owned(), Vec::new()) };
        let mut args =
            vec![format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()];
        if needs.iter().chain([&program]).any(|path| !others_may_enter(path)) {
            // Without it access(2), by which initdb finds its programs, would not count the capability.
            args.push("--securebits=+no_setuid_fixup".to_owned());
            args.push("--inh-caps=+dac_override".to_owned());
            args.push("--ambient-caps=+dac_override".to_owned());
        }
        args.push(program.display().to_string());
        ("setpriv".into(), args)
    }

    /// Makes a directory that belongs to this user alone.
    pub(crate) fn create_dir(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        self.own(dir)
    }

    /// Gives a file or a directory to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        if let Self::Other { uid, gid } = self {
            chown(path, Some(*uid), Some(*gid))
                .with_context(|| format!("giving {} to the service user", path.display()))?;
        }
        Ok(())
    }
}

fn lookup(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// Whether every directory above the path lets everyone through.
fn others_may_enter(path: &Path) -> bool {
    const OTHERS_EXECUTE: u32 = 0o001;
    path.ancestors().skip(1).all(|dir| {
        std::fs::metadata(dir).is_ok_and(|metadata| metadata.mode() & OTHERS_EXECUTE != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "nobody2:x:1:2::/:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/sh\n";
        assert_eq!(lookup(passwd, "nobody"), Some((65534, 65533)));
        assert_eq!(lookup(passwd, "postgres"), None);
    }

    #[test]
    fn the_caller_runs_programs_as_they_are() {
        let (program, args) = ServiceUser::Caller.command(Path::new("/bin/true"), &[]);
        assert_eq!((program.as_path(), args), (Path::new("/bin/true"), Vec::new()));
    }

    #[test]
    fn a_public_path_needs_no_capability() {
        let user = ServiceUser::Other { uid: 7, gid: 8 };
        let (program, args) = user.command(Path::new("/usr/bin/env"), &[]);
        assert_eq!(program, Path::new("setpriv"));
        assert_eq!(args, ["--reuid=7", "--regid=8", "--clear-groups", "/usr/bin/env"]);
    }
}
