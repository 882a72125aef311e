//! Whether the brokers take records: what the client says of them and whether acknowledgements
//! come. Plain data; the caller brings the time.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Why records are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No broker has answered since the start.
    #[error("no broker has answered yet")]
    Connecting,
    /// The connections to all brokers are down.
    #[error("no broker can be reached")]
    BrokersDown,
    /// Records ran out of time, and no broker has answered since.
    #[error("the brokers do not answer")]
    NoAnswer,
    /// Records wait, and for a while none was acknowledged.
    #[error("the brokers acknowledge nothing")]
    Stalled,
}

const UP: u8 = 0;
const CONNECTING: u8 = 1;
const BROKERS_DOWN: u8 = 2;
const NO_ANSWER: u8 = 3;

/// The state, read by every send and written by the client's thread.
pub(super) struct Availability {
    origin: Instant,
    stall_timeout: Duration,
    connection: AtomicU8,
    waiting: AtomicU64,
    /// When something was acknowledged last, or the first of the waiting records was queued:
    /// microseconds since `origin`.
    progress: AtomicU64,
}

impl Availability {
    pub(super) fn new(now: Instant, stall_timeout: Duration) -> Self {
        Self {
            origin: now,
            stall_timeout,
            connection: AtomicU8::new(CONNECTING),
            waiting: AtomicU64::new(0),
            progress: AtomicU64::new(0),
        }
    }

    /// Whether a record may be queued now.
    pub(super) fn check(&self, now: Instant) -> Result<(), Unavailable> {
        let is_stalled = self.is_stalled(now);
        match self.connection.load(Ordering::Relaxed) {
            CONNECTING => Err(Unavailable::Connecting),
            BROKERS_DOWN => Err(Unavailable::BrokersDown),
            NO_ANSWER => Err(Unavailable::NoAnswer),
            _ if is_stalled => Err(Unavailable::Stalled),
            _ => Ok(()),
        }
    }

    fn is_stalled(&self, now: Instant) -> bool {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return false;
        }
        let since = Duration::from_micros(self.progress.load(Ordering::Relaxed));
        now.saturating_duration_since(self.origin).saturating_sub(since) >= self.stall_timeout
    }

    /// A record goes to the queue.
    pub(super) fn queued(&self, now: Instant) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.progressed(now);
        }
    }

    /// The record announced by [`Self::queued`] was not taken.
    pub(super) fn not_queued(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// A queued record was acknowledged.
    pub(super) fn acknowledged(&self, now: Instant) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.progressed(now);
    }

    /// A queued record failed; `timed_out` when no broker said so.
    pub(super) fn failed(&self, timed_out: bool) {
        // In this order, or a stall would seem to end for a moment.
        if timed_out {
            self.leave_up(NO_ANSWER);
        }
        self.waiting.fetch_sub(1, Ordering::Release);
    }

    /// The client lost its last connection.
    pub(super) fn brokers_down(&self) {
        self.leave_up(BROKERS_DOWN);
    }

    /// A broker answered.
    pub(super) fn answered(&self) {
        self.connection.store(UP, Ordering::Relaxed);
    }

    /// Records whose outcome is open.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether only a broker's answer can make records taken again.
    pub(super) fn needs_answer(&self) -> bool {
        self.connection.load(Ordering::Relaxed) != UP
    }

    fn leave_up(&self, to: u8) {
        // The first reason stands: a later one only says the same in other words.
        let _ = self.connection.compare_exchange(UP, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn progressed(&self, now: Instant) {
        let micros = now.saturating_duration_since(self.origin).as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        self.progress.fetch_max(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(2);

    fn answered() -> (Availability, Instant) {
        let start = Instant::now();
        let availability = Availability::new(start, STALL);
        availability.answered();
        (availability, start)
    }

    #[test]
    fn nothing_is_taken_before_a_broker_has_answered() {
        let start = Instant::now();
        let availability = Availability::new(start, STALL);
        assert_eq!(availability.check(start), Err(Unavailable::Connecting));
        availability.answered();
        assert_eq!(availability.check(start), Ok(()));
    }

    #[test]
    fn a_lost_connection_refuses_until_a_broker_answers() {
        let (availability, start) = answered();
        availability.brokers_down();
        assert_eq!(availability.check(start), Err(Unavailable::BrokersDown));
        availability.answered();
        assert_eq!(availability.check(start), Ok(()));
    }

    #[test]
    fn an_idle_producer_is_never_stalled() {
        let (availability, start) = answered();
        assert_eq!(availability.check(start + 100 * STALL), Ok(()));
        availability.queued(start + 100 * STALL);
        assert_eq!(availability.check(start + 100 * STALL), Ok(()));
    }

    #[test]
    fn records_that_wait_without_any_acknowledgement_are_a_stall() {
        let (availability, start) = answered();
        availability.queued(start);
        availability.queued(start + STALL / 2);
        assert_eq!(availability.check(start + STALL), Err(Unavailable::Stalled));
        availability.acknowledged(start + STALL);
        assert_eq!(availability.check(start + STALL + STALL / 2), Ok(()));
        assert_eq!(availability.check(start + 2 * STALL), Err(Unavailable::Stalled));
    }

    #[test]
    fn after_records_timed_out_only_an_answer_opens_the_queue() {
        let (availability, start) = answered();
        availability.queued(start);
        availability.failed(true);
        assert_eq!(availability.waiting(), 0);
        assert_eq!(availability.check(start), Err(Unavailable::NoAnswer));
        availability.answered();
        assert_eq!(availability.check(start), Ok(()));
    }

    #[test]
    fn an_error_that_a_broker_answered_closes_nothing() {
        let (availability, start) = answered();
        availability.queued(start);
        availability.failed(false);
        assert_eq!(availability.check(start), Ok(()));
    }

    #[test]
    fn a_record_that_was_not_taken_waits_for_nothing() {
        let (availability, start) = answered();
        availability.queued(start);
        availability.not_queued();
        assert_eq!(availability.waiting(), 0);
        assert_eq!(availability.check(start + STALL), Ok(()));
    }
}
