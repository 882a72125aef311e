//! What a kind of thing says of itself, so that decisions about it can be made, stored and published.

mod impersonal;

use std::time::Duration;

use domain::Timestamp;
use domain::decision::{ClaimChange, Decided};
use event_schema::decode::KnownId;
use event_schema::personal::SubjectKey;
use event_schema::schema::{Family, Schema};
use event_store::beside::Revoked;
use problem_details::Problem;
use uuid::Uuid;

pub use impersonal::Impersonal;

/// A kind of thing that is decided about; one that tells of no person implements [`Impersonal`] instead.
pub trait Aggregate: Sized + Send + Sync + 'static {
    /// What streams are called: `<kind>-<id>`.
    const KIND: &'static str;
    /// The family of its events, hence their topic.
    const FAMILY: Family;
    /// Which `evolve` folds its states: a stored state of another is folded anew.
    const REVISION: i32;
    /// Whether its streams are of persons, whose fields are sealed.
    const IS_PERSONAL: bool;

    /// The state as commands see it.
    type State: Send + Sync;
    /// What commands make happen.
    type Event: Clone + Send + Sync;
    /// The state as it is stored.
    type Stored: Clone + Send + Sync;
    /// An event as it is stored and logged.
    type Sealed: Clone + Send + Sync;

    /// The event as it is stored; `key` is there where streams are of persons.
    fn seal(event: Self::Event, event_id: Uuid, key: Option<&SubjectKey>) -> Option<Self::Sealed>;

    /// The state as commands see it; `None` where it cannot be opened.
    fn open(stored: Self::Stored, key: Option<&SubjectKey>) -> Option<Self::State>;

    /// The state without what it says of a person: for one whose key is lost.
    fn without_texts(stored: Self::Stored) -> Self::State;

    /// The stored state after an event.
    fn evolve(state: Option<Self::Stored>, event: Self::Sealed) -> Option<Self::Stored>;

    /// The state after an event, as commands see it.
    fn evolve_open(state: Option<Self::State>, event: Self::Event) -> Option<Self::State>;

    /// The record that an event becomes.
    fn schema(event: &Self::Sealed) -> Schema;

    /// The value of its record.
    fn encode(decided: &Decided<Self::Sealed>, schema_id: u32) -> Option<Vec<u8>>;

    /// The event of a record's value; `None` where it is none of ours.
    fn decode(known: &[KnownId], value: &[u8]) -> Option<Self::Sealed>;

    /// The stored state as text.
    fn write_state(stored: &Self::Stored) -> String;

    /// The stored state of a text; `None` where it is none.
    fn read_state(text: &str) -> Option<Self::Stored>;

    /// What an event does to unique values.
    fn claims(event: &Self::Event, occurred_at: Timestamp, term: Duration) -> Vec<ClaimChange<'_>>;

    /// An event as commands make it; `None` where it cannot be opened.
    fn open_event(event: Self::Sealed, key: Option<&SubjectKey>) -> Option<Self::Event>;

    /// Names of what an event changes, for the audit.
    fn what_changed(event: &Self::Sealed) -> Vec<&'static str>;

    /// Which access tokens are taken no more because of an event, which is of this version in the stream
    /// of `id`.
    fn revokes(event: &Self::Sealed, id: Uuid, version: u64) -> Option<Revoked>;

    /// Tells of an event that is stored, for the audit: of the thing of `id`, by `actor`; `state` is what the
    /// whole decision has left.
    fn happened(_: &Self::Sealed, _id: Uuid, _state: &Self::State, _actor: &str) {}

    /// Whether the person has another password by it, which it does not tell.
    fn changes_password(_: &Self::Sealed) -> bool {
        false
    }

    /// Whether the person has another second factor by it, or none any more: it does not tell which.
    fn changes_second_factor(_: &Self::Sealed) -> bool {
        false
    }

    /// Whether the person is erased by it.
    fn erases(event: &Self::Sealed) -> bool;

    /// A value is somebody else's.
    fn taken(kind: &'static str) -> Problem;

    /// A value was not confirmed in time, and is somebody else's by now.
    fn lapsed(kind: &'static str) -> Problem;
}

/// The stream of a thing.
pub fn stream_id<A: Aggregate>(id: Uuid) -> String {
    format!("{}-{id}", A::KIND)
}

/// The person whose stream it is.
pub(super) fn subject<A: Aggregate>(id: Uuid) -> Option<String> {
    A::IS_PERSONAL.then(|| id.to_string())
}
