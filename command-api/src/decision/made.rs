//! A decision that was made: its events, sealed, with the state after them.

use domain::Timestamp;
use domain::decision::{ClaimChange, ClaimKind, Decided};
use event_schema::personal::SubjectKey;
use event_store::beside::Revoked;
use event_store::claim::Claim;
use event_store::second_factor::SecondFactor;
use event_store::{Append, Event, EventStore, State, beside};
use problem_details::Problem;
use uuid::Uuid;

use super::aggregate::{Aggregate, subject};
use super::answer::{Answer, Settled};
use super::loaded::Loaded;
use super::request::Asked;
use super::{Deciding, closed, now, repeat};
use crate::deployment::DeployedFamily;

/// What a decision writes beside its events.
#[derive(Clone)]
pub enum Beside {
    /// The person's password hash, as a PHC string.
    PasswordHash(String),
    /// The person's second factor.
    SecondFactor(SecondFactor),
    /// The person has no second factor any more.
    NoSecondFactor,
    /// The registration of this id waits no more, nor does any other one with its address.
    NoPendingRegistration(Uuid),
    /// A mail to the person.
    Mail(&'static str),
    /// Mails of a kind that wait for the person are not needed any more.
    MailsNotNeeded(&'static str),
    /// The person is erased.
    Erasure,
}

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PasswordHash(_) => f.write_str("PasswordHash([redacted])"),
            Self::SecondFactor(factor) => write!(f, "{factor:?}"),
            Self::NoSecondFactor => f.write_str("NoSecondFactor"),
            Self::NoPendingRegistration(id) => {
                f.debug_tuple("NoPendingRegistration").field(id).finish()
            }
            Self::Mail(kind) => f.debug_tuple("Mail").field(kind).finish(),
            Self::MailsNotNeeded(kind) => f.debug_tuple("MailsNotNeeded").field(kind).finish(),
            Self::Erasure => f.write_str("Erasure"),
        }
    }
}

/// What is appended, and what is told once it was.
pub(super) struct Made<A: Aggregate> {
    pub(super) append: Append,
    pub(super) appended: Appended<A>,
}

/// How a decision is answered that the store has, and what has happened by it.
pub(super) struct Appended<A: Aggregate> {
    pub(super) settled: Settled,
    pub(super) answer: Answer,
    /// The events, as they are stored.
    pub(super) happened: Vec<A::Sealed>,
    /// The state after them.
    pub(super) state: A::State,
}

/// The events so far, and the state after them.
struct Making<A: Aggregate> {
    events: Vec<Event>,
    happened: Vec<A::Sealed>,
    claims: Vec<Claim>,
    revoked: Vec<Revoked>,
    previous_id: Option<Uuid>,
    stored: Option<A::Stored>,
    state: Option<A::State>,
}

impl<A: Aggregate> Made<A> {
    pub(super) fn new<S: EventStore>(
        deciding: &Deciding<S>,
        loaded: Loaded<A>,
        events: Vec<A::Event>,
        beside: &[Beside],
        asked: &Asked<'_>,
        answer: &impl Fn(&A::State, u64) -> Answer,
    ) -> Result<Self, Problem> {
        // The relay compares and publishes, and `repair` mends, what such families say.
        const { assert!(A::FAMILY.is_decided(), "the family says that its events are facts") };
        let known = deciding.known.get().ok_or_else(closed::not_ready)?;
        let family = known.of_family(A::FAMILY);
        if !A::IS_PERSONAL && !beside.is_empty() {
            tracing::error!(?beside, kind = A::KIND, "what belongs to a person is beside none");
            return Err(closed::defect());
        }
        let Loaded { id, stream_id, version, last_event_id, stored, state, key, .. } = loaded;
        let is_new = version == 0;
        let key = key.or_else(|| (A::IS_PERSONAL && is_new).then(SubjectKey::generate));
        let making = Making::<A> {
            events: Vec::new(),
            happened: Vec::new(),
            claims: Vec::new(),
            revoked: Vec::new(),
            previous_id: last_event_id,
            stored,
            state,
        };
        let at = now();
        let place = Place { deciding, family, asked, id, stream_id: &stream_id, at };
        let making = events
            .into_iter()
            .enumerate()
            .try_fold(making, |making, (n, event)| {
                making.with(&place, version + 1 + n as u64, event, key.as_ref())
            })
            .ok_or_else(closed::defect)?;
        let Making { events, happened, claims, revoked, stored, state, .. } = making;
        let (Some(last), Some(stored), Some(state)) = (events.last(), &stored, state) else {
            return Err(closed::defect());
        };
        let settled = Settled {
            stream_id: stream_id.clone(),
            version: last.version,
            event_id: last.event_id,
            place: None,
        };
        let answer = answer(&state, last.version);
        let subject = subject::<A>(id);
        let request = asked
            .named
            .as_ref()
            .map(|named| repeat::request(named, &answer, subject.as_deref().zip(key.as_ref())));
        let new_key = key.filter(|_| is_new);
        let belonging = besides(beside, subject, &stream_id, new_key.as_ref());
        let append = Append {
            expected_version: version,
            state: State { json: A::write_state(stored), revision: A::REVISION },
            beside: belonging.into_iter().chain(revocations(deciding, revoked)).collect(),
            stream_id,
            events,
            claims,
            request,
        };
        Ok(Self { append, appended: Appended { settled, answer, happened, state } })
    }
}

