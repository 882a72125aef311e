//! Sessions, as decisions about them are made, stored and published.

use domain::decision::Decided;
use domain::session::{STATE_REVISION, Session, SessionEvent, SessionId, evolve};
use event_schema::decode::{Decoder, KnownId};
use event_schema::schema::{Family, Schema};
use event_schema::session;
use event_store::beside::Revoked;
use uuid::Uuid;

use super::occurrence;
use crate::decision::aggregate::Impersonal;

/// Sessions.
pub struct Sessions;

impl Impersonal for Sessions {
    const KIND: &'static str = "session";
    const FAMILY: Family = Family::Session;
    const REVISION: i32 = STATE_REVISION;

    type State = Session;
    type Event = SessionEvent;

    fn evolve(state: Option<Session>, event: SessionEvent) -> Option<Session> {
        evolve(state, event)
    }

    fn schema(event: &SessionEvent) -> Schema {
        session::schema_of(event)
    }

    fn encode(decided: &Decided<SessionEvent>, schema_id: u32) -> Option<Vec<u8>> {
        session::encode(decided, schema_id).ok()
    }

    fn decode(known: &[KnownId], value: &[u8]) -> Option<SessionEvent> {
        let decoder = Decoder::<Decided<SessionEvent>>::new(known.iter().cloned());
        decoder.decode(value).ok().map(|decided| decided.event)
    }

    fn write_state(state: &Session) -> String {
        session::encode_state(state)
    }

    fn read_state(text: &str) -> Option<Session> {
        session::decode_state(text).ok()
    }

    fn what_changed(event: &SessionEvent) -> Vec<&'static str> {
        event.what_changed()
    }

    /// However a session ends, its access tokens end with it.
    fn revokes(event: &SessionEvent, id: Uuid, _: u64) -> Option<Revoked> {
        match event {
            SessionEvent::LoggedOut
            | SessionEvent::Revoked
            | SessionEvent::ReuseDetected { .. } => Some(Revoked::Session(id)),
            SessionEvent::LoggedIn { .. } | SessionEvent::Refreshed { .. } => None,
        }
    }

    fn happened(event: &SessionEvent, id: Uuid, state: &Session, actor: &str) {
        occurrence::happened(event, SessionId(id), state.user_id, actor);
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::session::ClientMark;

    use super::*;
    use crate::decision::aggregate::{Aggregate, stream_id};

    #[test]
    fn a_stream_is_called_as_the_domain_calls_it() {
        let id = Uuid::from_u128(7);
        assert_eq!(stream_id::<Sessions>(id), SessionId(id).stream_id());
    }

    #[test]
    fn access_tokens_end_with_their_session_and_not_before() {
        let id = Uuid::from_u128(7);
        let revoked = |event| <Sessions as Aggregate>::revokes(&event, id, 3);
        for end in [
            SessionEvent::LoggedOut,
            SessionEvent::Revoked,
            SessionEvent::ReuseDetected { generation: 1, client: None },
        ] {
            assert_eq!(revoked(end), Some(Revoked::Session(id)));
        }
        let client = ClientMark::new("a-client".to_owned()).unwrap();
        let refreshed_at = Timestamp(7);
        let refreshed = SessionEvent::Refreshed { generation: 2, client, refreshed_at };
        assert_eq!(revoked(refreshed), None);
    }
}
