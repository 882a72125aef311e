//! A command's turn: it is judged upon what there is, and what follows is appended.

use event_schema::personal::SubjectKey;
use event_store::{AppendError, EventStore};
use problem_details::Problem;
use uuid::Uuid;

use super::aggregate::Aggregate;
use super::answer::Answer;
use super::loaded::Loaded;
use super::made::{Appended, Beside, Made};
use super::request::Asked;
use super::{CommandOf, Commands, closed};

/// How often a decision is made anew because its stream moved on meanwhile.
const ATTEMPTS: u32 = 16;

/// What came of a command. What is left to do needs no turn.
pub(super) enum Judged<A: Aggregate> {
    /// Nothing follows: the state stays what it is.
    Unchanged(Loaded<A>),
    /// The store has what follows.
    Appended(Appended<A>),
    /// It is refused; with the person of whom that is kept, where there is one.
    Refused(Problem, Option<(String, SubjectKey)>),
    /// The request was answered meanwhile.
    Answered,
}

impl<S: EventStore> Commands<S> {
    /// Judges a command and appends what follows, anew while the stream moves on.
    ///
    /// # Errors
    /// Nothing can be decided now.
    pub(super) async fn judge<A: Aggregate>(
        &self,
        id: Uuid,
        asked: &Asked<'_>,
        command: impl CommandOf<A>,
        beside: &[Beside],
        answer: &impl Fn(&A::State, u64) -> Answer,
    ) -> Result<Judged<A>, Problem> {
        let is_erasure = beside.iter().any(|beside| matches!(beside, Beside::Erasure));
        // Decisions about one thing take turns in this process, so that only those of other processes
        // are in each other's way.
        let _turn = self.0.turns.of(&id).await;
        for attempt in 0..ATTEMPTS {
            let loaded = if asked.is_of_new && attempt == 0 {
                Loaded::<A>::nothing(id)
            } else {
                Loaded::<A>::load(&self.0, id).await?
            };
            // Of whom a refusal is kept: without a name nothing is.
            let person = asked.named.as_ref().and_then(|_| loaded.person());
            let made = match loaded.decide(asked, command.clone(), is_erasure) {
                Ok(events) if events.is_empty() => return Ok(Judged::Unchanged(loaded)),
                Ok(events) => Made::<A>::new(&self.0, loaded, events, beside, asked, answer)?,
                Err(refusal) => return Ok(Judged::Refused(refusal, person)),
            };
            let Made { append, appended } = made;
            return Ok(match self.0.store.append(append).await {
                Ok(()) => Judged::Appended(appended),
                Err(AppendError::VersionMismatch) => continue,
                Err(AppendError::Answered) => Judged::Answered,
                Err(AppendError::Taken(kind)) => Judged::Refused(A::taken(kind), person),
                Err(AppendError::Lapsed(kind)) => Judged::Refused(A::lapsed(kind), person),
                Err(error) => return Err(closed::problem(error)),
            });
        }
        Err(closed::busy())
    }
}
