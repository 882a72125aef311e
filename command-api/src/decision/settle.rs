//! How a decision settles: what is answered once it was made, changed nothing or was refused.

use std::time::Duration;

use axum::response::Response;
use consistency_token::Token;
use event_schema::personal::SubjectKey;
use event_store::{AppendError, EventStore, LogPlace};
use http::StatusCode;
use problem_details::{Problem, ProblemType};
use tokio::time::Instant;

use super::aggregate::{Aggregate, subject};
use super::answer::{Answer, Settled};
use super::loaded::Loaded;
use super::request::Asked;
use super::{Commands, Outcome, closed, repeat};
use crate::occurrence;

impl<S: EventStore> Commands<S> {
    /// Answers once the log has the event, or says where to ask for it. Whoever is to be answered at once
    /// is, with a token of what the log is yet to hold.
    pub(super) async fn answer<A: Aggregate>(
        &self,
        settled: Settled,
        answer: Answer,
        asked: &Asked<'_>,
    ) -> Response {
        if asked.is_at_once {
            occurrence::decided("at_once");
            let token = Token::of_stream(&settled.stream_id, settled.version);
            return answer.respond(token.encode(&self.0.token_key));
        }
        let place = self.published(&settled, asked).await;
        match place.and_then(|place| self.token::<A>(place)) {
            Some(token) => {
                occurrence::decided("published");
                answer.respond(token)
            }
            None => {
                occurrence::decided("pending");
                answer.respond_pending(&settled, asked.prefer.respond_async)
            }
        }
    }

    async fn published(&self, settled: &Settled, asked: &Asked<'_>) -> Option<LogPlace> {
        if settled.place.is_some() {
            return settled.place;
        }
        let wait = match (asked.prefer.wait, asked.prefer.respond_async) {
            (Some(wait), _) => wait.min(self.0.wait),
            (None, true) => Duration::ZERO,
            (None, false) if (self.0.log_is_away)() => Duration::ZERO,
            (None, false) => self.0.wait,
        };
        let until = Instant::now() + wait;
        self.0.publications.of(&settled.stream_id, settled.version, until).await
    }

    fn token<A: Aggregate>(&self, place: LogPlace) -> Option<String> {
        let token = self.0.known.get()?.of_family(A::FAMILY).token(place)?;
        Some(token.encode(&self.0.token_key))
    }

    /// The command changes nothing: the answer is of what is there.
    pub(super) async fn unchanged<A: Aggregate>(
        &self,
        loaded: &Loaded<A>,
        asked: &Asked<'_>,
        answer: &impl Fn(&A::State, u64) -> Answer,
    ) -> Result<Response, Problem> {
        let Some((state, mut settled)) = loaded.standing() else { return Err(closed::defect()) };
        occurrence::decided("unchanged");
        let mut answer = answer(state, settled.version);
        // Nothing came into being.
        answer.status =
            if answer.status == StatusCode::CREATED { StatusCode::OK } else { answer.status };
        if let Some(named) = &asked.named {
            let subject = subject::<A>(loaded.id);
            let sealing = subject.as_deref().zip(loaded.key.as_ref());
            match self.0.store.answer(repeat::request(named, &answer, sealing)).await {
                Ok(()) => {}
                Err(AppendError::Answered) => {
                    return Ok(self.repeated_now::<A>(asked).await?.response);
                }
                Err(error) => return Err(closed::problem(error)),
            }
        }
        if !asked.is_at_once {
            let event = self.0.store.event_at(&settled.stream_id, settled.version).await;
            settled.place = event.map_err(closed::store_problem)?.and_then(|event| event.place);
        }
        Ok(self.answer::<A>(settled, answer, asked).await)
    }

    /// A definite no is the answer to every request of the name; where it is about a person, it goes with
    /// them. Whoever expected another version is not kept to it: what they expect is no part of the name, and
    /// they may look and ask again. Nor is what is said of whoever was erased: it is always the same.
    pub(super) async fn refused<A: Aggregate>(
        &self,
        problem: Problem,
        asked: &Asked<'_>,
        person: Option<(String, SubjectKey)>,
    ) -> Result<Outcome<A>, Problem> {
        let Some(named) = &asked.named else { return Err(problem) };
        if matches!(problem.kind(), ProblemType::VersionMismatch | ProblemType::Erased) {
            return self.repeated::<A>(asked).await?.map(Outcome::repeated).ok_or(problem);
        }
        let answer = Answer::of_problem(&problem);
        let person = person.as_ref().map(|(subject, key)| (subject.as_str(), key));
        match self.0.store.answer(repeat::request(named, &answer, person)).await {
            Ok(()) => Err(problem),
            // Another one of the name had an effect first, which may be why this one was refused.
            Err(AppendError::Answered) => self.repeated_now(asked).await,
            Err(error) => Err(closed::problem(error)),
        }
    }
}
