//! Values that another program wrote: what our own events cannot hold is refused by name.

use apache_avro::types::Value;

use super::*;
use crate::datum;

/// A record as its schema has it, with some fields otherwise.
fn decoded(schema: UserSchema, fields: &[(&str, Value)]) -> Result<UserDecided, DecodeError> {
    let text = |text: &str| Value::String(text.to_owned());
    let null = || Value::Union(0, Box::new(Value::Null));
    let ours: &[(&str, Value)] = &[
        ("event_id", text("00000000-0000-0000-0000-000000000001")),
        ("user_id", text("00000000-0000-0000-0000-000000000002")),
        ("stream_version", Value::Long(1)),
        ("previous_id", null()),
        ("occurred_at", Value::TimestampMicros(3)),
        ("username", some_bytes()),
        ("email", some_bytes()),
        ("full_name", null()),
        ("bio", null()),
        ("image", null()),
        ("roles", Value::Array(Vec::new())),
        ("changed", Value::Array(Vec::new())),
        ("role", Value::Enum(1, "user".to_owned())),
    ];
    let schema = Schema::User(schema);
    let text: serde_json::Value = serde_json::from_str(schema.text()).unwrap();
    let names =
        text["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap());
    let record = names.map(|name| {
        let of = |fields: &[(&str, Value)]| {
            fields.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone())
        };
        (name.to_owned(), of(fields).or_else(|| of(ours)).unwrap())
    });
    let record = Value::Record(record.collect());
    let datum = datum::writer(schema).write_value_to_vec(record).unwrap();
    decoder().decode(&[&[0][..], &id_of(schema).to_be_bytes(), &datum].concat())
}

fn some_bytes() -> Value {
    Value::Union(1, Box::new(Value::Bytes(b"sealed".to_vec())))
}

fn previous(text: &str) -> Value {
    Value::Union(1, Box::new(Value::String(text.to_owned())))
}

fn changed(symbols: &[(u32, &str)]) -> Value {
    Value::Array(symbols.iter().map(|(at, name)| Value::Enum(*at, (*name).to_owned())).collect())
}

fn malformed(what: &'static str) -> Result<UserDecided, DecodeError> {
    Err(DecodeError::Malformed { what })
}

#[test]
fn an_event_that_another_program_wrote_is_read() {
    assert_eq!(decoded(UserSchema::ErasedV1, &[]), Ok(first(UserEvent::Erased)));
    let role = Role::User;
    assert_eq!(decoded(UserSchema::RoleGrantedV1, &[]), Ok(first(UserEvent::RoleGranted { role })));
}

#[test]
fn an_event_must_have_a_place_in_its_stream() {
    let erased = |fields: &[(&str, Value)]| decoded(UserSchema::ErasedV1, fields);
    let uuid = "00000000-0000-0000-0000-000000000009";
    let no_uuid = Value::String("no uuid".to_owned());
    assert_eq!(erased(&[("event_id", no_uuid.clone())]), malformed("event_id"));
    assert_eq!(erased(&[("user_id", no_uuid)]), malformed("user_id"));
    assert_eq!(erased(&[("stream_version", Value::Long(0))]), malformed("stream_version"));
    assert_eq!(erased(&[("stream_version", Value::Long(-1))]), malformed("stream_version"));
    assert_eq!(erased(&[("stream_version", Value::Long(2))]), malformed("previous_id"));
    assert_eq!(erased(&[("previous_id", previous(uuid))]), malformed("previous_id"));
    let second = ("stream_version", Value::Long(2));
    assert!(erased(&[second.clone(), ("previous_id", previous(uuid))]).is_ok());
    assert_eq!(erased(&[second, ("previous_id", previous("no uuid"))]), malformed("previous_id"));
}

