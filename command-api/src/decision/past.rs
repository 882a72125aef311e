//! What something was, as its events tell.

use event_schema::personal::SubjectKey;
use event_store::EventStore;
use problem_details::Problem;
use uuid::Uuid;

use super::aggregate::{Aggregate, stream_id, subject};
use super::{Commands, closed, loaded};

impl<S: EventStore> Commands<S> {
    /// The state of a thing before the last of its events, up to a version, that is of some kind; `None` where
    /// it has none, or was nothing before.
    ///
    /// # Errors
    /// The store does not answer, or what is known cannot be read any more.
    pub async fn before<A: Aggregate>(
        &self,
        id: Uuid,
        version: u64,
        is_the_one: impl Fn(&A::Sealed) -> bool + Send,
    ) -> Result<Option<A::State>, Problem> {
        let deciding = self.deciding();
        let known = deciding.known.get().ok_or_else(closed::not_ready)?;
        let ids: Vec<_> = known.of_family(A::FAMILY).known_ids().collect();
        let history = deciding.store.history(&stream_id::<A>(id)).await;
        let history = history.map_err(closed::store_problem)?;
        let key = match subject::<A>(id) {
            Some(subject) => deciding.store.subject_key(&subject).await,
            None => Ok(None),
        };
        let key = key.map_err(closed::store_problem)?.flatten().map(SubjectKey::from_bytes);
        let (mut state, mut before) = (None, None);
        for event in history.iter().take_while(|event| event.version <= version) {
            let event = A::decode(&ids, &event.value).ok_or_else(loaded::unreadable)?;
            if is_the_one(&event) {
                before.clone_from(&state);
            }
            state = A::evolve(state, event);
        }
        let open = |stored| A::open(stored, key.as_ref()).ok_or_else(loaded::unreadable);
        before.map(open).transpose()
    }
}
