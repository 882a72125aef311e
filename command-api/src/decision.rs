//! Decisions: the only way from a command to events.
//!
//! [`Commands::decide`] loads a stream, lets the command judge its state, appends what follows, waits until
//! the log has it and answers. What differs per command is what a slice's file says: who may, which
//! command, and what is answered. What differs per aggregate is its [`Aggregate`].

pub(crate) mod absorb;
pub mod aggregate;
pub mod answer;
pub(crate) mod closed;
mod content;
pub(crate) mod description;
pub(crate) mod incoming;
mod judged;
mod loaded;
pub mod log;
mod made;
mod outcome;
mod past;
mod put_aside;
mod repeat;
pub mod request;
mod settle;
pub mod status;
mod turns;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::response::Response;
use consistency_token::TokenKey;
use domain::Timestamp;
use domain::decision::Command;
use event_store::claim::ClaimKey;
use event_store::publications::Publications;
use event_store::{EventStore, Found};
use problem_details::Problem;
use uuid::Uuid;

use crate::deployment::Known;
use crate::occurrence;
use aggregate::Aggregate;
use answer::Answer;
use judged::Judged;
use loaded::Loaded;
use made::Appended;
use request::Asked;
use turns::Turns;

pub use made::Beside;
pub use outcome::Outcome;

/// Why a command was refused, as a problem; one exhaustive match for each command's error.
pub trait Refusal {
    /// The problem.
    fn refuse(self) -> Problem;
}

/// A command about a kind of thing, with errors that can be told.
pub trait CommandOf<A: Aggregate>:
    Command<State = A::State, Event = A::Event, Error: Refusal> + Clone
{
}

impl<A: Aggregate, C> CommandOf<A> for C where
    C: Command<State = A::State, Event = A::Event, Error: Refusal> + Clone
{
}

/// What deciding needs.
pub struct Deciding<S> {
    /// Where decisions are kept.
    pub store: S,
    /// Tells when the log has an event.
    pub publications: Publications,
    /// What was deployed, once it is known.
    pub known: Known,
    /// Hashes unique values and bodies.
    pub claim_key: ClaimKey,
    /// Signs consistency tokens.
    pub token_key: TokenKey,
    /// How long an unverified claim is kept.
    pub claim_term: Duration,
    /// How long there may be an access token, from when it was revoked: as long as one lives, with what
    /// clocks may differ.
    pub revocations_hold: Duration,
    /// How long an answer waits for the log, unless the caller prefers another time.
    pub wait: Duration,
    /// Whether it is known that the log takes nothing now.
    pub log_is_away: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Makes decisions; cheap to clone.
pub struct Commands<S>(Arc<Shared<S>>);

struct Shared<S> {
    deciding: Deciding<S>,
    turns: Turns,
}

impl<S> std::ops::Deref for Shared<S> {
    type Target = Deciding<S>;

    fn deref(&self) -> &Deciding<S> {
        &self.deciding
    }
}

impl<S> Clone for Commands<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: EventStore> Commands<S> {
    /// Commands over a store.
    pub fn new(deciding: Deciding<S>) -> Self {
        Self(Arc::new(Shared { deciding, turns: Turns::default() }))
    }

    /// What they are made with.
    pub fn deciding(&self) -> &Deciding<S> {
        &self.0
    }

    /// Judges a command and answers once the log has what follows, or [at once](Asked::at_once); `answer`
    /// says how, of the state after it and its version. Where the command changes nothing, the state as it
    /// is is answered.
    ///
    /// # Errors
    /// The command is refused, the caller expected another version, a value is taken, or nothing can
    /// be decided now. Each problem says whether something was written.
    pub async fn decide<A: Aggregate>(
        &self,
        id: Uuid,
        asked: &Asked<'_>,
        command: impl CommandOf<A>,
        answer: impl Fn(&A::State, u64) -> Answer,
    ) -> Result<Response, Problem> {
        self.decide_beside::<A>(id, asked, command, &[], answer).await
    }

    /// The same, with what is written beside the events.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub async fn decide_beside<A: Aggregate>(
        &self,
        id: Uuid,
        asked: &Asked<'_>,
        command: impl CommandOf<A>,
        beside: &[Beside],
        answer: impl Fn(&A::State, u64) -> Answer,
    ) -> Result<Response, Problem> {
        Ok(self.carry_out::<A>(id, asked, command, beside, answer).await?.response)
    }

    /// The same, with the state that is left: for handlers that have to say what became of the command.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub async fn carry_out<A: Aggregate>(
        &self,
        id: Uuid,
        asked: &Asked<'_>,
        command: impl CommandOf<A>,
        beside: &[Beside],
        answer: impl Fn(&A::State, u64) -> Answer,
    ) -> Result<Outcome<A>, Problem> {
        let answered = self.decide_and_answer::<A>(id, asked, command, beside, answer).await;
        answered.inspect_err(occurrence::not_decided)
    }

    async fn decide_and_answer<A: Aggregate>(
        &self,
        id: Uuid,
        asked: &Asked<'_>,
        command: impl CommandOf<A>,
        beside: &[Beside],
        answer: impl Fn(&A::State, u64) -> Answer,
    ) -> Result<Outcome<A>, Problem> {
        if let Some(repeated) = self.repeated::<A>(asked).await? {
            return Ok(Outcome::repeated(repeated));
        }
        match self.judge::<A>(id, asked, command, beside, &answer).await? {
            Judged::Unchanged(loaded) => {
                let response = self.unchanged(&loaded, asked, &answer).await?;
                Ok(Outcome { response, state: loaded.state })
            }
            // Its turn is over: the log is waited for side by side.
            Judged::Appended(Appended { happened, state, settled, answer }) => {
                for event in &happened {
                    A::happened(event, id, &state, &asked.actor);
                }
                let response = self.answer::<A>(settled, answer, asked).await;
                Ok(Outcome { response, state: Some(state) })
            }
            Judged::Refused(refusal, person) => self.refused(refusal, asked, person).await,
            Judged::Answered => self.repeated_now(asked).await,
        }
    }

    /// The answer to a request that was answered before, if it was: for handlers that have work to do
    /// before they decide.
    ///
    /// # Errors
    /// It was another request of the same name, or its answer was erased.
    pub async fn answered<A: Aggregate>(
        &self,
        asked: &Asked<'_>,
    ) -> Result<Option<Response>, Problem> {
        self.repeated::<A>(asked).await
    }

    /// The state of a thing; `None` where there is none.
    ///
    /// # Errors
    /// The store does not answer, or what is known cannot be read any more.
    pub async fn state<A: Aggregate>(&self, id: Uuid) -> Result<Option<A::State>, Problem> {
        Ok(self.standing::<A>(id).await?.map(|(state, _)| state))
    }

    /// The same with the version of the thing's stream.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub async fn standing<A: Aggregate>(
        &self,
        id: Uuid,
    ) -> Result<Option<(A::State, u64)>, Problem> {
        Loaded::<A>::load(&self.0, id).await?.readable()
    }

    /// The same of what the store has found of it already.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub async fn standing_of<A: Aggregate>(
        &self,
        id: Uuid,
        found: Found,
    ) -> Result<Option<(A::State, u64)>, Problem> {
        Loaded::<A>::of_found(&self.0, id, found).await?.readable()
    }
}

/// The time of a decision.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
