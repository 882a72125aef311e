//! Which Redis the bodies of a partition are in: its identity, and a mark that an owner left there.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Which Redis it is. Another one, or the same with other data, may hold bodies that were replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Changes with every start of the server.
    pub run_id: String,
    /// Changes when the server's data becomes the continuation of another server's.
    pub replication_id: String,
}

/// The Redis with which a cache generation was agreed. Stands beside the generation in Postgres, as
/// the text `<run id> <replication id> <mark>`.
///
/// A Redis that was emptied in between has lost the mark. It has lost tombstones too, so that a
/// reader may have filled what a commit under way was about to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The server and its data.
    pub identity: Identity,
    /// What was left in it.
    pub mark: String,
}

impl Home {
    /// A mark that nobody left before.
    pub(crate) fn unique_mark() -> String {
        Uuid::now_v7().simple().to_string()
    }
}

/// A text that names no home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a home is a run id, a replication id and a mark")]
pub struct NotAHome;

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.identity.run_id, self.identity.replication_id, self.mark)
    }
}

impl FromStr for Home {
    type Err = NotAHome;

    fn from_str(text: &str) -> Result<Self, NotAHome> {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            [run_id, replication_id, mark] if words.iter().all(|word| !word.is_empty()) => {
                let (run_id, replication_id) = ((*run_id).to_owned(), (*replication_id).to_owned());
                let identity = Identity { run_id, replication_id };
                Ok(Self { identity, mark: (*mark).to_owned() })
            }
            _ => Err(NotAHome),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_home_reads_back(run_id in "[0-9a-f]{40}", replication_id in "[0-9a-f]{40}") {
            let identity = Identity { run_id, replication_id };
            let home = Home { identity, mark: Home::unique_mark() };
            prop_assert_eq!(home.to_string().parse(), Ok(home));
        }

        #[test]
        fn what_is_read_as_a_home_prints_as_it_stood(text in "[a f]{0,8}") {
            if let Ok(home) = text.parse::<Home>() {
                prop_assert_eq!(home.to_string(), text);
            }
        }
    }
}
