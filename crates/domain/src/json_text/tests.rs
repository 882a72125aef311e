mod items;

use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::*;

fn rule(text: &str) -> Result<(), (String, &'static str)> {
    value(text, &Limits::default()).map(|_| ()).map_err(|f| (f.pointer, f.rule.name()))
}

fn refused(text: &str, pointer: &str, name: &'static str) {
    assert_eq!(rule(text), Err((pointer.to_owned(), name)), "{text}");
}

#[test]
fn every_kind_of_value_is_taken_with_the_text_it_is_written_in() {
    for (text, kind) in [
        (" {\"a\" : [1, -2.50e+3 ,null ]}\n", Kind::Object),
        ("[]", Kind::Array),
        ("{}", Kind::Object),
        ("\"\\ud83d\\ude00\\n\\u00e9\"", Kind::String),
        ("-0.0e-0", Kind::Number),
        ("true", Kind::Boolean),
        ("\tfalse", Kind::Boolean),
        ("null\r", Kind::Null),
    ] {
        let value = value(text, &Limits::default()).unwrap();
        assert_eq!((value.kind, value.text), (kind, text.trim()));
    }
}

#[test]
fn what_is_no_json_is_refused_where_it_goes_wrong() {
    for (text, pointer) in [
        ("", ""),
        ("{", ""),
        ("[1,]", "/1"),
        ("[1 2]", "/0"),
        ("{\"a\":}", "/a"),
        ("{\"a\":1,}", "/a"),
        ("{\"a\" 1}", "/a"),
        ("{a:1}", ""),
        ("01", ""),
        ("1.", ""),
        (".5", ""),
        ("1e", ""),
        ("+1", ""),
        ("--1", ""),
        ("nul", ""),
        ("1 1", ""),
        ("\"a\nb\"", ""),
        ("\"\\x\"", ""),
        ("\"\\u12g4\"", ""),
        ("\"\\u+123\"", ""),
        ("\"abc", ""),
        ("NaN", ""),
        ("\u{feff}1", ""),
        ("[1}", "/0"),
    ] {
        refused(text, pointer, "json");
    }
}

