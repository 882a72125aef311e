//! Who is to be charged: in rows of fixed length, so that many threads seldom meet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::slot::Counted;

/// Whoever is let through may put a caller in, from any thread at any time: with one row, hence one lock, requests
/// of different callers would wait for each other.
const ROWS: usize = 16;

pub(crate) struct Outbox {
    rows: Box<[Mutex<VecDeque<Counted>>]>,
    /// Of each row.
    room: usize,
    /// The row that is emptied first.
    next: AtomicUsize,
}

impl Outbox {
    /// Room for about this many callers.
    pub(crate) fn new(callers: usize) -> Self {
        let room = callers.div_ceil(ROWS);
        let row = |_| Mutex::new(VecDeque::with_capacity(room));
        Self { rows: (0..ROWS).map(row).collect(), room, next: AtomicUsize::new(0) }
    }

    /// Puts a caller in; false where there is no room.
    pub(crate) fn push(&self, counted: Counted) -> bool {
        let number = (counted.key.0 >> 64) as usize % self.rows.len();
        let mut row = self.rows[number].lock();
        let has_room = row.len() < self.room;
        if has_room {
            row.push_back(counted);
        }
        has_room
    }

    /// Takes so many out at most, in no order across rows.
    pub(crate) fn take(&self, most: usize) -> Vec<Counted> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut taken = Vec::new();
        for number in 0..self.rows.len() {
            let mut row = self.rows[(first + number) % self.rows.len()].lock();
            let count = row.len().min(most - taken.len());
            taken.extend(row.drain(..count));
        }
        taken
    }
}
