//! Kinds of things that tell of no person: what commands see is what is stored and logged.

use std::time::Duration;

use domain::Timestamp;
use domain::decision::{ClaimChange, Decided};
use event_schema::decode::KnownId;
use event_schema::personal::SubjectKey;
use event_schema::schema::{Family, Schema};
use event_store::beside::Revoked;
use problem_details::Problem;
use uuid::Uuid;

use super::Aggregate;
use crate::decision::closed;

/// A kind of thing that tells of no person, hence seals and erases nothing: an [`Aggregate`].
pub trait Impersonal: Sized + Send + Sync + 'static {
    /// What streams are called: `<kind>-<id>`.
    const KIND: &'static str;
    /// The family of its events, hence their topic.
    const FAMILY: Family;
    /// Which `evolve` folds its states: a stored state of another is folded anew.
    const REVISION: i32;

    /// The state.
    type State: Clone + Send + Sync;
    /// What commands make happen.
    type Event: Clone + Send + Sync;

    /// The state after an event.
    fn evolve(state: Option<Self::State>, event: Self::Event) -> Option<Self::State>;

    /// The record that an event becomes.
    fn schema(event: &Self::Event) -> Schema;

    /// The value of its record.
    fn encode(decided: &Decided<Self::Event>, schema_id: u32) -> Option<Vec<u8>>;

    /// The event of a record's value; `None` where it is none of ours.
    fn decode(known: &[KnownId], value: &[u8]) -> Option<Self::Event>;

    /// The state as text.
    fn write_state(state: &Self::State) -> String;

    /// The state of a text; `None` where it is none.
    fn read_state(text: &str) -> Option<Self::State>;

    /// Names of what an event changes, for the audit.
    fn what_changed(event: &Self::Event) -> Vec<&'static str>;

    /// Which access tokens are taken no more because of an event, which is of this version in the stream
    /// of `id`: none, unless it is said.
    fn revokes(_: &Self::Event, _: Uuid, _: u64) -> Option<Revoked> {
        None
    }

    /// Tells of an event that is stored, for the audit: of the thing of `id`, by `actor`; `state` is what the
    /// whole decision has left.
    fn happened(_: &Self::Event, _id: Uuid, _state: &Self::State, _actor: &str) {}

    /// What an event does to unique values: nothing, unless it is said.
    fn claims(_: &Self::Event, _: Timestamp, _: Duration) -> Vec<ClaimChange<'_>> {
        Vec::new()
    }

    /// A value is somebody else's; said of those that [`Self::claims`] takes.
    fn taken(_: &'static str) -> Problem {
        closed::defect()
    }

    /// A value was not confirmed in time, and is somebody else's by now.
    fn lapsed(_: &'static str) -> Problem {
        closed::defect()
    }
}

impl<P: Impersonal> Aggregate for P {
    const KIND: &'static str = <P as Impersonal>::KIND;
    const FAMILY: Family = <P as Impersonal>::FAMILY;
    const REVISION: i32 = <P as Impersonal>::REVISION;
    const IS_PERSONAL: bool = false;

    type State = P::State;
    type Event = P::Event;
    type Stored = P::State;
    type Sealed = P::Event;

    fn seal(event: P::Event, _: Uuid, key: Option<&SubjectKey>) -> Option<P::Event> {
        debug_assert!(key.is_none(), "it is of no person");
        Some(event)
    }

    fn open(stored: P::State, _: Option<&SubjectKey>) -> Option<P::State> {
        Some(stored)
    }

    fn without_texts(stored: P::State) -> P::State {
        stored
    }

    fn evolve(state: Option<P::State>, event: P::Event) -> Option<P::State> {
        <P as Impersonal>::evolve(state, event)
    }

    fn evolve_open(state: Option<P::State>, event: P::Event) -> Option<P::State> {
        <P as Impersonal>::evolve(state, event)
    }

    fn schema(event: &P::Event) -> Schema {
        <P as Impersonal>::schema(event)
    }

    fn encode(decided: &Decided<P::Event>, schema_id: u32) -> Option<Vec<u8>> {
        <P as Impersonal>::encode(decided, schema_id)
    }

    fn decode(known: &[KnownId], value: &[u8]) -> Option<P::Event> {
        <P as Impersonal>::decode(known, value)
    }

    fn write_state(stored: &P::State) -> String {
        <P as Impersonal>::write_state(stored)
    }

    fn read_state(text: &str) -> Option<P::State> {
        <P as Impersonal>::read_state(text)
    }

    fn claims(event: &P::Event, occurred_at: Timestamp, term: Duration) -> Vec<ClaimChange<'_>> {
        <P as Impersonal>::claims(event, occurred_at, term)
    }

    fn open_event(event: P::Event, _: Option<&SubjectKey>) -> Option<P::Event> {
        Some(event)
    }

    fn what_changed(event: &P::Event) -> Vec<&'static str> {
        <P as Impersonal>::what_changed(event)
    }

    fn revokes(event: &P::Event, id: Uuid, version: u64) -> Option<Revoked> {
        <P as Impersonal>::revokes(event, id, version)
    }

    fn happened(event: &P::Event, id: Uuid, state: &P::State, actor: &str) {
        <P as Impersonal>::happened(event, id, state, actor);
    }

    fn erases(_: &P::Event) -> bool {
        false
    }

    fn taken(kind: &'static str) -> Problem {
        <P as Impersonal>::taken(kind)
    }

    fn lapsed(kind: &'static str) -> Problem {
        <P as Impersonal>::lapsed(kind)
    }
}