/// What the events of a decision have in common.
struct Place<'a, S> {
    deciding: &'a Deciding<S>,
    family: &'a DeployedFamily,
    asked: &'a Asked<'a>,
    id: Uuid,
    stream_id: &'a str,
    at: Timestamp,
}

impl<A: Aggregate> Making<A> {
    /// With one more event; `None` where it cannot be written, which is a defect.
    fn with<S>(
        mut self,
        place: &Place<'_, S>,
        version: u64,
        event: A::Event,
        key: Option<&SubjectKey>,
    ) -> Option<Self> {
        let event_id = Uuid::now_v7();
        for change in A::claims(&event, place.at, place.deciding.claim_term) {
            hold(&mut self.claims, place.claim(&change));
        }
        self.state = A::evolve_open(self.state.take(), event.clone());
        let sealed = A::seal(event, event_id, key)?;
        self.revoked.extend(A::revokes(&sealed, place.id, version));
        let changed = A::what_changed(&sealed).into_iter().map(str::to_owned).collect();
        self.stored = A::evolve(self.stored.take(), sealed.clone());
        self.happened.push(sealed.clone());
        let schema = A::schema(&sealed);
        let decided = Decided {
            event_id,
            aggregate_id: place.id,
            version,
            previous_id: self.previous_id,
            occurred_at: place.at,
            event: sealed,
        };
        let value = A::encode(&decided, place.family.schema_id(schema)?)?;
        let asked = place.asked;
        self.events.push(Event {
            stream_id: place.stream_id.to_owned(),
            version,
            event_id,
            previous_id: self.previous_id,
            topic: place.family.topic.clone(),
            event_type: schema.event_type().to_owned(),
            occurred_at: place.at,
            correlation_id: Some(asked.context.request_id.as_str().to_owned()),
            causation_id: None,
            actor: Some(asked.actor.clone()),
            traceparent: Some(asked.context.trace.to_string()),
            changed,
            value,
            place: None,
        });
        self.previous_id = Some(event_id);
        Some(self)
    }
}

impl<S> Place<'_, S> {
    fn claim(&self, change: &ClaimChange<'_>) -> Claim {
        claim(&self.deciding.claim_key, change, self.at)
    }
}

/// What is taken and confirmed at once is taken for good.
fn hold(claims: &mut Vec<Claim>, claim: Claim) {
    if let Claim::Confirm { kind } = claim
        && let Some(Claim::Take { lapses_at, .. }) =
            claims.iter_mut().rfind(|held| held.kind() == kind)
    {
        *lapses_at = None;
        return;
    }
    claims.push(claim);
}

/// A change of claims as the store takes it.
pub(crate) fn claim(
    key: &event_store::claim::ClaimKey,
    change: &ClaimChange<'_>,
    at: Timestamp,
) -> Claim {
    match change {
        ClaimChange::Take { kind, value, lapses_at } => Claim::Take {
            kind: kind.as_str(),
            digest: key.digest(kind.as_str(), value),
            taken_at: at,
            lapses_at: *lapses_at,
        },
        ClaimChange::Confirm { kind } => Claim::Confirm { kind: ClaimKind::as_str(*kind) },
        ClaimChange::Release { kind } => Claim::Release { kind: ClaimKind::as_str(*kind) },
    }
}

fn revocations<S>(
    deciding: &Deciding<S>,
    revoked: Vec<Revoked>,
) -> impl Iterator<Item = beside::Beside> {
    let holds_for = deciding.revocations_hold;
    revoked.into_iter().map(move |what| beside::Beside::Revocation { what, holds_for })
}

fn besides(
    asked: &[Beside],
    subject: Option<String>,
    stream_id: &str,
    new_key: Option<&SubjectKey>,
) -> Vec<beside::Beside> {
    let Some(subject) = subject else { return Vec::new() };
    let key = new_key
        .map(|key| beside::Beside::SubjectKey { subject: subject.clone(), key: *key.as_bytes() });
    let others = asked.iter().map(|beside| match beside {
        Beside::PasswordHash(hash) => {
            beside::Beside::PasswordHash { subject: subject.clone(), hash: hash.clone() }
        }
        Beside::SecondFactor(factor) => {
            beside::Beside::SecondFactor { subject: subject.clone(), factor: factor.clone() }
        }
        Beside::NoSecondFactor => beside::Beside::NoSecondFactor { subject: subject.clone() },
        Beside::NoPendingRegistration(id) => beside::Beside::NoPendingRegistration { id: *id },
        Beside::Mail(kind) => beside::Beside::Mail { id: Uuid::now_v7(), kind },
        Beside::MailsNotNeeded(kind) => beside::Beside::MailsNotNeeded { kind },
        Beside::Erasure => {
            beside::Beside::Erasure { subject: subject.clone(), stream_id: stream_id.to_owned() }
        }
    });
    key.into_iter().chain(others).collect()
}
