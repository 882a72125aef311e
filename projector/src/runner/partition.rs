//! What a lane knows of one partition: plain data, without I/O or clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_schema::decode::{DecodeError, Decoder};
use kafka_io::consumer::{Delivery, Feed};
use kafka_io::ledger::{Ledger, LedgerError, Receipt, Remembered};
use telemetry::TraceParent;
use uuid::Uuid;

use super::decoding::{Decoded, Origin, Undecoded, UndecodedError};
use super::failure::Failure;
use super::plan::{Part, Room};
use super::positions::Move;
use super::{BatchLimits, Event};
use crate::letters::set_aside::Item;

/// Why a partition is not being folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is tried again at this time.
    Resting { until: Instant, failure: Failure },
    /// The position is not where it was left; it is read again by the owner of membership.
    Fenced,
    /// The registry is being asked what this schema id means.
    Asking { schema_id: u32 },
    /// It does not move until somebody acts.
    Halted { kind: String, reason: String, offset: Option<i64> },
}

struct Held<E> {
    item: Item<E>,
    identity: Remembered,
    bytes: usize,
    origin: Origin,
}

/// A record that nobody can judge yet, which stands before everything that arrived after it.
struct Blocked {
    undecoded: Box<Undecoded>,
    identity: Remembered,
    bytes: usize,
}

/// One assigned partition.
pub(super) struct Partition<E> {
    feed: Arc<Feed<Decoded<E>>>,
    ledger: Ledger,
    /// Under which the position is moved.
    assignment: Uuid,
    arrivals: VecDeque<Delivery<Decoded<E>>>,
    ready: VecDeque<Held<E>>,
    ready_bytes: usize,
    oldest: Option<Instant>,
    blocked: Option<Blocked>,
    stop: Option<Stop>,
    attempts: u32,
    limit: usize,
    alone: bool,
}

impl<E: Event> Partition<E> {
    pub(super) fn new(feed: Arc<Feed<Decoded<E>>>, ledger: Ledger, assignment: Uuid) -> Self {
        Self {
            feed,
            ledger,
            assignment,
            arrivals: VecDeque::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            oldest: None,
            blocked: None,
            stop: None,
            attempts: 0,
            limit: usize::MAX,
            alone: false,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.feed.epoch()
    }

    pub(super) fn position(&self) -> i64 {
        self.ledger.position()
    }

    pub(super) fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.feed.is_closed()
    }

