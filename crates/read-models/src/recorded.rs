//! An event with its place in the log.

use domain::Timestamp;

/// Where a record stands in its topic. Within one key later means greater, across epochs too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Which life of the topic.
    pub epoch: i32,
    /// Offset within the partition of that life.
    pub offset: i64,
}

/// A record by its place and time, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// Partition of the topic.
    pub partition: i32,
    /// Where it stands.
    pub position: LogPosition,
    /// When the log took it.
    pub log_time: Timestamp,
}

/// An event as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded<E> {
    /// What happened.
    pub event: E,
    /// Partition of the topic; a key lives in one partition for an epoch.
    pub partition: i32,
    /// Where it stands.
    pub position: LogPosition,
    /// When the log took it: the broker's clock.
    pub log_time: Timestamp,
}

#[cfg(test)]
pub(crate) mod tests;
