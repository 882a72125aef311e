use domain::role::Role;
use event_schema::decode::{Decoder, KnownId};
use event_schema::user::{encode, schema_of};
use read_models::recorded::LogPosition;

use super::*;
use crate::runner::{Event as _, Failure, FailureClass, Sequence};

const ID: UserId = UserId(Uuid::from_u128(7));
const EVENT: Uuid = Uuid::from_u128(8);

fn key(byte: u8) -> SubjectKey {
    SubjectKey::from_bytes([byte; SubjectKey::LENGTH])
}

fn keys(byte: u8) -> HashMap<Uuid, SubjectKey> {
    HashMap::from([(ID.0, key(byte))])
}

fn recorded(event: UserEvent<Sealed>) -> Recorded<UserStreamEvent> {
    let decided = Decided {
        event_id: EVENT,
        aggregate_id: ID.0,
        version: 1,
        previous_id: None,
        occurred_at: Timestamp(0),
        event,
    };
    Recorded {
        event: decided.into(),
        partition: 3,
        position: LogPosition { epoch: 1, offset: 9 },
        log_time: Timestamp(1),
    }
}

fn registered(key: &SubjectKey, event_id: Uuid) -> UserEvent<Sealed> {
    let event = UserEvent::Registered {
        username: "Ann",
        email: "ann@example.org",
        full_name: None,
        bio: Some("Hi"),
        image: None,
        roles: vec![Role::User],
    };
    let sealed = event.map(&mut |field, text| Ok::<_, ()>(key.seal(event_id, field, text)));
    sealed.unwrap()
}

#[test]
fn what_the_key_opens_is_text_and_keeps_its_place() {
    let record = recorded(registered(&key(1), EVENT));
    let opened = open(&record, &keys(1)).unwrap();
    assert_eq!((opened.partition, opened.position.offset), (3, 9));
    let UserEvent::Registered { username, email, bio, full_name, .. } = opened.event.event else {
        panic!("another event");
    };
    assert_eq!(username.as_deref(), Some("Ann"));
    assert_eq!(email.as_deref(), Some("ann@example.org"));
    assert_eq!((bio, full_name), (Some(Some("Hi".to_owned())), None));
}

#[test]
fn whose_key_is_gone_is_opened_as_nobody() {
    let opened = open(&recorded(registered(&key(1), EVENT)), &HashMap::new()).unwrap();
    let rows = user::fold(HashMap::new(), [opened]);
    let told = told(&rows[&ID]);
    assert_eq!((&told["erased"], &told["username"]), (&json!(true), &json!("absent")));
}

#[test]
fn a_field_that_its_person_s_key_does_not_open_is_a_fault_of_the_record() {
    // As the log would be read where somebody moved the bytes to another event.
    let elsewhere = registered(&key(1), Uuid::from_u128(9));
    let moved = elsewhere.map(&mut |_, sealed| Ok::<_, ()>(Sealed { event_id: EVENT, ..sealed }));
    for (event, keys) in [(registered(&key(1), EVENT), keys(2)), (moved.unwrap(), keys(1))] {
        let error = open(&recorded(event), &keys).unwrap_err();
        assert_eq!(error, Unreadable { what: "username" });
        let failure = Failure::of_database(&error.into(), "writing rows");
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Poison, "unreadable"));
    }
}

#[test]
fn operators_are_shown_which_fields_are_known_and_not_what_they_say() {
    let opened = open(&recorded(registered(&key(1), EVENT)), &keys(1)).unwrap();
    let rows = user::fold(HashMap::new(), [opened]);
    let told = told(&rows[&ID]);
    for (name, presence) in
        [("username", "present"), ("email", "present"), ("bio", "present"), ("image", "absent")]
    {
        assert_eq!(told[name], presence, "{name}");
    }
    let text = told.to_string();
    assert!(!text.contains("Ann") && !text.contains("example") && !text.contains("Hi"), "{text}");
    assert_eq!((&told["version"], &told["roles"]), (&json!(1), &json!(["user"])));
}

#[test]
fn an_event_read_from_the_log_names_its_stream_and_its_place_in_it() {
    let event = registered(&key(1), EVENT);
    let schema = schema_of(&event);
    let known = KnownId {
        schema_id: 5,
        record_name: schema.record_name().to_owned(),
        version: schema.version(),
    };
    let record = recorded(event);
    let value = encode(record.event.decided(), 5).unwrap();
    let read: UserStreamEvent = Decoder::new([known]).decode(&value).unwrap();
    assert_eq!(read, record.event);
    assert_eq!(read.stream_id(), "user-00000000-0000-0000-0000-000000000007");
    assert_eq!(read.sequence(), Some(Sequence { version: 1, previous_id: None }));
    assert_eq!((read.event_id(), read.client_named()), (EVENT, None));
}

#[test]
fn a_row_is_cached_under_the_user_s_id() {
    assert_eq!(User::cached_id(&ID.stream_id()), ID.to_string());
}

#[test]
fn of_what_waits_an_erasure_alone_changes_rows() {
    let (registered, erased) = (recorded(registered(&key(1), EVENT)), recorded(UserEvent::Erased));
    assert!(erasure::erased(&[&registered]).is_empty());
    assert_eq!(erasure::erased(&[&registered, &erased]), BTreeSet::from([ID]));
}
