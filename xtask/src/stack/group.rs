//! Ending a process together with all that it has started: its process group.

use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::identity::Identity;

/// How often it is looked whether a process has ended: far below what a person would notice.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// How long a killed process may take to go. The kernel needs milliseconds.
const KILL_BUDGET: Duration = Duration::from_secs(10);

/// Asks a group to end, waits, and kills what outstays the budget.
///
/// # Errors
/// As for [`kill`].
pub(crate) fn end(name: &str, leader: &Identity, budget: Duration) -> Result<()> {
    send(leader, Signal::TERM);
    wake(leader);
    let asked_at = Instant::now();
    while !leader.group().is_empty() && asked_at.elapsed() < budget {
        thread::sleep(POLL_INTERVAL);
    }
    kill(name, leader)
}

/// Lets the stopped processes of a group go on, so that they hear what else they were sent.
pub(crate) fn wake(leader: &Identity) {
    send(leader, Signal::CONT);
}

/// Kills whatever is left of a group and waits until it has gone.
///
/// # Errors
/// Something does not go, such as a process of another user or one that waits for a broken disk.
pub(crate) fn kill(name: &str, leader: &Identity) -> Result<()> {
    kill_by(name, leader, KILL_BUDGET, || send(leader, Signal::KILL))
}

fn kill_by(name: &str, leader: &Identity, budget: Duration, kill: impl Fn()) -> Result<()> {
    let begun_at = Instant::now();
    loop {
        let left = leader.group();
        if left.is_empty() {
            return Ok(());
        }
        if begun_at.elapsed() > budget {
            let who: Vec<String> = left.into_iter().map(describe).collect();
            bail!("{name} cannot be killed: end {} by hand and try again", who.join(", "));
        }
        kill();
        thread::sleep(POLL_INTERVAL);
    }
}

/// Sends to each process of the group. Nothing is sent to a group that has gone: its id may be
/// another's by now.
fn send(leader: &Identity, signal: Signal) {
    if !leader.group().is_empty()
        && let Some(group) = Pid::from_raw(leader.pid.cast_signed())
    {
        // It may have ended in between, which is what is wanted; who does not end is told by `kill`.
        let _ = kill_process_group(group, signal);
    }
}

fn describe(pid: u32) -> String {
    let owner = std::fs::metadata(format!("/proc/{pid}")).map(|process| process.uid());
    match owner {
        Ok(uid) => format!("pid {pid} of {}", user(uid)),
        Err(_) => format!("pid {pid}"),
    }
}

fn user(uid: u32) -> String {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("user {uid}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use super::*;

    fn a_group() -> (Child, Identity) {
        let leader = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let identity = Identity::of(leader.id()).unwrap();
        (leader, identity)
    }

    #[test]
    fn a_stopped_process_hears_that_it_is_to_end() {
        let (mut leader, identity) = a_group();
        send(&identity, Signal::STOP);
        // Longer than any test may take: what is stopped is not killed but woken.
        end("sleep", &identity, Duration::from_secs(600)).unwrap();
        let status = leader.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    }

    #[test]
    fn what_does_not_go_is_told_by_pid_and_owner() {
        let (mut leader, identity) = a_group();
        let error = kill_by("sleep", &identity, Duration::ZERO, || {}).unwrap_err().to_string();
        let owner = user(rustix::process::geteuid().as_raw());
        assert!(error.contains(&format!("pid {} of {owner}", identity.pid)), "{error}");
        kill("sleep", &identity).unwrap();
        leader.wait().unwrap();
    }
}
