//! Values that another program wrote: what our own events cannot hold is refused by name.

use apache_avro::types::Value;

use super::*;
use crate::decided::tests::{foreign, must_have_a_place, null, text};
use crate::decode::DecodeError;

/// The event of a record as its schema has it, with some fields otherwise.
fn decoded(schema: UserSchema, fields: &[(&str, Value)]) -> Result<UserDecided, DecodeError> {
    let ours = [
        ("user_id", text("00000000-0000-0000-0000-000000000002")),
        ("username", some_bytes()),
        ("email", some_bytes()),
        ("full_name", null()),
        ("bio", null()),
        ("image", null()),
        ("roles", Value::Array(Vec::new())),
        ("changed", Value::Array(Vec::new())),
        ("role", Value::Enum(1, "user".to_owned())),
    ];
    decoder().decode(&foreign(Schema::User(schema), fields, &ours))
}

fn some_bytes() -> Value {
    Value::Union(1, Box::new(Value::Bytes(b"sealed".to_vec())))
}

fn granted(role: Role) -> UserDecided {
    first(UserEvent::RoleGranted { role })
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
    assert_eq!(decoded(UserSchema::RoleGrantedV1, &[]), Ok(granted(Role::User)));
}

#[test]
fn an_event_must_have_a_place_in_its_stream() {
    must_have_a_place("user_id", |fields| decoded(UserSchema::ErasedV1, fields));
}

#[test]
fn a_field_that_every_event_has_must_not_be_null() {
    let without = |schema, name| decoded(schema, &[(name, null())]);
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
    let mut value = written(&granted(Role::Analyst));
    assert_eq!(value.pop(), Some(12), "the last byte is the symbol, doubled");
    value.push(14);
    assert_eq!(decoder::<UserDecided>().decode(&value), malformed("datum"));
}

/// Somebody else's reader of version 1 meets a role that came with version 2.
#[test]
fn readers_of_other_versions_see_other_in_place_of_a_symbol_that_came_later() {
    let ours = Schema::User(UserSchema::RoleGrantedV1);
    let later = ours.text().replace("\"analyst\"]", "\"analyst\", \"moderator\"]");
    let later = apache_avro::Schema::parse_str(&later).unwrap();
    let mut datum = written(&granted(Role::Analyst)).split_off(5);
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
