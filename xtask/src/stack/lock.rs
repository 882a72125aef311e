//! One call at a time changes a stack.

use std::fs::{File, create_dir_all};

use anyhow::{Context, Result};

use super::local_dir::LocalDir;

/// Held while a call changes a stack, so that two do not start the same process, or one ends what
/// the other starts.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock is held while it lives")] File);

impl Lock {
    /// Takes the lock; waits, and says so, while another call has it.
    pub(crate) fn take(local: &LocalDir) -> Result<Self> {
        let path = local.lock();
        create_dir_all(&local.path)
            .with_context(|| format!("creating the directory {}", local.path.display()))?;
        let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        if file.try_lock().is_err() {
            println!("waiting for another command that changes this stack");
            file.lock().with_context(|| format!("locking {}", path.display()))?;
        }
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::stack;

    #[test]
    fn a_reset_waits_for_the_lock_and_leaves_it_to_those_who_wait() {
        let dir = std::env::temp_dir().join(format!("millrace-lock-{}", std::process::id()));
        let local = LocalDir { checkout: dir.clone(), path: dir.clone() };
        let lock = Lock::take(&local).unwrap();
        local.create().unwrap();
        let (done, is_done) = mpsc::channel();
        let reset = std::thread::spawn({
            let local = local.clone();
            move || {
                stack::reset(&local).unwrap();
                done.send(()).unwrap();
            }
        });
        assert!(is_done.recv_timeout(Duration::from_millis(100)).is_err(), "did not wait");
        assert!(local.data().exists());
        drop(lock);
        reset.join().unwrap();
        assert!(!local.data().exists());
        assert!(local.lock().exists());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
