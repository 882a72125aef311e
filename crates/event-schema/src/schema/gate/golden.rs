//! Datums that another Avro library wrote, and what they say. Personal fields are sealed by another
//! library too, with the key of [`key`], and stand opened in the JSON.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::decision::Decided;
use domain::device::{Dedupe, DeviceEvent};
use domain::user::{ProfileChange, User, UserEvent, UserId, evolve};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::decode::{Decoder, EventFamily, KnownId};
use crate::personal::{Sealed, SubjectKey};

mod session;

type UserDecided = Decided<UserEvent<Sealed>>;

const ID: u32 = 7;

fn key() -> SubjectKey {
    SubjectKey::from_bytes([7; 32])
}

/// Golden datums of a version: their file, the value they are in the log, the decoded JSON.
fn golden(schema: Schema) -> Vec<(PathBuf, Vec<u8>, Value)> {
    let begin = format!("{}.", stem(schema));
    files_below(&folder(schema).join("golden"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "datum"))
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&begin))
        .map(|path| {
            let json = fs::read(path.with_extension("json")).unwrap();
            let value = [&[0, 0, 0, 0, 7], fs::read(&path).unwrap().as_slice()].concat();
            (path, value, serde_json::from_slice(&json).unwrap())
        })
        .collect()
}

fn decoded<E: EventFamily>(schema: Schema, value: &[u8]) -> E {
    let record_name = schema.record_name().to_owned();
    let known = KnownId { schema_id: ID, record_name, version: schema.version() };
    Decoder::new([known]).decode(value).unwrap()
}

/// What a value says, as the golden files spell it, and the value that is written of it today.
fn read(schema: Schema, value: &[u8]) -> (Value, Vec<u8>) {
    match schema.family() {
        Family::Device => {
            let event = decoded::<DeviceEvent>(schema, value);
            let DeviceEvent::Reported(reported) = &event;
            (spelt_of_device(&event), crate::device::encode(reported, ID).unwrap())
        }
        Family::User => {
            let decided: UserDecided = decoded(schema, value);
            let written = crate::user::encode(&decided, ID).unwrap();
            assert_eq!(crate::user::schema_of(&decided.event), schema);
            (spelt_of_user(&opened(decided)), written)
        }
        Family::Session => session::read(schema, value),
    }
}

fn spelt_of_device(event: &DeviceEvent) -> Value {
    let DeviceEvent::Reported(event) = event;
    json!({
        "device_id": event.device_id.as_str(),
        "request_id": event.request_id.to_string(),
        "dedupe": if event.dedupe == Dedupe::Client { "client" } else { "none" },
        "body_hash": event.body_hash.map(|hash| hex(&hash)),
        "occurred_at": event.occurred_at.map(Timestamp::micros),
        "payload": event.payload,
    })
}

fn open(field: &'static str, sealed: Sealed) -> Result<String, String> {
    key().open(&sealed).ok_or_else(|| format!("{field} does not open"))
}

fn opened(decided: UserDecided) -> Decided<UserEvent<String>> {
    decided.try_map(|_, event| event.map(&mut open)).unwrap()
}

/// The place of an event in its stream, with what else it says.
fn spelt_of_decided<E>(id: &str, decided: &Decided<E>, body: Value) -> Value {
    let mut spelt = json!({
        "event_id": decided.event_id.to_string(),
        id: decided.aggregate_id.to_string(),
        "stream_version": decided.version,
        "previous_id": decided.previous_id.map(|id| id.to_string()),
        "occurred_at": decided.occurred_at.micros(),
    });
    let body = body.as_object().unwrap().clone();
    spelt.as_object_mut().unwrap().extend(body);
    spelt
}

