//! Requests that their client named by an `Idempotency-Key`: the first one's answer is that of all.

use crate::claim::Digest;

/// What names a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// Whose request it is; keys of different principals have nothing to do with each other.
    pub principal: String,
    /// What the client called it.
    pub key: String,
}

/// A request that is answered with a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// What names it.
    pub key: RequestKey,
    /// Method and path.
    pub route: String,
    /// A keyed hash of its body.
    pub body_hash: Digest,
    /// Whose personal fields the answer holds, if it holds any: erasing them takes it away.
    pub subject: Option<String>,
    /// The answer, as its caller reads it again; sealed where it has a subject.
    pub answer: Vec<u8>,
}

/// A request that was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredRequest {
    /// Method and path.
    pub route: String,
    /// A keyed hash of its body; `None` once its subject was erased.
    pub body_hash: Option<Digest>,
    /// Whose personal fields the answer holds.
    pub subject: Option<String>,
    /// The answer; `None` once its subject was erased.
    pub answer: Option<Vec<u8>>,
    /// The last event of its decision; `None` where it decided nothing.
    pub event: Option<(String, u64)>,
}
