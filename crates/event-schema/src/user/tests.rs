mod malformed;
mod state;

use domain::decision::Decided;
use domain::role::Role;
use domain::user::{ProfileChange, User, UserEvent, evolve, field};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::decided::tests::{EVENT, Written, any_place, decoder, every_family, first, written};
use crate::personal::{Sealed, SubjectKey};

type UserDecided = Decided<UserEvent<Sealed>>;

impl Written for UserDecided {
    fn schema(&self) -> Schema {
        schema_of(&self.event)
    }

    fn encode(&self, schema_id: u32) -> Result<Vec<u8>, EncodeError> {
        encode(self, schema_id)
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

fn any_decided() -> impl Strategy<Value = UserDecided> {
    let placed = |(place, event): (Decided<()>, UserEvent<Vec<u8>>)| {
        let sealed = place.try_map(|event_id, ()| {
            event.map(&mut |field, bytes| Ok::<_, ()>(Sealed { event_id, field, bytes }))
        });
        sealed.unwrap()
    };
    (any_place(), any_event()).prop_map(placed)
}

every_family!(UserDecided, any_decided(), UserEvent::Erased);

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
fn what_was_sealed_opens_after_the_way_through_the_log() {
    let key = SubjectKey::generate();
    let event = UserEvent::EmailChanged { email: "ann@example.org".to_owned() };
    let decided = first(event)
        .try_map(|id, event| event.map(&mut |field, text| Ok::<_, ()>(key.seal(id, field, &text))));
    let value = written(&decided.unwrap());
    assert!(!value.windows(3).any(|bytes| bytes == b"ann"), "the value tells the address");
    let UserEvent::EmailChanged { email } = decoder::<UserDecided>().decode(&value).unwrap().event
    else {
        panic!("another event");
    };
    assert_eq!(key.open(&email).as_deref(), Some("ann@example.org"));
}