fn spelt_of_user(decided: &Decided<UserEvent<String>>) -> Value {
    let body = match &decided.event {
        UserEvent::Registered { username, email, full_name, bio, image, roles } => json!({
            "username": username, "email": email, "full_name": full_name, "bio": bio, "image": image,
            "roles": roles.iter().map(|role| role.name()).collect::<Vec<_>>(),
        }),
        UserEvent::ProfileUpdated { change } => {
            let changed = change.fields();
            let ProfileChange { full_name, bio, image } = change.clone();
            json!({ "changed": changed, "full_name": full_name.flatten(), "bio": bio.flatten(), "image": image.flatten() })
        }
        UserEvent::EmailChanged { email } => json!({ "email": email }),
        UserEvent::RoleGranted { role } | UserEvent::RoleRevoked { role } => {
            json!({ "role": role.name() })
        }
        UserEvent::EmailVerificationRequested
        | UserEvent::EmailVerified
        | UserEvent::Deactivated
        | UserEvent::Reactivated
        | UserEvent::PasswordChanged
        | UserEvent::SessionsEnded
        | UserEvent::SecondFactorEnrolled
        | UserEvent::SecondFactorRemoved
        | UserEvent::Erased => json!({}),
    };
    spelt_of_decided("user_id", decided, body)
}

#[test]
fn what_was_written_with_any_version_still_reads() {
    for schema in Schema::ALL {
        let golden = golden(*schema);
        assert!(golden.len() >= 2, "{schema:?} has golden datums");
        for (path, value, expected) in golden {
            assert_eq!(read(*schema, &value).0, expected, "{}", path.display());
        }
    }
}

#[test]
fn what_is_written_today_is_what_another_library_wrote() {
    let latest: BTreeMap<_, _> =
        Schema::ALL.iter().map(|schema| (schema.record_name(), *schema)).collect();
    for schema in latest.into_values() {
        for (path, value, _) in golden(schema) {
            assert_eq!(read(schema, &value).1, value, "{}", path.display());
        }
    }
}

/// A user's state as `folded.json` spells it.
fn spelt_state(user: User<Sealed>) -> Value {
    let user = user.map(&mut open).unwrap();
    json!({
        "username": user.username, "email": user.email, "full_name": user.full_name,
        "bio": user.bio, "image": user.image, "email_number": user.email_number,
        "email_verified": user.email_verified, "active": user.active,
        "roles": user.roles.iter().map(|role| role.name()).collect::<Vec<_>>(),
        "session_epoch": user.session_epoch, "second_factor": user.second_factor,
        "erased": user.erased,
    })
}

/// What the golden datums of a decided family add up to, by whose they are.
fn folded<E, S>(family: Family, evolve: fn(Option<S>, E) -> Option<S>) -> BTreeMap<Uuid, S>
where
    Decided<E>: EventFamily,
{
    let mut streams: BTreeMap<Uuid, BTreeMap<u64, E>> = BTreeMap::new();
    for schema in family.schemas() {
        for (_, value, _) in golden(schema) {
            let decided: Decided<E> = decoded(schema, &value);
            streams.entry(decided.aggregate_id).or_default().insert(decided.version, decided.event);
        }
    }
    let states = streams.into_iter().map(|(id, events)| {
        assert!(events.keys().copied().eq(1..=events.len() as u64), "{id} lacks an event");
        (id, events.into_values().fold(None, evolve).unwrap())
    });
    states.collect()
}

/// What `folded.json` says of a family.
fn expected_states(family: &str) -> Value {
    let expected = fs::read(schemas().join(family).join("golden/folded.json")).unwrap();
    serde_json::from_slice(&expected).unwrap()
}

#[test]
fn what_was_written_with_any_version_still_folds_to_the_same_users() {
    let users = folded(Family::User, evolve::<Sealed>).into_iter().map(|(user, state)| {
        let stored = crate::user::encode_state(&state);
        assert_eq!(crate::user::decode_state(&stored).unwrap(), state);
        (UserId(user).to_string(), spelt_state(state))
    });
    assert_eq!(Value::Object(users.collect()), expected_states("user"));
}
