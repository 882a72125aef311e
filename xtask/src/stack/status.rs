//! What runs, as a table.

use anyhow::Result;

use super::local_dir::LocalDir;
use super::record::Record;

/// Prints a line for each started process; returns whether all of them live and serve.
pub(crate) fn print(local: &LocalDir) -> Result<bool> {
    let records = Record::all(local)?;
    if records.is_empty() {
        println!("nothing runs under {}", local.path.display());
        return Ok(false);
    }
    println!("{:<16}{:>8}  {:<12}{:<10}uptime", "process", "pid", "ports", "ready");
    let mut all_ready = true;
    for record in records {
        let (ready, uptime) = match record.identity.uptime() {
            Some(seconds) if record.probe.as_ref().is_some_and(|probe| probe.ask().is_ok()) => {
                ("yes", duration(seconds))
            }
            Some(seconds) => ("no", duration(seconds)),
            None => ("ended", String::new()),
        };
        all_ready &= ready == "yes";
        let ports: Vec<String> = record.ports.iter().map(u16::to_string).collect();
        let pid = record.identity.pid;
        println!("{:<16}{pid:>8}  {:<12}{ready:<10}{uptime}", record.name, ports.join(" "));
    }
    Ok(all_ready)
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_told_in_its_two_largest_units() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min 1 s");
        assert_eq!(duration(7_290), "2 h 1 min");
    }
}