#[test]
fn a_field_that_every_event_has_must_not_be_null() {
    let null = Value::Union(0, Box::new(Value::Null));
    let without = |schema, name| decoded(schema, &[(name, null.clone())]);
    assert_eq!(without(UserSchema::RegisteredV1, "username"), malformed("username"));
    assert_eq!(without(UserSchema::RegisteredV1, "email"), malformed("email"));
    assert_eq!(without(UserSchema::EmailChangedV1, "email"), malformed("email"));
}

#[test]
fn what_is_told_of_a_profile_must_be_said_to_change() {
    let updated = |fields: &[(&str, Value)]| decoded(UserSchema::ProfileUpdatedV1, fields);
    let bio = changed(&[(2, "bio")]);
    let of = |decided: Result<UserDecided, DecodeError>| match decided.unwrap().event {
        UserEvent::ProfileUpdated { change } => change,
        other => panic!("{other:?}"),
    };
    let told = of(updated(&[("changed", bio.clone()), ("bio", some_bytes())]));
    assert_eq!(told.bio, Some(Some(sealed(EVENT, field::BIO, b"sealed"))));
    assert_eq!(of(updated(&[("changed", bio.clone())])).bio, Some(None), "cleared");
    assert_eq!(of(updated(&[])), ProfileChange::default());
    assert_eq!(updated(&[("bio", some_bytes())]), malformed("changed"));
    assert_eq!(updated(&[("changed", bio), ("image", some_bytes())]), malformed("changed"));
    let twice = changed(&[(2, "bio"), (2, "bio")]);
    assert_eq!(updated(&[("changed", twice)]), malformed("changed"));
}

#[test]
fn the_symbol_that_stands_for_unknown_ones_is_no_value_of_ours() {
    let other = || Value::Enum(0, "other".to_owned());
    assert_eq!(decoded(UserSchema::RoleGrantedV1, &[("role", other())]), malformed("role"));
    assert_eq!(decoded(UserSchema::RoleRevokedV1, &[("role", other())]), malformed("role"));
    let roles = Value::Array(vec![Value::Enum(1, "user".to_owned()), other()]);
    assert_eq!(decoded(UserSchema::RegisteredV1, &[("roles", roles)]), malformed("roles"));
    let unknown = changed(&[(0, "other")]);
    assert_eq!(
        decoded(UserSchema::ProfileUpdatedV1, &[("changed", unknown)]),
        malformed("changed")
    );
}

#[test]
fn a_symbol_that_the_schema_does_not_have_is_refused() {
    let mut value = written(&first(UserEvent::RoleGranted { role: Role::Analyst }));
    assert_eq!(value.pop(), Some(12), "the last byte is the symbol, doubled");
    value.push(14);
    assert_eq!(decoder().decode(&value), malformed("datum"));
}

/// Somebody else's reader of version 1 meets a role that came with version 2.
#[test]
fn readers_of_other_versions_see_other_in_place_of_a_symbol_that_came_later() {
    let ours = Schema::User(UserSchema::RoleGrantedV1);
    let later = ours.text().replace("\"analyst\"]", "\"analyst\", \"moderator\"]");
    let later = apache_avro::Schema::parse_str(&later).unwrap();
    let mut datum = written(&first(UserEvent::RoleGranted { role: Role::Analyst })).split_off(5);
    *datum.last_mut().unwrap() = 14;
    let read = apache_avro::reader::datum::GenericDatumReader::builder(&later)
        .reader_schema(ours.parsed())
        .build()
        .unwrap()
        .read_value(&mut datum.as_slice())
        .unwrap();
    let Value::Record(fields) = read else { panic!("no record") };
    assert_eq!(fields.last().unwrap().1, Value::Enum(0, "other".to_owned()));
}

#[test]
fn a_value_of_another_family_does_not_belong() {
    let device = crate::device::WRITTEN;
    let value = [&[0][..], &id_of(device).to_be_bytes()].concat();
    let record_name = device.record_name().to_owned();
    let id = id_of(device);
    assert_eq!(decoder().decode(&value), Err(DecodeError::WrongRecord { id, record_name }));
}
