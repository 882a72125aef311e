//! What is asked for and decided later: it is kept with the answer, and nothing happens yet.

use axum::response::Response;
use event_store::pending_registration::NewRegistration;
use event_store::{AppendError, EventStore};
use problem_details::Problem;

use super::aggregate::Aggregate;
use super::answer::Answer;
use super::request::Asked;
use super::{Commands, closed, repeat};

impl<S: EventStore> Commands<S> {
    /// Keeps a registration until somebody has shown that the address is theirs. A request of the same name is answered
    /// the same, and keeps nothing.
    ///
    /// # Errors
    /// It was another request of the same name, or the store does not answer.
    pub(crate) async fn put_aside<A: Aggregate>(
        &self,
        asked: &Asked<'_>,
        registration: NewRegistration,
        answer: Answer,
    ) -> Result<Response, Problem> {
        // There is nobody yet whose key could seal it: it shows nothing of them.
        let request = asked.named.as_ref().map(|named| repeat::request(named, &answer, None));
        match self.0.store.keep_registration(registration, request).await {
            Ok(()) => Ok(answer.respond_plainly()),
            Err(AppendError::Answered) => Ok(self.repeated_now::<A>(asked).await?.response),
            Err(error) => Err(closed::problem(error)),
        }
    }
}
