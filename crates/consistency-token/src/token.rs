//! What a token says.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

/// The most entries of a token.
pub const MAX_ENTRIES: usize = 64;

/// One thing that a read must have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry<'a> {
    /// The record at this offset, and with it all before it in its partition.
    Log {
        /// The topic's name.
        topic: &'a str,
        /// Which life of the topic.
        epoch: u32,
        /// The partition.
        partition: u32,
        /// The record's offset.
        offset: u64,
    },
    /// The event of this version, and with it all before it in its stream.
    Stream {
        /// The stream.
        id: &'a str,
        /// The event's version.
        version: u64,
    },
}

/// The entries of a token, at most one for each partition and stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Token {
    pub(crate) logs: BTreeMap<Partition, u64>,
    pub(crate) streams: BTreeMap<String, u64>,
}

/// In the order in which a token is written: partitions of one topic stand together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) epoch: u32,
    pub(crate) partition: u32,
}

/// Entries were added to a token that has as many as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a consistency token has at most {MAX_ENTRIES} entries; send fewer writes with one read")]
pub struct TooManyEntries;

impl Token {
    /// The token of a record in the log.
    pub fn of_record(topic: &str, epoch: u32, partition: u32, offset: u64) -> Self {
        let at = Partition { topic: topic.to_owned(), epoch, partition };
        Self { logs: BTreeMap::from([(at, offset)]), streams: BTreeMap::new() }
    }

    /// The token of a stream's event.
    pub fn of_stream(id: &str, version: u64) -> Self {
        Self { logs: BTreeMap::new(), streams: BTreeMap::from([(id.to_owned(), version)]) }
    }

    /// Adds what the other one asks for: of two entries for one partition or stream, the later.
    ///
    /// # Errors
    /// [`TooManyEntries`], and then nothing is added.
    pub fn merge(&mut self, other: &Self) -> Result<(), TooManyEntries> {
        let new_logs = other.logs.keys().filter(|at| !self.logs.contains_key(at)).count();
        let new_streams = other.streams.keys().filter(|id| !self.streams.contains_key(*id)).count();
        if self.len() + new_logs + new_streams > MAX_ENTRIES {
            return Err(TooManyEntries);
        }
        merge_by_max(&mut self.logs, &other.logs);
        merge_by_max(&mut self.streams, &other.streams);
        Ok(())
    }

    /// Asks for a record in place of the event of a stream that it holds: the streams of a topic then take no
    /// more room than its partitions. What is asked of a later event of the stream stays, and so does what is
    /// not asked.
    pub fn place(&mut self, id: &str, version: u64, record: &Self) {
        if self.streams.get(id).is_some_and(|asked| *asked <= version) {
            self.streams.remove(id);
            merge_by_max(&mut self.logs, &record.logs);
        }
    }

    /// What the token asks for: the log's entries first, each kind in its order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let logs = self.logs.iter().map(|(at, offset)| Entry::Log {
            topic: &at.topic,
            epoch: at.epoch,
            partition: at.partition,
            offset: *offset,
        });
        let streams =
            self.streams.iter().map(|(id, version)| Entry::Stream { id, version: *version });
        logs.chain(streams)
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.logs.len() + self.streams.len()
    }

    /// True where it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn merge_by_max<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, value) in from {
        match into.entry(key.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(*value);
            }
            Slot::Occupied(mut slot) => {
                let later = *value.max(slot.get());
                slot.insert(later);
            }
        }
    }
}
