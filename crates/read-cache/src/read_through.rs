//! A read from Redis or, where it does not know, from Postgres: lease, load, fill.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::failpoint;
use crate::flight::{Flights, Turn};
use crate::key::{CacheKey, TrustKey};
use crate::outcome::{Forward, Outcome};
use crate::reader::{Leased, Read, Reader};
use crate::value::Body;

/// What a reader gets: a row, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// The row as readers get it.
    Found {
        /// Its version.
        version: u64,
        /// Its JSON.
        json: Bytes,
    },
    /// There is no row.
    Missing,
}

/// What is read, and how long it may stand in Redis.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its key.
    pub key: CacheKey,
    /// The trust key of its partition.
    pub trust: TrustKey,
    /// How long a row may stand: the net below the protocol, not the protocol.
    pub ttl: Duration,
    /// How long it may stand that there is none: seconds.
    pub missing_ttl: Duration,
}

/// A row and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The row.
    pub row: Row,
    /// What the cache did.
    pub outcome: Outcome,
}

/// Reads through the cache; one load at a time for each key. `E` is what a load can fail with.
pub struct ReadThrough<E> {
    reader: Arc<Reader>,
    flights: Flights<Result<Answer, E>>,
}

impl<E: Clone> ReadThrough<E> {
    /// Reads with this reader, which others may share.
    pub fn new(reader: Arc<Reader>) -> Self {
        Self { reader, flights: Flights::new() }
    }

    /// The row: from Redis if a trusted body stands there, else from `load`, which reads the
    /// primary. Never older than what anybody has been shown before this was called: see
    /// the rule of sharing in the crate's page. May be dropped at any time.
    ///
    /// # Errors
    /// What the load failed with; shared by the reads that asked before it began.
    pub async fn get<L, F>(&self, entry: &Entry, load: L) -> Result<Answer, E>
    where
        L: FnOnce() -> F,
        F: Future<Output = Result<Row, E>>,
    {
        match self.reader.read(&entry.key, &entry.trust).await {
            Read::Hit(body) => Ok(hit(body)),
            // Boxed: a hit need not carry what a load needs.
            Read::Miss(why) => Box::pin(self.load(entry, load, why)).await,
        }
    }

    /// Loads a row that Redis does not know, or takes part in the load of another read.
    async fn load<L, F>(&self, entry: &Entry, load: L, why: Forward) -> Result<Answer, E>
    where
        L: FnOnce() -> F,
        F: Future<Output = Result<Row, E>>,
    {
        let seat = self.flights.join(&entry.key);
        let mut lead = match seat.turn().await {
            Turn::Shared(found) => return found.map(collapsed),
            Turn::Lead(lead) => lead,
        };
        // The lease stays with the flight: if this future is dropped, the next one fills for it.
        if lead.lease.is_none() && why != Forward::Bypass {
            match self.reader.lease(&entry.key, &entry.trust).await {
                Leased::Granted(lease) => {
                    *lead.lease = Some(lease);
                    failpoint!("fill/lease-held");
                }
                Leased::Hit(body) => {
                    let found = hit(body);
                    lead.land(Ok(found.clone()), None);
                    return Ok(found);
                }
                Leased::Refused | Leased::Bypass => {}
            }
        }
        let row = match load().await {
            Ok(row) => row,
            Err(error) => {
                if let Some(lease) = &*lead.lease {
                    self.reader.give_back(&entry.key, lease).await;
                }
                lead.land(Err(error.clone()), None);
                return Err(error);
            }
        };
        let asked = lead.asked();
        let stored = match &*lead.lease {
            Some(lease) => {
                failpoint!("fill/loaded");
                let (body, ttl) = match &row {
                    Row::Found { version, json } => ((*version, json.clone()), entry.ttl),
                    Row::Missing => ((0, Bytes::new()), entry.missing_ttl),
                };
                self.reader.fill(&entry.key, &entry.trust, lease, body, ttl).await
            }
            None => false,
        };
        if stored {
            failpoint!("fill/filled");
        }
        let outcome = Outcome::Forwarded { why, stored, collapsed: false };
        let found = Answer { row, outcome };
        lead.land(Ok(found.clone()), stored.then_some(asked));
        Ok(found)
    }

    /// Keys that are being loaded.
    pub fn loading(&self) -> usize {
        self.flights.len()
    }
}

fn hit(body: Body) -> Answer {
    let row = if body.is_missing() {
        Row::Missing
    } else {
        Row::Found { version: body.version, json: body.json }
    };
    Answer { row, outcome: Outcome::Hit }
}

fn collapsed(answer: Answer) -> Answer {
    let outcome = match answer.outcome {
        Outcome::Hit => Outcome::Hit,
        Outcome::Forwarded { why, stored, .. } => {
            Outcome::Forwarded { why, stored, collapsed: true }
        }
    };
    Answer { outcome, ..answer }
}
