//! A request that comes again: its first answer, or why it has none.

use axum::response::Response;
use event_schema::personal::{Sealed, SubjectKey};
use event_store::EventStore;
use event_store::request::{AnsweredRequest, NewRequest, RequestKey};
use problem_details::{Problem, ProblemType};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::aggregate::Aggregate;
use super::answer::{Answer, Settled};
use super::request::{Asked, Named};
use super::{Commands, Outcome, closed};

/// What answers are sealed as.
const FIELD: &str = "answer";

/// A request with its answer, sealed where it has a subject. A refusal has one too: it shows nothing of the
/// person, but the hash that is kept with it is of what the person said.
pub(super) fn request(
    named: &Named,
    answer: &Answer,
    subject: Option<(&str, &SubjectKey)>,
) -> NewRequest {
    let Named { key, route, body_hash } = named.clone();
    let bytes = answer.to_bytes();
    // What shows nothing of a person stays when the person is erased, such as the answer to that.
    let subject = subject.filter(|_| answer.body.is_some());
    let answer = match subject {
        Some((_, subject_key)) => {
            let text = String::from_utf8_lossy(&bytes);
            subject_key.seal(place(&key), FIELD, &text).bytes
        }
        None => bytes,
    };
    let subject = subject.map(|(subject, _)| subject.to_owned());
    NewRequest { key, route, body_hash, subject, answer }
}

/// Where an answer belongs: to a request of this name, and to no other.
fn place(key: &RequestKey) -> Uuid {
    let hash = Sha256::new_with_prefix(key.principal.as_bytes()).chain_update([0]);
    let hash = hash.chain_update(key.key.as_bytes()).finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    Uuid::new_v8(first)
}

impl<S: EventStore> Commands<S> {
    /// The answer to the request, if it was answered before.
    ///
    /// # Errors
    /// It was another request of the same name, or its answer was erased.
    pub(super) async fn repeated<A: Aggregate>(
        &self,
        asked: &Asked<'_>,
    ) -> Result<Option<Response>, Problem> {
        let Some(named) = &asked.named else { return Ok(None) };
        let answered = self.0.store.answered(&named.key).await.map_err(closed::store_problem)?;
        match answered {
            Some(answered) => self.repeat::<A>(named, answered, asked).await.map(Some),
            None => Ok(None),
        }
    }

    /// What becomes of a request that is known to be answered.
    pub(super) async fn repeated_now<A: Aggregate>(
        &self,
        asked: &Asked<'_>,
    ) -> Result<Outcome<A>, Problem> {
        self.repeated::<A>(asked).await?.map(Outcome::repeated).ok_or_else(closed::busy)
    }

    async fn repeat<A: Aggregate>(
        &self,
        named: &Named,
        answered: AnsweredRequest,
        asked: &Asked<'_>,
    ) -> Result<Response, Problem> {
        let AnsweredRequest { route, body_hash, subject, answer, event } = answered;
        let (Some(body_hash), Some(answer)) = (body_hash, answer) else { return Err(erased()) };
        if route != named.route || body_hash != named.body_hash {
            let detail = "another request was sent with this Idempotency-Key; use a new one";
            return Err(Problem::new(ProblemType::IdempotencyKeyReused, detail));
        }
        let answer = match subject {
            Some(subject) => self.open(&subject, &named.key, answer).await?,
            None => answer,
        };
        let answer = Answer::from_bytes(&answer).ok_or_else(closed::defect)?;
        crate::occurrence::decided("repeated");
        let Some((stream_id, version)) = event else { return Ok(answer.respond_plainly()) };
        let event = self.0.store.event_at(&stream_id, version).await;
        let event = event.map_err(closed::store_problem)?.ok_or_else(closed::defect)?;
        let settled = Settled { stream_id, version, event_id: event.event_id, place: event.place };
        Ok(self.answer::<A>(settled, answer, asked).await)
    }

    async fn open(
        &self,
        subject: &str,
        key: &RequestKey,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, Problem> {
        let found = self.0.store.subject_key(subject).await.map_err(closed::store_problem)?;
        let subject_key = found.flatten().map(SubjectKey::from_bytes).ok_or_else(erased)?;
        let sealed = Sealed { event_id: place(key), field: FIELD, bytes };
        subject_key.open(&sealed).map(String::into_bytes).ok_or_else(closed::defect)
    }
}

fn erased() -> Problem {
    Problem::new(ProblemType::Erased, "whom the answer is about was erased")
}
