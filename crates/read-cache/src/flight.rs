//! One load at a time for each key of a process, and who may share what it found.
//!
//! A load that began before a read asked may have seen less than the asker has: a newer row may
//! have become visible in between, through another path. So a read shares what a load found only
//!
//! - if the load **began after it asked**, or
//! - if Redis took the load's body for its live lease, in a call that was **sent after it asked**, while
//!   the trust key stood: no commit had begun since the lease was granted, and what was loaded is
//!   still the newest, exactly as for a hit at that moment.
//!
//! Every read takes a ticket when it asks. A load notes the tickets given out when it begins, and
//! again when it is about to fill; what it found covers the tickets up to one or the other. Whoever
//! is not covered waits for the next load, which begins after it asked: nobody waits for more than
//! two. A load whose future is dropped ends; one of those who wait loads instead, and takes over
//! its lease.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{MutexGuard, watch};

use crate::key::CacheKey;
use crate::reader::Lease;

/// What is being loaded.
pub(crate) struct Flights<T> {
    by_key: Mutex<HashMap<CacheKey, Boarding<T>>>,
}

/// A flight with the number of its seats: without any it is over.
struct Boarding<T> {
    flight: Arc<Flight<T>>,
    seats: usize,
}

struct Flight<T> {
    tickets: AtomicU64,
    /// Held by who loads; the lease of a load that was dropped stays in it.
    lead: tokio::sync::Mutex<Option<Lease>>,
    landed: watch::Sender<Landed<T>>,
}

struct Landed<T> {
    covers: u64,
    found: Option<T>,
}

/// A read that waits for its turn.
pub(crate) struct Seat<'a, T> {
    flights: &'a Flights<T>,
    key: &'a CacheKey,
    flight: Arc<Flight<T>>,
    ticket: u64,
}

/// What a read has waited for.
pub(crate) enum Turn<'a, T> {
    /// Another read's load covers it.
    Shared(T),
    /// It has to load.
    Lead(Lead<'a, T>),
}

/// The right to load. Dropped, it goes to the next one who waits.
pub(crate) struct Lead<'a, T> {
    flight: &'a Flight<T>,
    covers: u64,
    pub(crate) lease: MutexGuard<'a, Option<Lease>>,
}

impl<T: Clone> Flights<T> {
    pub(crate) fn new() -> Self {
        Self { by_key: Mutex::new(HashMap::new()) }
    }

    /// Asks for what is at a key.
    pub(crate) fn join<'a>(&'a self, key: &'a CacheKey) -> Seat<'a, T> {
        let mut by_key = self.by_key.lock();
        let boarding = match by_key.get_mut(key) {
            Some(boarding) => boarding,
            None => by_key.entry(key.clone()).or_insert_with(Boarding::empty),
        };
        boarding.seats += 1;
        let flight = boarding.flight.clone();
        let ticket = flight.tickets.fetch_add(1, Ordering::AcqRel) + 1;
        Seat { flights: self, key, flight, ticket }
    }

    /// Keys that are being loaded.
    pub(crate) fn len(&self) -> usize {
        self.by_key.lock().len()
    }
}

impl<T> Boarding<T> {
    fn empty() -> Self {
        Self { flight: Flight::new(), seats: 0 }
    }
}

impl<T> Flight<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            tickets: AtomicU64::new(0),
            lead: tokio::sync::Mutex::new(None),
            landed: watch::Sender::new(Landed { covers: 0, found: None }),
        })
    }

    fn asked(&self) -> u64 {
        self.tickets.load(Ordering::Acquire)
    }
}

impl<T: Clone> Flight<T> {
    fn found_for(&self, ticket: u64) -> Option<T> {
        let landed = self.landed.borrow();
        if landed.covers >= ticket { landed.found.clone() } else { None }
    }
}

impl<T: Clone> Seat<'_, T> {
    /// Waits until a load covers this read, or nobody loads.
    pub(crate) async fn turn(&self) -> Turn<'_, T> {
        let mut landed = self.flight.landed.subscribe();
        let covered = async {
            let landed = landed.wait_for(|landed| landed.covers >= self.ticket).await.ok()?;
            landed.found.clone()
        };
        let lease = tokio::select! {
            // Who is covered does not queue up to be told so.
            biased;
            Some(found) = covered => return Turn::Shared(found),
            lease = self.flight.lead.lock() => lease,
        };
        match self.flight.found_for(self.ticket) {
            Some(found) => Turn::Shared(found),
            None => Turn::Lead(Lead { flight: &self.flight, covers: self.flight.asked(), lease }),
        }
    }
}

impl<T> Lead<'_, T> {
    /// The tickets given out so far: to be noted before a fill is sent.
    pub(crate) fn asked(&self) -> u64 {
        self.flight.asked()
    }

    /// Tells what was found to the reads that it covers: those that asked before the load began, or
    /// up to `verified`, what [`Self::asked`] said before the fill that Redis took.
    pub(crate) fn land(mut self, found: T, verified: Option<u64>) {
        *self.lease = None;
        let covers = verified.unwrap_or(0).max(self.covers);
        self.flight.landed.send_replace(Landed { covers, found: Some(found) });
    }
}

impl<T> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        let mut by_key = self.flights.by_key.lock();
        let Some(boarding) = by_key.get_mut(self.key) else { return };
        boarding.seats -= 1;
        if boarding.seats == 0 {
            by_key.remove(self.key);
        }
    }
}

#[cfg(test)]
#[path = "flight_tests.rs"]
mod tests;
