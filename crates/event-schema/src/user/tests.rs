mod malformed;
mod state;

use domain::Timestamp;
use domain::decision::Decided;
use domain::role::Role;
use domain::user::{ProfileChange, User, UserEvent, evolve, field};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::decode::{DecodeError, Decoder, KnownId};
use crate::personal::{Sealed, SubjectKey};

type UserDecided = Decided<UserEvent<Sealed>>;

const EVENT: Uuid = Uuid::from_u128(1);
const USER: Uuid = Uuid::from_u128(2);

/// A decoder to which each schema of users is known by its place in the list.
fn decoder() -> Decoder<UserDecided> {
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

fn written(decided: &UserDecided) -> Vec<u8> {
    encode(decided, id_of(schema_of(&decided.event))).unwrap()
}

/// The first event of a user.
fn first(event: UserEvent<Sealed>) -> UserDecided {
    Decided {
        event_id: EVENT,
        aggregate_id: USER,
        version: 1,
        previous_id: None,
        occurred_at: Timestamp(3),
        event,
    }
}

fn sealed(event_id: Uuid, field: &'static str, bytes: &[u8]) -> Sealed {
    Sealed { event_id, field, bytes: bytes.to_vec() }
}

fn a_role() -> impl Strategy<Value = Role> {
    proptest::sample::select(&Role::ALL[..])
}

fn any_event() -> impl Strategy<Value = UserEvent<Vec<u8>>> {
    let bytes = || vec(any::<u8>(), 0..60);
    let registered = (bytes(), bytes(), of(bytes()), of(bytes()), of(bytes()), vec(a_role(), 0..4))
        .prop_map(|(username, email, full_name, bio, image, roles)| UserEvent::Registered {
            username,
            email,
            full_name,
            bio,
            image,
            roles,
        });
    let updated =
        (of(of(bytes())), of(of(bytes())), of(of(bytes()))).prop_map(|(full_name, bio, image)| {
            UserEvent::ProfileUpdated { change: ProfileChange { full_name, bio, image } }
        });
    prop_oneof![
        4 => registered,
        4 => updated,
        2 => bytes().prop_map(|email| UserEvent::EmailChanged { email }),
        2 => a_role().prop_map(|role| UserEvent::RoleGranted { role }),
        2 => a_role().prop_map(|role| UserEvent::RoleRevoked { role }),
        1 => Just(UserEvent::EmailVerificationRequested),
        1 => Just(UserEvent::EmailVerified),
        1 => Just(UserEvent::Deactivated),
        1 => Just(UserEvent::Reactivated),
        1 => Just(UserEvent::PasswordChanged),
        1 => Just(UserEvent::SessionsEnded),
        1 => Just(UserEvent::SecondFactorEnrolled),
        1 => Just(UserEvent::SecondFactorRemoved),
        1 => Just(UserEvent::Erased),
    ]
}

prop_compose! {
    fn any_decided()(
        event_id: u128, aggregate_id: u128, version in 1..=i64::MAX.cast_unsigned(), previous_id: u128,
        occurred_at: i64, is_first: bool, event in any_event(),
    ) -> UserDecided {
        let event_id = Uuid::from_u128(event_id);
        let sealed = |field, bytes| Ok::<_, ()>(Sealed { event_id, field, bytes });
        Decided {
            event_id,
            aggregate_id: Uuid::from_u128(aggregate_id),
            version: if is_first { 1 } else { version.max(2) },
            previous_id: (!is_first).then_some(Uuid::from_u128(previous_id)),
            occurred_at: Timestamp(occurred_at),
            event: event.map(&mut { sealed }).unwrap(),
        }
    }
}

#[test]
fn what_was_sealed_for_another_place_is_never_written() {
    let misplaced = |event| match encode(&first(event), 7) {
        Err(EncodeError::Misplaced { field }) => field,
        other => panic!("{other:?}"),
    };
    let of_another_event = sealed(Uuid::from_u128(9), field::EMAIL, b"sealed");
    assert_eq!(misplaced(UserEvent::EmailChanged { email: of_another_event }), field::EMAIL);
    let of_another_field = sealed(EVENT, field::USERNAME, b"sealed");
    assert_eq!(
        misplaced(UserEvent::EmailChanged { email: of_another_field.clone() }),
        field::EMAIL
    );
    let change = ProfileChange { bio: Some(Some(of_another_field)), ..ProfileChange::default() };
    assert_eq!(misplaced(UserEvent::ProfileUpdated { change }), field::BIO);
}

#[test]
fn an_event_without_a_place_is_never_written() {
    for (version, previous_id) in
        [(0, None), (0, Some(USER)), (1, Some(USER)), (2, None), (u64::MAX, Some(USER))]
    {
        let decided = Decided { version, previous_id, ..first(UserEvent::Erased) };
        assert!(
            matches!(encode(&decided, 7), Err(EncodeError::Place { version: told }) if told == version),
            "{version} {previous_id:?}"
        );
    }
}

#[test]
fn what_was_sealed_opens_after_the_way_through_the_log() {
    let key = SubjectKey::generate();
    let event = UserEvent::EmailChanged { email: "ann@example.org".to_owned() };
    let decided = first(UserEvent::Erased)
        .try_map(|id, _| event.map(&mut |field, text| Ok::<_, ()>(key.seal(id, field, &text))))
        .unwrap();
    let value = written(&decided);
    assert!(!value.windows(3).any(|bytes| bytes == b"ann"), "the value tells the address");
    let UserEvent::EmailChanged { email } = decoder().decode(&value).unwrap().event else {
        panic!("another event");
    };
    assert_eq!(key.open(&email).as_deref(), Some("ann@example.org"));
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
