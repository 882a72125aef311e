//! The certificates of one stack: an authority and one certificate for all that listens.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Stack;
use super::pki::{Authority, Validity};
use super::service_user::ServiceUser;

/// The names under which everything of a stack is reached.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Who may read a file.
const EVERYBODY: u32 = 0o644;
const OWNER: u32 = 0o600;

/// Makes them once for a stack: who believes the authority goes on doing so.
pub(crate) fn prepare(stack: &Stack) -> Result<()> {
    if authority(stack).exists() {
        return Ok(());
    }
    let dir = stack.local.tls();
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let own = Authority::new()?;
    let server = own.certify(&NAMES, Validity::Current)?;
    write(&certificate(stack), &server.certificate, EVERYBODY)?;
    write(&key(stack), &server.key, OWNER)?;
    // Postgres takes no key that others may read.
    ServiceUser::find()?.own(&key(stack))?;
    write(&both(stack), &format!("{}{}", server.key, server.certificate), OWNER)?;
    // Last: where it is, all is.
    write(&authority(stack), &own.pem(), EVERYBODY)
}

/// The authority, for those who connect.
pub(crate) fn authority(stack: &Stack) -> PathBuf {
    stack.local.tls().join("ca.pem")
}

/// What servers show.
pub(crate) fn certificate(stack: &Stack) -> PathBuf {
    stack.local.tls().join("server.pem")
}

/// The key to it.
pub(crate) fn key(stack: &Stack) -> PathBuf {
    stack.local.tls().join("server.key")
}

/// Key and certificate in one file, as Kafka wants them.
pub(crate) fn both(stack: &Stack) -> PathBuf {
    stack.local.tls().join("kafka.pem")
}

fn write(path: &Path, text: &str, readers: u32) -> Result<()> {
    let written = || {
        // What an interrupted call has left may be somebody else's.
        let _ = std::fs::remove_file(path);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(readers).open(path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    written().with_context(|| format!("writing {}", path.display()))
}
