//! Users, as decisions about them are made, stored and published.

use std::time::Duration;

use domain::Timestamp;
use domain::decision::{ClaimChange, ClaimKind, Decided};
use domain::user::{STATE_REVISION, User, UserEvent, UserId, evolve};
use event_schema::decode::{Decoder, KnownId};
use event_schema::personal::{Sealed, SubjectKey};
use event_schema::schema::{Family, Schema};
use event_schema::user;
use event_store::beside::Revoked;
use problem_details::{FieldError, Problem, ProblemType};
use uuid::Uuid;

use super::occurrence;
use crate::decision::aggregate::Aggregate;

/// Users.
pub struct Users;

impl Aggregate for Users {
    const KIND: &'static str = "user";
    const FAMILY: Family = Family::User;
    const REVISION: i32 = STATE_REVISION;
    const IS_PERSONAL: bool = true;

    type State = User<String>;
    type Event = UserEvent<String>;
    type Stored = User<Sealed>;
    type Sealed = UserEvent<Sealed>;

    fn seal(event: Self::Event, event_id: Uuid, key: Option<&SubjectKey>) -> Option<Self::Sealed> {
        event.map(&mut |field, text| Ok::<_, ()>(key.ok_or(())?.seal(event_id, field, &text))).ok()
    }

    fn open(stored: Self::Stored, key: Option<&SubjectKey>) -> Option<Self::State> {
        stored.map(&mut |_, sealed| key.and_then(|key| key.open(&sealed)).ok_or(())).ok()
    }

    fn without_texts(stored: Self::Stored) -> Self::State {
        stored.without_texts()
    }

    fn evolve(state: Option<Self::Stored>, event: Self::Sealed) -> Option<Self::Stored> {
        evolve(state, event)
    }

    fn evolve_open(state: Option<Self::State>, event: Self::Event) -> Option<Self::State> {
        evolve(state, event)
    }

    fn schema(event: &Self::Sealed) -> Schema {
        user::schema_of(event)
    }

    fn encode(decided: &Decided<Self::Sealed>, schema_id: u32) -> Option<Vec<u8>> {
        user::encode(decided, schema_id).ok()
    }

    fn decode(known: &[KnownId], value: &[u8]) -> Option<Self::Sealed> {
        let decoder = Decoder::<Decided<Self::Sealed>>::new(known.iter().cloned());
        decoder.decode(value).ok().map(|decided| decided.event)
    }

    fn write_state(stored: &Self::Stored) -> String {
        user::encode_state(stored)
    }

    fn read_state(text: &str) -> Option<Self::Stored> {
        user::decode_state(text).ok()
    }

    fn claims(event: &Self::Event, occurred_at: Timestamp, term: Duration) -> Vec<ClaimChange<'_>> {
        event.claims(occurred_at, term, |text| Some(text.as_str()))
    }

    fn open_event(event: Self::Sealed, key: Option<&SubjectKey>) -> Option<Self::Event> {
        event.map(&mut |_, sealed| key.and_then(|key| key.open(&sealed)).ok_or(())).ok()
    }

    fn revokes(event: &Self::Sealed, id: Uuid, version: u64) -> Option<Revoked> {
        match event {
            UserEvent::Deactivated
            | UserEvent::RoleRevoked { .. }
            | UserEvent::PasswordChanged
            | UserEvent::SessionsEnded
            | UserEvent::Erased => Some(Revoked::User { id, below_version: version }),
            UserEvent::Registered { .. }
            | UserEvent::EmailVerificationRequested
            | UserEvent::EmailVerified
            | UserEvent::ProfileUpdated { .. }
            | UserEvent::EmailChanged { .. }
            | UserEvent::Reactivated
            | UserEvent::RoleGranted { .. }
            | UserEvent::SecondFactorEnrolled
            | UserEvent::SecondFactorRemoved => None,
        }
    }

    fn happened(event: &Self::Sealed, id: Uuid, _: &Self::State, actor: &str) {
        occurrence::happened(event, UserId(id), actor);
    }

    fn changes_password(event: &Self::Sealed) -> bool {
        matches!(event, UserEvent::PasswordChanged)
    }

    fn changes_second_factor(event: &Self::Sealed) -> bool {
        matches!(event, UserEvent::SecondFactorEnrolled | UserEvent::SecondFactorRemoved)
    }

    fn erases(event: &Self::Sealed) -> bool {
        matches!(event, UserEvent::Erased)
    }

    fn what_changed(event: &Self::Sealed) -> Vec<&'static str> {
        event.what_changed()
    }

    fn taken(kind: &'static str) -> Problem {
        let what = if kind == ClaimKind::Email.as_str() { "e-mail address" } else { "user name" };
        let error = FieldError {
            pointer: format!("/{kind}"),
            rule: "unique",
            limit: None,
            detail: "is somebody else's".to_owned(),
        };
        let detail = format!("the {what} is somebody else's; nothing was written");
        Problem::new(ProblemType::AlreadyTaken, detail).with_errors(vec![error])
    }

    fn lapsed(_: &'static str) -> Problem {
        let detail = "the address was not confirmed in time, and is somebody else's by now";
        Problem::new(ProblemType::StateConflict, detail)
    }
}

#[cfg(test)]
mod tests {
    use domain::role::Role;
    use domain::user::ProfileChange;

    use super::*;
    use crate::decision::aggregate::stream_id;

    #[test]
    fn whoever_is_less_than_before_is_not_taken_for_what_they_were() {
        let id = Uuid::from_u128(7);
        let role = Role::Approver;
        for event in [
            UserEvent::Deactivated,
            UserEvent::RoleRevoked { role },
            UserEvent::PasswordChanged,
            UserEvent::SessionsEnded,
            UserEvent::Erased,
        ] {
            let revoked = Some(Revoked::User { id, below_version: 5 });
            assert_eq!(Users::revokes(&event, id, 5), revoked, "{event:?}");
        }
        for event in [
            UserEvent::EmailVerificationRequested,
            UserEvent::EmailVerified,
            UserEvent::ProfileUpdated { change: ProfileChange::default() },
            UserEvent::Reactivated,
            UserEvent::RoleGranted { role },
            UserEvent::SecondFactorEnrolled,
            UserEvent::SecondFactorRemoved,
        ] {
            assert_eq!(Users::revokes(&event, id, 5), None, "{event:?}");
        }
    }

    #[test]
    fn a_stream_is_called_as_the_domain_calls_it() {
        let id = Uuid::from_u128(7);
        assert_eq!(stream_id::<Users>(id), UserId(id).stream_id());
    }
}
