//! What the operating system knows of the process: asked when somebody scrapes.

use std::fmt::Write as _;
use std::fs;

use crate::{Description, Kind, Metric};

/// Where Linux tells a process of itself.
const SELF: &str = "/proc/self";

/// Clock ticks of a second in `/proc`: the same on every Linux that we run on.
const TICKS: f64 = 100.0;

/// The process as `/proc` shows it; what cannot be read is left out.
#[derive(Debug, Default, PartialEq)]
struct Vitals {
    cpu_seconds: Option<f64>,
    memory_bytes: Option<f64>,
    threads: Option<f64>,
    open_files: Option<f64>,
    max_files: Option<f64>,
}

/// Appends the lines of the process itself to an exposition.
pub(crate) fn append(text: &mut String) {
    let Vitals { cpu_seconds, memory_bytes, threads, open_files, max_files } = Vitals::read();
    for (metric, value) in [
        (Metric::ProcessCpu, cpu_seconds),
        (Metric::ProcessMemory, memory_bytes),
        (Metric::ProcessThreads, threads),
        (Metric::ProcessOpenFiles, open_files),
        (Metric::ProcessMaxFiles, max_files),
    ] {
        let Description { name, kind, help, .. } = metric.describe();
        let kind = if kind == Kind::Counter { "counter" } else { "gauge" };
        if let Some(value) = value {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    }
}

impl Vitals {
    fn read() -> Self {
        let read = |file: &str| fs::read_to_string(format!("{SELF}/{file}")).unwrap_or_default();
        let open_files = fs::read_dir(format!("{SELF}/fd")).ok().map(Iterator::count);
        Self {
            cpu_seconds: cpu_seconds(&read("stat")),
            memory_bytes: field(&read("status"), "VmRSS:").map(|kibibytes| kibibytes * 1024.0),
            threads: field(&read("status"), "Threads:"),
            // The folder that is being read is open too.
            open_files: open_files.map(|files| files.saturating_sub(1) as f64),
            max_files: field(&read("limits"), "Max open files"),
        }
    }
}

/// User and system time: the 14th and 15th field. The second is a name in brackets that may hold
/// anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut times = rest.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) / TICKS)
}

/// The first number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_uses() {
        let Vitals { cpu_seconds, memory_bytes, threads, open_files, max_files } = Vitals::read();
        assert!(cpu_seconds.is_some());
        assert!(memory_bytes.unwrap() > 1e6, "{memory_bytes:?}");
        assert!(threads.unwrap() >= 1.0);
        assert!((3.0..max_files.unwrap()).contains(&open_files.unwrap()), "{open_files:?}");
    }

    #[test]
    fn a_process_may_call_itself_what_it_likes() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 500 0 0 0 250 150 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(cpu_seconds("nothing"), None);
    }

    #[test]
    fn the_lines_are_an_exposition() {
        let mut text = String::new();
        append(&mut text);
        assert!(
            text.contains("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ")
        );
        assert!(text.contains("# TYPE process_open_fds gauge\nprocess_open_fds "));
    }
}
