mod malformed;
mod state;

use domain::Timestamp;
use domain::decision::Decided;
use domain::session::{ClientMark, Session, evolve};
use domain::user::UserId;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::decided::tests::{Written, any_place, every_family};

type SessionDecided = Decided<SessionEvent>;

const USER: UserId = UserId(Uuid::from_u128(3));

impl Written for SessionDecided {
    fn schema(&self) -> Schema {
        schema_of(&self.event)
    }

    fn encode(&self, schema_id: u32) -> Result<Vec<u8>, EncodeError> {
        encode(self, schema_id)
    }
}

fn a_mark() -> ClientMark {
    ClientMark::new("a-mark".to_owned()).unwrap()
}

fn logged_in() -> SessionEvent {
    let started_at = Timestamp(6);
    SessionEvent::LoggedIn { user_id: USER, session_epoch: 5, client: a_mark(), started_at }
}

fn any_mark() -> impl Strategy<Value = ClientMark> {
    "[!-~]{1,64}".prop_map(|text| ClientMark::new(text).unwrap())
}

fn any_event() -> impl Strategy<Value = SessionEvent> {
    let logged_in = (any::<u128>(), any::<u32>(), any_mark(), any::<i64>()).prop_map(
        |(user_id, session_epoch, client, started_at)| SessionEvent::LoggedIn {
            user_id: UserId(Uuid::from_u128(user_id)),
            session_epoch,
            client,
            started_at: Timestamp(started_at),
        },
    );
    let refreshed =
        (any::<u32>(), any_mark(), any::<i64>()).prop_map(|(generation, client, at)| {
            SessionEvent::Refreshed { generation, client, refreshed_at: Timestamp(at) }
        });
    let reused = (any::<u32>(), proptest::option::of(any_mark()))
        .prop_map(|(generation, client)| SessionEvent::ReuseDetected { generation, client });
    prop_oneof![
        4 => logged_in,
        4 => refreshed,
        2 => reused,
        1 => Just(SessionEvent::LoggedOut),
        1 => Just(SessionEvent::Revoked),
    ]
}

fn any_decided() -> impl Strategy<Value = SessionDecided> {
    let placed = |(place, event): (Decided<()>, SessionEvent)| {
        place.try_map(|_, ()| Ok::<_, ()>(event)).unwrap()
    };
    (any_place(), any_event()).prop_map(placed)
}

every_family!(SessionDecided, any_decided(), SessionEvent::LoggedOut);
