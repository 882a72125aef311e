//! The keys of a deployment that each user of Redis may touch. Which commands it may run stands in
//! `deploy/local/redis.conf`.

use std::io::{BufRead as _, BufReader, Write as _};

use anyhow::{Context, Result, ensure};
use settings::Prefix;

use super::super::ready::connect;

/// Who lies under which keys: bodies of devices and users, trust of partitions, windows of commits; marks, by
/// which those who write know their Redis again; and the buckets of callers.
const KEYS: [(&str, &[&str]); 4] = [
    ("command_api", &["limit"]),
    ("query_api", &["resource", "user", "live", "commit", "limit"]),
    ("projector", &["resource", "user", "live", "commit", "mark"]),
    ("dlq_replayer", &["resource", "user", "live", "commit", "mark"]),
];

pub(super) fn give(plain_port: u16, prefix: &Prefix) -> Result<()> {
    let mut stream = BufReader::new(connect(plain_port)?);
    for (user, kinds) in KEYS {
        let line = format!("ACL SETUSER {user}{}\r\n", patterns(prefix, kinds));
        stream.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        stream.read_line(&mut answer).context("reading the answer of Redis")?;
        ensure!(answer == "+OK\r\n", "{user}: {}", answer.trim_end());
    }
    Ok(())
}

fn patterns(prefix: &Prefix, kinds: &[&str]) -> String {
    let prefix = prefix.to_string();
    let before = if prefix.is_empty() { prefix } else { format!("{prefix}:") };
    kinds.iter().map(|kind| format!(" ~{before}{kind}:*")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_keys_of_one_deployment() {
        let kinds = ["resource", "live"];
        assert_eq!(patterns(&Prefix::default(), &kinds), " ~resource:* ~live:*");
        let acme = Prefix::parse("acme").unwrap();
        assert_eq!(patterns(&acme, &kinds), " ~acme:resource:* ~acme:live:*");
    }
}