    /// Attempts that have failed for reasons that pass, one after the other.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether a batch of this partition is tried without others, because one with others failed.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// When the oldest record that waits arrived.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.oldest
    }

    /// Log time of the oldest record that is not folded, in milliseconds.
    pub(super) fn oldest_log_time_ms(&self) -> Option<i64> {
        let ready = self.ready.front().map(|held| held.identity.timestamp_ms);
        ready.or_else(|| self.blocked.as_ref().map(|blocked| blocked.identity.timestamp_ms))
    }

    /// Whether enough waits to be folded alone.
    pub(super) fn is_full(&self, limits: &BatchLimits) -> bool {
        self.ready.len() >= limits.records.min(self.limit) || self.ready_bytes >= limits.bytes
    }

    /// Whether there is something to fold and nothing in the way.
    pub(super) fn can_fold(&self, now: Instant) -> bool {
        let waits = match &self.stop {
            None => false,
            Some(Stop::Resting { until, .. }) => *until > now,
            Some(Stop::Fenced | Stop::Asking { .. } | Stop::Halted { .. }) => true,
        };
        !self.ready.is_empty() && !waits && !self.has_ended()
    }

    /// When a rest ends.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        match &self.stop {
            Some(Stop::Resting { until, .. }) if !self.ready.is_empty() => Some(*until),
            _ => None,
        }
    }

    /// Takes what has arrived, up to the first record that nobody can judge yet.
    pub(super) fn take_arrivals(&mut self, now: Instant) {
        if matches!(self.stop, Some(Stop::Halted { .. } | Stop::Fenced)) {
            return;
        }
        self.feed.take(&mut self.arrivals);
        while self.blocked.is_none()
            && let Some(delivery) = self.arrivals.pop_front()
        {
            match self.ledger.receive(delivery.identity) {
                Ok(Receipt::Fresh) => self.hold(delivery, now),
                Ok(Receipt::Verified | Receipt::Folded) => self.feed.give_back(1, delivery.bytes),
                Err(error) => return self.halt_on_ledger(&error, delivery.identity.offset),
            }
        }
        self.stop_at_blocked();
    }

    fn hold(&mut self, delivery: Delivery<Decoded<E>>, now: Instant) {
        let Delivery { identity, bytes, item } = delivery;
        match item {
            Decoded::Event(record, origin) => {
                self.push(Item::Event(record), identity, bytes, origin, now);
            }
            Decoded::Undecoded(undecoded) => match undecoded.error.value() {
                Some(DecodeError::UnknownSchemaId(_) | DecodeError::NewerVersion { .. }) => {
                    self.blocked = Some(Blocked { undecoded, identity, bytes });
                }
                _ => {
                    let (aside, origin) = undecoded.set_aside();
                    self.push(Item::SetAside(aside, None), identity, bytes, origin, now);
                }
            },
        }
    }

    fn push(
        &mut self,
        item: Item<E>,
        identity: Remembered,
        bytes: usize,
        origin: Origin,
        now: Instant,
    ) {
        self.oldest.get_or_insert(now);
        self.ready_bytes += bytes;
        self.ready.push_back(Held { item, identity, bytes, origin });
    }

    /// A record that waits for a schema, or for a newer program, stops the partition once everything
    /// before it is folded.
    fn stop_at_blocked(&mut self) {
        let Some(Blocked { undecoded, identity, .. }) = &self.blocked else { return };
        if !self.ready.is_empty() || self.stop.is_some() {
            return;
        }
        self.stop = Some(match &undecoded.error {
            UndecodedError::Value(DecodeError::UnknownSchemaId(id)) => {
                Stop::Asking { schema_id: *id }
            }
            error => Stop::Halted {
                kind: error.kind().to_owned(),
                reason: error.to_string(),
                offset: Some(identity.offset),
            },
        });
    }

    /// Decodes the blocking record again, now that the decoder knows more.
    pub(super) fn decode_again(&mut self, decoder: &Decoder<E>, now: Instant) {
        let Some(Blocked { mut undecoded, identity, bytes }) = self.blocked.take() else {
            return;
        };
        self.stop = None;
        match undecoded.decode_again(decoder) {
            Ok(record) => {
                let item = Decoded::Event(record, undecoded.origin);
                self.hold(Delivery { identity, bytes, item }, now);
                self.take_arrivals(now);
            }
            Err(error) => {
                undecoded.error = error;
                self.blocked = Some(Blocked { undecoded, identity, bytes });
                self.stop_at_blocked();
            }
        }
    }

    /// Nobody knows the schema of the blocking record: it is set aside.
    pub(super) fn set_blocked_aside(&mut self, now: Instant) {
        if let Some(Blocked { undecoded, identity, bytes }) = self.blocked.take() {
            self.stop = None;
            let (aside, origin) = undecoded.set_aside();
            self.push(Item::SetAside(aside, None), identity, bytes, origin, now);
            self.take_arrivals(now);
        }
    }

    /// The first records to fold, as many as there is room for within the byte limit, and the move
    /// that folding them makes. Where there is room for any, one is taken whatever its size.
    pub(super) fn batch(&self, room: Room, limits: &BatchLimits) -> Option<Part> {
        let most = room.records.min(self.limit).min(limits.records);
        let (mut count, mut bytes, mut letters) = (0_usize, 0, 0);
        for held in self.ready.iter().take(most) {
            let letters_then = letters + usize::from(held.item.set_aside().is_some());
            let is_too_much = count > 0 && bytes + held.bytes > limits.bytes;
            if is_too_much || letters_then > room.letters {
                break;
            }
            (count, bytes, letters) = (count + 1, bytes + held.bytes, letters_then);
        }
        let last = self.ready.get(count.checked_sub(1)?)?.identity;
        let advance = self.ledger.advance_past(last);
        let moved = Move { partition: self.feed.partition(), assignment: self.assignment, advance };
        Some(Part { count, letters, moved })
    }

    pub(super) fn items(&self, count: usize) -> impl Iterator<Item = &Item<E>> {
        self.ready.iter().take(count).map(|held| &held.item)
    }

    /// What the first records are part of, by their offsets, as far as they say.
    pub(super) fn origins(&self, count: usize) -> impl Iterator<Item = (i64, &TraceParent)> {
        let ready = self.ready.iter().take(count);
        ready.filter_map(|held| Some((held.identity.offset, held.origin.as_deref()?)))
    }

    /// Accounts for a committed batch and returns its records.
    pub(super) fn folded(&mut self, count: usize, moved: &Move, now: Instant) -> Vec<Item<E>> {
        let mut bytes = 0;
        let records = self
            .ready
            .drain(..count)
            .map(|held| {
                bytes += held.bytes;
                held.item
            })
            .collect();
        self.ledger.advanced(moved.advance);
        self.ready_bytes -= bytes;
        self.feed.give_back(count, bytes);
        self.oldest = (!self.ready.is_empty()).then_some(now);
        self.limit = self.limit.saturating_mul(2);
        (self.stop, self.attempts, self.alone) = (None, 0, false);
        self.stop_at_blocked();
        records
    }

    /// The batch failed together with other partitions' records: it is tried without them.
    pub(super) fn retry_alone(&mut self) {
        self.alone = true;
    }

    /// The position is not where it was left.
    pub(super) fn fenced(&mut self) {
        self.stop = Some(Stop::Fenced);
    }

    /// The batch failed for a reason that passes: rests, longer each time.
    pub(super) fn rest(&mut self, failure: Failure, now: Instant, jitter: f64) {
        let rest = backoff(self.attempts, jitter);
        self.attempts += 1;
        self.stop = Some(Stop::Resting { until: now + rest, failure });
    }

    /// One of the first `count` records is at fault: halves the batch until it is found, then sets
    /// it aside.
    pub(super) fn narrow(&mut self, count: usize, failure: &Failure) {
        if count > 1 {
            self.limit = count / 2;
        } else if let Some(offset) = self.ready.front().map(|held| held.identity.offset) {
            self.blame(offset, failure);
        }
    }

    /// The record at `offset` is at fault: it is set aside, and the others are folded.
    pub(super) fn blame(&mut self, offset: i64, failure: &Failure) {
        let Ok(at) = self.ready.binary_search_by_key(&offset, |held| held.identity.offset) else {
            return;
        };
        if let Some(Held { item, identity, bytes, origin }) = self.ready.remove(at) {
            let item = item.blamed(failure.clone());
            self.ready.insert(at, Held { item, identity, bytes, origin });
        }
    }

    /// Does not move until somebody acts.
    pub(super) fn halt(&mut self, kind: &str, reason: String, offset: Option<i64>) {
        self.stop = Some(Stop::Halted { kind: kind.to_owned(), reason, offset });
    }

    fn halt_on_ledger(&mut self, error: &LedgerError, offset: i64) {
        self.halt(error.kind(), error.to_string(), Some(offset));
    }
}

/// 50 ms doubling to 5 s, between half and the whole of it.
pub(super) fn backoff(attempts: u32, jitter: f64) -> Duration {
    let ceiling = Duration::from_millis(50).saturating_mul(1 << attempts.min(7));
    ceiling.min(Duration::from_secs(5)).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
#[path = "partition_samples.rs"]
pub(super) mod samples;

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
