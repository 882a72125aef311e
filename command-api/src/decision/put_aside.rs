//! What is asked for and decided later: it is kept, and nothing happens yet.

use event_store::EventStore;
use event_store::pending_registration::NewRegistration;
use problem_details::Problem;

use super::{Commands, closed};
use crate::occurrence;

impl<S: EventStore> Commands<S> {
    /// Keeps a registration until somebody has shown that the address is theirs.
    ///
    /// # Errors
    /// The store does not answer, or has hashed addresses with another secret than this process has.
    pub(crate) async fn put_aside(&self, registration: NewRegistration) -> Result<(), Problem> {
        let kept = self.0.store.keep_registration(registration).await.map_err(closed::problem);
        kept.inspect(|()| occurrence::decided("put_aside")).inspect_err(occurrence::not_decided)
    }
}
