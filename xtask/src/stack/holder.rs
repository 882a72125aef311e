//! Which process holds a port, for the message that says so.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

/// What is known about the holder of a port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// Nobody listens.
    Free,
    /// Somebody listens; the text says who, as far as this user may see.
    Taken(String),
}

/// Asks by binding the port on the loopback address, which is where the stack listens.
pub(crate) fn of(port: u16) -> Port {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Port::Free,
        Err(_) => Port::Taken(describe(port)),
    }
}

fn describe(port: u16) -> String {
    match inodes(port).iter().find_map(|inode| process_with_socket(inode)) {
        Some((pid, command)) => format!("{command} (pid {pid})"),
        None => "a process of another user".to_owned(),
    }
}

/// Inodes of the sockets that listen on the port, over IPv4 and IPv6.
fn inodes(port: u16) -> Vec<String> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table.lines().filter_map(|line| listening(line, port)).collect::<Vec<_>>()
        })
        .collect()
}

fn listening(line: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace();
    let (_, at) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    (state == LISTEN && u16::from_str_radix(at, 16) == Ok(port)).then(|| inode.to_owned())
}

fn process_with_socket(inode: &str) -> Option<(String, String)> {
    let wanted = format!("socket:[{inode}]");
    let holds = |pid: &str| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.to_string_lossy() == wanted)
            .then_some(())
    };
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_string_lossy().into_owned();
        pid.parse::<u32>().ok()?;
        holds(&pid)?;
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some((pid, command.trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let Port::Taken(holder) = of(held.local_addr().unwrap().port()) else {
            panic!("the port is held by this test");
        };
        assert!(holder.contains(&format!("(pid {})", std::process::id())), "{holder}");
    }

    #[test]
    fn a_connection_is_not_a_listener() {
        let line =
            "1: 0100007F:1F40 0100007F:C350 01 00000000:00000000 00:00000000 00000000 0 0 42 1";
        assert_eq!(listening(line, 8000), None);
        assert_eq!(listening(&line.replace(" 01 ", " 0A "), 8000), Some("42".to_owned()));
    }
}
