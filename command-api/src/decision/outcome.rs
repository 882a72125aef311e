//! What became of a command.

use axum::response::Response;

use super::aggregate::Aggregate;

/// What became of a command that was not refused.
pub struct Outcome<A: Aggregate> {
    /// The answer.
    pub response: Response,
    /// The state that it has left; `None` where the request was answered before.
    pub state: Option<A::State>,
}

impl<A: Aggregate> Outcome<A> {
    /// What the same request was answered before.
    pub(super) fn repeated(response: Response) -> Self {
        Self { response, state: None }
    }
}
