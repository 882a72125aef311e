//! What a decision appends, and why it is not appended.

use crate::beside::Beside;
use crate::claim::Claim;
use crate::event::Event;
use crate::request::NewRequest;
use crate::store::StoreError;

/// The fold of a stream's events, as its program wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The state as JSON.
    pub json: String,
    /// Which `evolve` folded it: with another number it is folded anew.
    pub revision: i32,
}

/// A decision.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub stream_id: String,
    /// The version that the decision was made on; 0 where there was no stream.
    pub expected_version: u64,
    /// At least one event, with versions from `expected_version + 1` on.
    pub events: Vec<Event>,
    /// The state after them.
    pub state: State,
    /// What becomes of the stream's claims.
    pub claims: Vec<Claim>,
    /// What is written beside the events.
    pub beside: Vec<Beside>,
    /// The request that asked for it, where its client named it.
    pub request: Option<NewRequest>,
}

/// Why a decision was not appended. Nothing of it is left, except where the outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream does not stand where the decision was made: decide again.
    #[error("the stream has moved on since it was read")]
    VersionMismatch,
    /// Another stream has a value.
    #[error("another stream has this {0}")]
    Taken(&'static str),
    /// A claim that was to be confirmed has lapsed, and its value is another stream's by now.
    #[error("the claim on this {0} has lapsed")]
    Lapsed(&'static str),
    /// A request of this name was answered meanwhile: its answer is in the store.
    #[error("the request was answered meanwhile")]
    Answered,
    /// The store takes nothing.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing may be decided on what the store has: it may have been set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It was not compared with the log since it began to run.
    #[error("the store was not compared with the log yet")]
    NotCompared,
    /// The log holds events that it does not know.
    #[error("the log holds {0} records that the store does not know")]
    LogAhead(u64),
    /// Its claims were made under another key, and protect nothing under this one.
    #[error("claims were made under another MILLRACE_TOKEN_SECRET")]
    OtherKey,
}

impl Closed {
    /// Why it is closed, if it is: `ahead` is what the log holds more, as far as that was counted.
    pub(crate) fn of(is_compared: bool, ahead: u64, is_our_key: bool) -> Option<Self> {
        match (is_compared, ahead, is_our_key) {
            (_, _, false) => Some(Self::OtherKey),
            (true, _, true) => None,
            (false, 0, true) => Some(Self::NotCompared),
            (false, ahead, true) => Some(Self::LogAhead(ahead)),
        }
    }
}
