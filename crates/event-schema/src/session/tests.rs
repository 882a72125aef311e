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
use crate::decode::{DecodeError, Decoder, KnownId};

type SessionDecided = Decided<SessionEvent>;

const EVENT: Uuid = Uuid::from_u128(1);
const SESSION: Uuid = Uuid::from_u128(2);
const USER: UserId = UserId(Uuid::from_u128(3));

/// A decoder to which each schema of sessions is known by its place in the list.
fn decoder() -> Decoder<SessionDecided> {
    crate::limit_allocations();
    Decoder::new(Schema::ALL.iter().map(|schema| KnownId {
        schema_id: id_of(*schema),
        record_name: schema.record_name().to_owned(),
        version: schema.version(),
    }))
}

fn id_of(schema: Schema) -> u32 {
    u32::try_from(Schema::ALL.iter().position(|one| *one == schema).unwrap()).unwrap()
}

fn written(decided: &SessionDecided) -> Vec<u8> {
    encode(decided, id_of(schema_of(&decided.event))).unwrap()
}

/// The first event of a session.
fn first(event: SessionEvent) -> SessionDecided {
    Decided {
        event_id: EVENT,
        aggregate_id: SESSION,
        version: 1,
        previous_id: None,
        occurred_at: Timestamp(4),
        event,
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

prop_compose! {
    fn any_decided()(
        event_id: u128, aggregate_id: u128, version in 1..=i64::MAX.cast_unsigned(), previous_id: u128,
        occurred_at: i64, is_first: bool, event in any_event(),
    ) -> SessionDecided {
        Decided {
            event_id: Uuid::from_u128(event_id),
            aggregate_id: Uuid::from_u128(aggregate_id),
            version: if is_first { 1 } else { version.max(2) },
            previous_id: (!is_first).then_some(Uuid::from_u128(previous_id)),
            occurred_at: Timestamp(occurred_at),
            event,
        }
    }
}

#[test]
fn an_event_without_a_place_is_never_written() {
    for (version, previous_id) in
        [(0, None), (0, Some(EVENT)), (1, Some(EVENT)), (2, None), (u64::MAX, Some(EVENT))]
    {
        let decided = Decided { version, previous_id, ..first(SessionEvent::LoggedOut) };
        assert!(
            matches!(encode(&decided, 7), Err(EncodeError::Place { version: told }) if told == version),
            "{version} {previous_id:?}"
        );
    }
}

proptest! {
    #[test]
    fn an_event_reads_back_as_written(decided in any_decided()) {
        prop_assert_eq!(decoder().decode(&written(&decided)), Ok(decided));
    }

    #[test]
    fn every_byte_must_be_used(decided in any_decided(), rest in vec(any::<u8>(), 1..9)) {
        let value = [written(&decided), rest.clone()].concat();
        prop_assert_eq!(decoder().decode(&value), Err(DecodeError::TrailingBytes(rest.len())));
    }

    #[test]
    fn a_value_that_ends_early_is_refused(decided in any_decided(), at: prop::sample::Index) {
        let value = written(&decided);
        prop_assert!(decoder().decode(&value[..at.index(value.len())]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(
        schema in proptest::sample::select(Schema::ALL), bytes in vec(any::<u8>(), 0..200),
    ) {
        let value = [&[0][..], &id_of(schema).to_be_bytes(), &bytes].concat();
        let _ = decoder().decode(&value);
    }

    #[test]
    fn a_changed_value_is_refused_or_another_event_that_could_have_been_written(
        decided in any_decided(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut value = written(&decided);
        for (place, byte) in changes {
            let place = place.index(value.len());
            value[place] = byte;
        }
        if let Ok(decided) = decoder().decode(&value) {
            prop_assert_eq!(decoder().decode(&written(&decided)), Ok(decided));
        }
    }
}
