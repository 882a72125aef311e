//! Whether a pid is still the process that was started: pids are used again.

use std::fs;

use anyhow::{Context, Result};

/// A process, told apart from every other that had or will have its pid.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Identity {
    /// The pid.
    pub(crate) pid: u32,
    /// Clock ticks between boot and the start of the process.
    started: u64,
    /// The boot in which the ticks are counted.
    boot: String,
}

impl Identity {
    /// The identity of the living process with this pid, or `None`; a zombie does not live.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&stat).filter(Stat::lives)?;
        Some(Self { pid, started: stat.started, boot: boot().ok()? })
    }

    /// Whether the process lives.
    pub(crate) fn lives(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Living processes of the process group that this process led: what it left behind if it has
    /// ended. (A pid is not used again while a process group bears it.)
    pub(crate) fn group(&self) -> Vec<u32> {
        if boot().is_ok_and(|boot| boot != self.boot) {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| self.is_group_of(*pid))
            .collect()
    }

    fn is_group_of(&self, pid: u32) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        Stat::parse(&stat).is_some_and(|stat| {
            stat.lives() && stat.group == self.pid && stat.started >= self.started
        })
    }

    /// Seconds since the process was started, if it lives.
    pub(crate) fn uptime(&self) -> Option<u64> {
        const TICKS_PER_SECOND: u64 = 100;
        if !self.lives() {
            return None;
        }
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let since_boot: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        Some((since_boot as u64).saturating_sub(self.started / TICKS_PER_SECOND))
    }
}

fn boot() -> Result<String> {
    let id =
        fs::read_to_string("/proc/sys/kernel/random/boot_id").context("reading the boot id")?;
    Ok(id.trim().to_owned())
}

/// What is needed of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    group: u32,
    started: u64,
}

impl Stat {
    /// Reads fields 3, 5 and 22; the second is the command in brackets and may hold blanks and brackets.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let group = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(16)?.parse().ok()?;
        Some(Self { state, group, started })
    }

    /// Neither a zombie nor dead.
    fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn a_command_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 8 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4711 8 9";
        assert_eq!(Stat::parse(stat), Some(Stat { state: 'S', group: 7, started: 4711 }));
    }

    #[test]
    fn this_process_lives() {
        assert!(Identity::of(std::process::id()).unwrap().lives());
    }

    #[test]
    fn what_a_leader_left_behind_is_found_by_its_group() {
        let mut leader = std::process::Command::new("sh")
            // It ends when its input does: once its identity is known.
            .args(["-c", "sleep 60 & echo $!; read -r line"])
            .process_group(0)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let identity = Identity::of(leader.id()).unwrap();
        let mut line = String::new();
        std::io::BufReader::new(leader.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let orphan: u32 = line.trim().parse().unwrap();
        leader.wait().unwrap();
        assert_eq!(identity.group(), [orphan]);
        let pid = rustix::process::Pid::from_raw(orphan.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn a_pid_that_another_process_has_now_is_not_ours() {
        let mut other = Identity::of(std::process::id()).unwrap();
        other.started -= 1;
        assert!(!other.lives());
    }

    #[test]
    fn a_process_that_ended_does_not_live_although_nobody_waited_for_it() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        while Identity::of(pid).is_some() {
            std::thread::yield_now();
        }
        assert!(child.wait().unwrap().success());
        assert_eq!(Identity::of(pid), None);
    }
}
