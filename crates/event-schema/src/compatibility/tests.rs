use serde_json::{Value, json};

use super::*;

/// A record of one field that stays and the fields given.
fn record(fields: &[Value]) -> String {
    let mut all = vec![json!({"name": "id", "type": "string"})];
    all.extend_from_slice(fields);
    json!({"type": "record", "name": "a.R", "fields": all}).to_string()
}

fn field(ty: Value) -> String {
    record(&[json!({"name": "f", "type": ty})])
}

fn an_enum(symbols: &[&str], default: Option<&str>) -> String {
    let mut ty = json!({"type": "enum", "name": "E", "symbols": symbols});
    if let Some(default) = default {
        ty["default"] = json!(default);
    }
    field(ty)
}

fn compatible(one: &str, other: &str) -> bool {
    let there = differences(one, other).unwrap().is_empty();
    let back = differences(other, one).unwrap().is_empty();
    assert_eq!(there, back, "compatible one way only: {one} {other}");
    there
}

#[test]
fn what_the_registry_refuses_is_refused() {
    let plain = record(&[]);
    for (what, one, other) in [
        ("a field without default", &plain, record(&[json!({"name": "f", "type": "int"})])),
        (
            "a renamed field, even with an alias",
            &field(json!("int")),
            record(&[json!({"name": "g", "aliases": ["f"], "type": "int"})]),
        ),
        ("int to long", &field(json!("int")), field(json!("long"))),
        ("int to string", &field(json!("int")), field(json!("string"))),
        ("int to optional int", &field(json!("int")), field(json!(["null", "int"]))),
        ("another record name", &plain, plain.replace("a.R", "a.S")),
        (
            "a branch added to a union",
            &field(json!(["null", "int"])),
            field(json!(["null", "int", "string"])),
        ),
        ("a symbol added", &an_enum(&["a"], None), an_enum(&["a", "b"], None)),
        ("a symbol removed", &an_enum(&["a", "b"], None), an_enum(&["a"], None)),
        (
            "a symbol added with the default in the same edit",
            &an_enum(&["a"], None),
            an_enum(&["a", "b"], Some("a")),
        ),
        (
            "a fixed of another size",
            &field(json!({"type": "fixed", "name": "F", "size": 4})),
            field(json!({"type": "fixed", "name": "F", "size": 8})),
        ),
        (
            "other items",
            &field(json!({"type": "array", "items": "int"})),
            field(json!({"type": "array", "items": "long"})),
        ),
    ] {
        assert!(!compatible(one, &other), "{what} was accepted");
    }
}

#[test]
fn what_the_registry_accepts_is_accepted() {
    let plain = record(&[]);
    let optional = json!({"name": "f", "type": ["null", "int"], "default": null});
    let second = json!({"name": "g", "type": "int", "default": 7});
    for (what, one, other) in [
        ("the same", &plain, plain.clone()),
        ("a field with a default", &plain, record(std::slice::from_ref(&optional))),
        (
            "another order",
            &record(&[optional.clone(), second.clone()]),
            record(&[second, optional]),
        ),
        ("documentation", &plain, plain.replace(r#""name":"a.R""#, r#""name":"a.R","doc":"d""#)),
        (
            "a logical type added",
            &field(json!("long")),
            field(json!({"type": "long", "logicalType": "timestamp-micros"})),
        ),
        (
            "a symbol added where both have a default",
            &an_enum(&["a"], Some("a")),
            an_enum(&["b", "a"], Some("a")),
        ),
        (
            "a name spelt with its namespace apart",
            &plain,
            plain.replace(r#""name":"a.R""#, r#""name":"R","namespace":"a""#),
        ),
    ] {
        assert!(compatible(one, &other), "{what}: {:?}", differences(one, &other));
    }
}

#[test]
fn what_the_registry_accepts_but_readers_mistake_is_refused() {
    assert!(!compatible(&field(json!("string")), &field(json!("bytes"))));
    let time =
        |unit: &str| field(json!({"type": "long", "logicalType": format!("timestamp-{unit}")}));
    assert!(!compatible(&time("millis"), &time("micros")));
}

#[test]
fn a_fault_names_its_place() {
    let nested = |ty: &str| {
        field(json!({"type": "record", "name": "N", "fields": [{"name": "n", "type": ty}]}))
    };
    let faults = differences(&nested("int"), &nested("long")).unwrap();
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["f.n"]);
}

#[test]
fn a_schema_that_leaves_later_versions_no_way_is_not_released() {
    let recursive = json!({"type": "record", "name": "a.R", "fields": [
        {"name": "next", "type": ["null", "R"], "default": null}]});
    let default_first = json!({"name": "f", "type": ["int", "null"], "default": 0});
    let no_default = json!({"name": "f", "type": ["null", "int"]});
    let three = json!({"name": "f", "type": ["null", "int", "string"], "default": null});
    for (what, text) in [
        ("an enum without default", an_enum(&["a"], None)),
        ("null in second place", record(&[default_first])),
        ("an optional without default", record(&[no_default])),
        ("a union of three", record(&[three])),
        ("a uuid", field(json!({"type": "string", "logicalType": "uuid"}))),
        ("a recursive record", recursive.to_string()),
        (
            "an enum without default deep inside",
            field(
                json!({"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["a"]}}),
            ),
        ),
    ] {
        assert_eq!(lints(&text).unwrap().len(), 1, "{what}: {:?}", lints(&text));
    }
    assert_eq!(lints(&an_enum(&["a"], Some("a"))).unwrap(), []);
    let twice = record(&[
        json!({"name": "f", "type": {"type": "fixed", "name": "F", "size": 4}}),
        json!({"name": "g", "type": "F"}),
    ]);
    assert_eq!(lints(&twice).unwrap(), [], "a name used again is no recursion");
}

#[test]
fn a_text_that_is_no_schema_is_an_error() {
    for text in ["", "{", "7", "{}", "\"unknown\"", r#"{"type":"record","name":"a"}"#] {
        assert!(lints(text).is_err(), "{text}");
    }
}
