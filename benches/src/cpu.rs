//! CPU time of processes, as the kernel accounts for it.

use std::fs;
use std::time::Duration;

/// Ticks in a second: `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that matters here.
const TICKS_PER_SECOND: u64 = 100;

/// What one process and the children it has reaped have used.
fn of_one(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the fields after it do not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // utime, stime, cutime, cstime are fields 14 to 17 of proc(5), counted from 1 with the pid.
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// What a process and all its living descendants have used, with what they have reaped.
pub(crate) fn of_tree(pid: u32) -> Duration {
    let mut ticks = of_one(pid).unwrap_or_default();
    let mut waiting = children(pid);
    while let Some(child) = waiting.pop() {
        ticks += of_one(child).unwrap_or_default();
        waiting.extend(children(child));
    }
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}
