//! A stream as a command finds it.

use event_schema::personal::SubjectKey;
use event_store::{EventStore, Found, State, StoredStream};
use problem_details::{Problem, ProblemType};
use uuid::Uuid;

use super::aggregate::{Aggregate, stream_id, subject};
use super::answer::Settled;
use super::request::Asked;
use super::{CommandOf, Deciding, Refusal, closed};

/// A stream with its state.
pub(super) struct Loaded<A: Aggregate> {
    pub(super) id: Uuid,
    pub(super) stream_id: String,
    /// 0 where there is no stream.
    pub(super) version: u64,
    pub(super) last_event_id: Option<Uuid>,
    pub(super) stored: Option<A::Stored>,
    pub(super) state: Option<A::State>,
    /// Whether the state lacks what it says of a person, because their key is lost: they can be erased,
    /// and nothing else.
    pub(super) is_unreadable: bool,
    pub(super) key: Option<SubjectKey>,
}

impl<A: Aggregate> Loaded<A> {
    pub(super) async fn load<S: EventStore>(
        deciding: &Deciding<S>,
        id: Uuid,
    ) -> Result<Self, Problem> {
        let (stream_id, subject) = (stream_id::<A>(id), subject::<A>(id));
        let found = deciding.store.load(&stream_id, subject.as_deref()).await;
        Self::of_found(deciding, id, found.map_err(closed::store_problem)?).await
    }

    /// The same of what was found.
    pub(super) async fn of_found<S: EventStore>(
        deciding: &Deciding<S>,
        id: Uuid,
        Found { closed, stream }: Found,
    ) -> Result<Self, Problem> {
        if let Some(closed) = closed {
            return Err(closed::closed_problem(closed));
        }
        let Some(stream) = stream else { return Ok(Self::nothing(id)) };
        let stream_id = stream_id::<A>(id);
        let stored = match of_revision::<A>(&stream) {
            Some(stored) => stored,
            None => {
                let folded = refold::<A, S>(deciding, &stream_id, stream.version).await?;
                keep::<A, S>(deciding, &stream_id, stream.version, &folded).await;
                folded
            }
        };
        let key = stream.subject_key.map(SubjectKey::from_bytes);
        let (state, is_unreadable) = match A::open(stored.clone(), key.as_ref()) {
            Some(state) => (state, false),
            None => (A::without_texts(stored.clone()), true),
        };
        Ok(Self {
            id,
            stream_id,
            version: stream.version,
            last_event_id: Some(stream.last_event_id),
            stored: Some(stored),
            state: Some(state),
            is_unreadable,
            key,
        })
    }

    /// What is loaded where there is no stream.
    pub(super) fn nothing(id: Uuid) -> Self {
        Self {
            id,
            stream_id: stream_id::<A>(id),
            version: 0,
            last_event_id: None,
            stored: None,
            state: None,
            is_unreadable: false,
            key: None,
        }
    }

    /// What follows from the command, if the caller decides upon this version.
    pub(super) fn decide(
        &self,
        asked: &Asked<'_>,
        command: impl CommandOf<A>,
        is_erasure: bool,
    ) -> Result<Vec<A::Event>, Problem> {
        if self.is_unreadable && !is_erasure {
            return Err(unreadable());
        }
        // Whoever does not exist has no version to be mistaken about.
        if self.version > 0 {
            asked.expected.must_allow(self.version)?;
        }
        let events = command.decide(self.state.as_ref()).map_err(Refusal::refuse)?;
        asked.expected.must_allow(self.version)?;
        Ok(events)
    }

    /// The person that it is about, with their key.
    pub(super) fn person(&self) -> Option<(String, SubjectKey)> {
        let key = self.key.as_ref().map(|key| SubjectKey::from_bytes(*key.as_bytes()));
        subject::<A>(self.id).zip(key)
    }

    /// The state with the version of the stream, where there is one.
    ///
    /// # Errors
    /// What it says of a person cannot be read any more.
    pub(super) fn readable(self) -> Result<Option<(A::State, u64)>, Problem> {
        if self.is_unreadable {
            return Err(unreadable());
        }
        Ok(self.state.map(|state| (state, self.version)))
    }

    /// The state and its last event, where there is one.
    pub(super) fn standing(&self) -> Option<(&A::State, Settled)> {
        let settled = Settled {
            stream_id: self.stream_id.clone(),
            version: self.version,
            event_id: self.last_event_id?,
            place: None,
        };
        Some((self.state.as_ref()?, settled))
    }
}

/// The state as it was stored, if today's `evolve` folded it.
fn of_revision<A: Aggregate>(stream: &StoredStream) -> Option<A::Stored> {
    (stream.state.revision == A::REVISION).then(|| A::read_state(&stream.state.json)).flatten()
}

/// The state, folded anew from the events up to a version.
async fn refold<A: Aggregate, S: EventStore>(
    deciding: &Deciding<S>,
    stream_id: &str,
    version: u64,
) -> Result<A::Stored, Problem> {
    let known = deciding.known.get().ok_or_else(closed::not_ready)?;
    let ids: Vec<_> = known.of_family(A::FAMILY).known_ids().collect();
    let history = deciding.store.history(stream_id).await.map_err(closed::store_problem)?;
    tracing::debug!(stream.id = stream_id, stream.version = version, "state folded anew");
    // Events that came since the version was read are not part of it.
    let events = history.iter().take_while(|event| event.version <= version);
    events
        .map(|event| A::decode(&ids, &event.value))
        .try_fold(None, |state, event| Some(A::evolve(state, event?)))
        .flatten()
        .ok_or_else(unreadable)
}

/// Keeps a state that was folded anew, so that nobody folds it again, and no stranger tells by the time whose state is
/// of another revision: who only logs in decides nothing by which it would be written. Where it is not kept, the next
/// one does it.
async fn keep<A: Aggregate, S: EventStore>(
    deciding: &Deciding<S>,
    stream_id: &str,
    version: u64,
    folded: &A::Stored,
) {
    let state = State { json: A::write_state(folded), revision: A::REVISION };
    if let Err(error) = deciding.store.replace_state(stream_id, version, &state).await {
        let error = &error as &(dyn std::error::Error + 'static);
        tracing::warn!(error, stream.id = stream_id, "a state that was folded anew is not kept");
    }
}

pub(super) fn unreadable() -> Problem {
    Problem::new(ProblemType::Erased, "what is known of it cannot be read any more")
}