#[test]
fn a_fault_names_its_value_by_a_json_pointer() {
    refused(r#"{"ok":1,"a/b~c":[true,{"n":1e309}]}"#, "/a~1b~0c/1/n", "max-exponent");
    refused(r#"{"ok":{"x":1},"list":[[],[0,"\u0000"]]}"#, "/list/1/1", "no-nul");
}

#[test]
fn a_name_stands_once_in_its_object() {
    refused(r#"{"a":1,"b":2,"a":3}"#, "/a", "unique-names");
    refused(r#"{"a":1,"\u0061":3}"#, "/a", "unique-names");
    refused(r#"{"a":{"x":1,"b":0,"b":1}}"#, "/a/b", "unique-names");
    refused(r#"[{"":1,"":3}]"#, "/0/", "unique-names");
    assert_eq!(rule(r#"{"a":{"a":1},"b":{"a":1},"A":[{"a":0},{"a":0}]}"#), Ok(()));
}

#[test]
fn among_many_names_a_second_one_is_found_too() {
    let member = |n: usize| format!("\"name-{n}\":{n}");
    let mut members: Vec<_> = (0..3_000).map(member).collect();
    assert_eq!(rule(&format!("{{{}}}", members.join(","))), Ok(()));
    members.push(member(1_234));
    refused(&format!("{{{}}}", members.join(",")), "/name-1234", "unique-names");
}

#[test]
fn strings_that_some_reader_cannot_hold_are_refused() {
    refused("\"a\u{0}\"", "", "no-nul");
    refused(r#"{"a":"\u0000"}"#, "/a", "no-nul");
    for text in
        [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\udc00\ud800""#]
    {
        refused(text, "", "paired-surrogates");
    }
    assert_eq!(rule(r#""\\u0000 \\ud800 \ud800\udc00""#), Ok(()));
}

#[test]
fn a_control_character_is_noticed_wherever_it_stands() {
    for before in 0..20 {
        for (character, name) in [("\0", "no-nul"), ("\u{1f}", "json"), ("\u{1}", "json")] {
            let text = format!("\"{}{character}{}\"", "é".repeat(before), "~".repeat(9));
            refused(&text, "", name);
        }
        for character in [" ", "\u{7f}", "!", "#", "[", "]", "\u{80}", "\u{10ffff}"] {
            let text = format!("\"{}{character}\"", "x".repeat(before));
            assert_eq!(rule(&text), Ok(()), "{text}");
        }
    }
}

#[test]
fn numbers_are_bounded_in_digits_and_exponent() {
    let digits = |n| "7".repeat(n);
    assert_eq!(rule(&digits(40)), Ok(()));
    assert_eq!(rule(&format!("-{}.{}e-308", digits(20), digits(20))), Ok(()));
    refused(&digits(41), "", "max-digits");
    refused(&format!("{}.{}", digits(20), digits(21)), "", "max-digits");
    for text in ["1e308", "1E+308", "1e-308", "1e000308"] {
        assert_eq!(rule(text), Ok(()), "{text}");
    }
    for text in ["1e309", "0e309", "1e-309", "1E+4294967297", "1e99999999999999999999"] {
        refused(text, "", "max-exponent");
    }
}

#[test]
fn depth_and_length_end_at_their_limits() {
    let nested = |n| "[".repeat(n) + &"]".repeat(n);
    assert_eq!(rule(&nested(32)), Ok(()));
    assert_eq!(rule(&nested(33)).unwrap_err().1, "max-depth");
    assert_eq!(rule(&"[".repeat(60_000)).unwrap_err().1, "max-depth");
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert_eq!(rule(&text(65_536)), Ok(()));
    refused(&text(65_537), "", "max-bytes");
}

#[test]
fn members_are_given_with_their_own_texts_and_limits() {
    let text = r#" { "de\u0076ice_id" : "a\"b", "payload" : [ {"x":1.0} ] , "n":{}} "#;
    let found = members(text, &Limits::default()).unwrap();
    let plain: Vec<_> = found.iter().map(|m| (&*m.name, m.value.kind, m.value.text)).collect();
    assert_eq!(
        plain,
        [
            ("device_id", Kind::String, r#""a\"b""#),
            ("payload", Kind::Array, r#"[ {"x":1.0} ]"#),
            ("n", Kind::Object, "{}"),
        ]
    );
    assert_eq!(found[0].value.as_string().unwrap(), "a\"b");
    assert_eq!(found[1].value.as_string(), None);
}

#[test]
fn limits_hold_for_each_member_alone() {
    let deep = |n| format!("{{\"a\":0,\"b\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(members(&deep(32), &Limits::default()).is_ok());
    let fault = members(&deep(33), &Limits::default()).unwrap_err();
    assert_eq!(fault.rule, Rule::TooDeep { limit: 32 });
    let long = |n: usize| format!("{{\"a\":\"{0}\",\"b\":\"{0}\"}}", "x".repeat(n - 2));
    assert_eq!(members(&long(65_536), &Limits::default()).unwrap().len(), 2);
    let fault = members(&long(65_537), &Limits::default()).unwrap_err();
    assert_eq!((fault.pointer.as_str(), fault.rule.limit()), ("/a", Some(65_536)));
}

#[test]
fn only_an_object_has_members() {
    let fault = members("[1]", &Limits::default()).unwrap_err();
    assert_eq!(fault.rule, Rule::NotAnObject);
}

/// An independent statement of the rules on names and strings, on top of another JSON reader.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Strict.deserialize(from)
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Self;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without U+0000 and doubled names")
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self, E> {
        if text.contains('\0') { Err(E::custom("U+0000")) } else { Ok(self) }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Strict>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = entries.next_key::<String>()? {
            if name.contains('\0') || !names.insert(name) {
                return Err(serde::de::Error::custom("a name"));
            }
            entries.next_value::<Strict>()?;
        }
        Ok(self)
    }
}

/// Texts close to JSON: pieces of it in any order, many of them well-formed by luck or by frame.
fn nearly_json() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"a\":",
        "\"\\u0061\":",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ud83d\\n\"",
        "\"\\q\"",
        "1",
        "-0",
        "01",
        "1.5e3",
        "1.",
        "true",
        "null",
        "nul",
        " ",
        "\n",
        "\"",
        "\\",
        "\u{1}",
        "é",
    ]);
    let soup = prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat());
    let framed = (json(), any::<prop::sample::Index>(), soup.clone(), any::<bool>()).prop_map(
        |(text, at, soup, insert)| {
            let cut = (0..=at.index(text.len() + 1)).rev().find(|i| text.is_char_boundary(*i));
            let (head, tail) = text.split_at(cut.unwrap_or(0));
            if insert { format!("{head}{soup}{tail}") } else { head.to_owned() }
        },
    );
    prop_oneof![soup, framed, json()]
}

/// JSON whose objects may have a name twice.
fn json() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["\"a\"", "\"b\"", "\"\\u0061\"", "\"c/~\"", "\"\""]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i32>().prop_map(|n| n.to_string()),
        any::<f32>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[ {} ]", items.join(" ,"))),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(n, v)| format!("{n} : {v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn exactly_the_texts_that_a_strict_reader_takes_are_taken(text in nearly_json()) {
        let strict = serde_json::from_str::<Strict>(&text).map_err(|error| error.to_string());
        match (rule(&text), strict) {
            // Bounds of numbers are each reader's own: this one knows ours only by the double they fit.
            (Err((_, "max-exponent" | "max-digits")), _) => {}
            (_, Err(error)) if error.starts_with("number out of range") => {}
            (ours, strict) => prop_assert_eq!(ours.is_ok(), strict.is_ok(), "{:?}", strict.err()),
        }
    }

    #[test]
    fn malformed_means_that_no_reader_takes_it(text in nearly_json()) {
        let well_formed = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        match rule(&text) {
            Ok(()) => prop_assert!(well_formed),
            Err((_, "json")) => prop_assert!(!well_formed),
            Err(_) => {}
        }
    }

    #[test]
    fn an_accepted_text_is_given_back_unchanged(text in json()) {
        if let Ok(value) = value(&text, &Limits::default()) {
            prop_assert_eq!(value.text, text.trim());
        }
    }

    #[test]
    fn the_members_of_an_object_are_those_another_reader_finds(text in json()) {
        if let Ok(found) = members(&text, &Limits::default()) {
            let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)?;
            prop_assert_eq!(found.len(), expected.len());
            for member in found {
                let value: serde_json::Value = serde_json::from_str(member.value.text)?;
                let text = member.value.as_string();
                prop_assert_eq!(text.as_deref(), value.as_str());
                prop_assert_eq!(expected.get(&*member.name), Some(&value));
            }
        }
    }

    #[test]
    fn the_pointer_of_a_fault_leads_to_its_value(names in prop::collection::vec("[a-z/~01]{0,3}", 1..6)) {
        let opened: String = names
            .iter()
            .map(|name| format!("{{\"before\":[0],{}:[null,", serde_json::to_string(name).unwrap()))
            .collect();
        let text = format!("{opened}1e999{}", "]}".repeat(names.len()));
        let fault = value(&text, &Limits::default()).unwrap_err();
        let value: serde_json::Value = serde_json::from_str(&text.replace("1e999", "42")).unwrap();
        prop_assert_eq!(value.pointer(&fault.pointer), Some(&serde_json::json!(42)));
    }
}
