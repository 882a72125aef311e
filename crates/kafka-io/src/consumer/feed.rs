//! The records of one assignment, between the polling thread and the lane that folds them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ledger::Remembered;

/// How much a partition may have in hand: delivered and not yet given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Records.
    pub records: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
}

/// A delivered record: its identity, its size and what was decoded of it.
#[derive(Debug)]
pub struct Delivery<T> {
    /// Offset, time and hash.
    pub identity: Remembered,
    /// Bytes of key and value.
    pub bytes: usize,
    /// What was decoded.
    pub item: T,
}

/// A bounded queue with one writer and one reader. A record counts against the capacity until the
/// reader gives it back, so what the reader holds is bounded too.
#[derive(Debug)]
pub struct Feed<T> {
    partition: i32,
    epoch: u64,
    capacity: Capacity,
    queue: Mutex<VecDeque<Delivery<T>>>,
    records: AtomicUsize,
    bytes: AtomicUsize,
    closed: AtomicBool,
    reader: Arc<Notify>,
}

impl<T> Feed<T> {
    /// A feed for one assignment. `epoch` tells the assignments of a partition apart; `reader` is
    /// woken when records arrive.
    pub fn new(partition: i32, epoch: u64, capacity: Capacity, reader: Arc<Notify>) -> Self {
        Self {
            partition,
            epoch,
            capacity,
            queue: Mutex::new(VecDeque::new()),
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            reader,
        }
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Which assignment of the partition.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Ends the assignment: nothing is appended from now on and what is queued is dropped.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        self.closed.store(true, Ordering::Release);
        queue.clear();
        self.reader.notify_one();
    }

    /// Whether the assignment has ended.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Moves everything queued to the end of `into`.
    pub fn take(&self, into: &mut VecDeque<Delivery<T>>) {
        let mut queue = self.queue.lock();
        if into.is_empty() {
            std::mem::swap(&mut *queue, into);
        } else {
            into.append(&mut queue);
        }
    }

    /// Gives records back that have been folded or dropped, making room.
    pub fn give_back(&self, records: usize, bytes: usize) {
        self.records.fetch_sub(records, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Records and bytes that count against the capacity now.
    pub fn held(&self) -> (usize, usize) {
        (self.records.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire))
    }

    /// Whether another record may be appended.
    pub(crate) fn has_room(&self) -> bool {
        self.records.load(Ordering::Acquire) < self.capacity.records
            && self.bytes.load(Ordering::Acquire) < self.capacity.bytes
            && !self.is_closed()
    }

    /// Records that may still be appended.
    pub(crate) fn room(&self) -> usize {
        if self.has_room() {
            self.capacity.records.saturating_sub(self.records.load(Ordering::Acquire))
        } else {
            0
        }
    }

    /// Appends and wakes the reader; `chunk` is empty afterwards.
    pub fn append(&self, chunk: &mut Vec<Delivery<T>>) {
        if chunk.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        if self.is_closed() {
            chunk.clear();
            return;
        }
        self.records.fetch_add(chunk.len(), Ordering::AcqRel);
        self.bytes.fetch_add(chunk.iter().map(|d| d.bytes).sum(), Ordering::AcqRel);
        queue.extend(chunk.drain(..));
        drop(queue);
        self.reader.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed<u8> {
        let capacity = Capacity { records: 3, bytes: 100 };
        Feed::new(0, 1, capacity, Arc::new(Notify::new()))
    }

    fn delivery(offset: i64, bytes: usize) -> Delivery<u8> {
        Delivery { identity: Remembered { offset, timestamp_ms: 0, hash: 0 }, bytes, item: 0 }
    }

    #[test]
    fn what_was_taken_counts_until_it_is_given_back() {
        let feed = feed();
        feed.append(&mut vec![delivery(0, 10), delivery(1, 10), delivery(2, 10)]);
        let mut taken = VecDeque::new();
        feed.take(&mut taken);
        assert_eq!(taken.len(), 3);
        assert!(!feed.has_room());
        feed.give_back(1, 10);
        assert!(feed.has_room());
    }

    #[test]
    fn bytes_fill_a_feed_as_records_do() {
        let feed = feed();
        feed.append(&mut vec![delivery(0, 100)]);
        assert!(!feed.has_room());
    }

    #[test]
    fn a_closed_feed_takes_and_gives_nothing() {
        let feed = feed();
        feed.append(&mut vec![delivery(0, 1)]);
        feed.close();
        feed.append(&mut vec![delivery(1, 1)]);
        let mut taken = VecDeque::new();
        feed.take(&mut taken);
        assert!(taken.is_empty());
    }
}
