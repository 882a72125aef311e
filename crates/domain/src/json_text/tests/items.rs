//! Arrays whose items are each checked on their own.

use super::super::{Limits, items, members};
use super::*;

/// What is found of each item: how many members, or the pointer and name of the rule it breaks.
type Found = Vec<Result<usize, (String, &'static str)>>;

fn found(text: &str, most: usize) -> Result<Found, (String, &'static str)> {
    let told = |fault: Fault| (fault.pointer, fault.rule.name());
    let items = items(text, &Limits::default(), most).map_err(told)?;
    Ok(items.into_iter().map(|item| item.map(|members| members.len()).map_err(told)).collect())
}

fn refused_as_a_whole(text: &str, pointer: &str, name: &'static str) {
    assert_eq!(found(text, 3), Err((pointer.to_owned(), name)), "{text:.80}");
}

#[test]
fn each_item_is_given_with_its_members_as_they_are_written() {
    let text = r#" [ {"a": 1.0 , "b":[ ]},{} , {"c":{"d" :"\u0061"}} ] "#;
    let items = items(text, &Limits::default(), 3).unwrap();
    let texts: Vec<Vec<_>> = items
        .iter()
        .map(|item| item.as_ref().unwrap().iter().map(|member| member.value.text).collect())
        .collect();
    assert_eq!(texts, [vec!["1.0", "[ ]"], vec![], vec![r#"{"d" :"\u0061"}"#]]);
    assert_eq!(found(" [ ] ", 0), Ok(vec![]));
}

#[test]
fn an_item_that_breaks_a_rule_leaves_the_others() {
    let deep = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let long = format!("\"{}\"", "x".repeat(65_535));
    for (item, pointer, name) in [
        (r#"{"a":[1e309,{"b":"]}\"\\"}]}"#, "/1/a/0", "max-exponent"),
        (r#"{"a":{"b/c":11111111111111111111111111111111111111111}}"#, "/1/a/b~1c", "max-digits"),
        (r#"{"a":"\u0000","b":"\ud83d\ude00"}"#, "/1/a", "no-nul"),
        (r#"{"a":"\ud800\n","b":{}}"#, "/1/a", "paired-surrogates"),
        (r#"{"a":1,"a":true}"#, "/1/a", "unique-names"),
        ("7", "/1", "object"),
        ("[{}]", "/1", "object"),
        ("null", "/1", "object"),
        (
            &format!("{{\"a\":{}}}", deep(33)),
            "/1/a/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0",
            "max-depth",
        ),
        (&format!("{{\"a\":{long}}}"), "/1/a", "max-bytes"),
    ] {
        let text = format!(r#"[{{"x":0}},{item} ,{{"y":0,"z":0}}]"#);
        let expected = vec![Ok(1), Err((pointer.to_owned(), name)), Ok(2)];
        assert_eq!(found(&text, 3), Ok(expected), "{item:.80}");
    }
}

#[test]
fn an_item_that_is_nested_without_end_is_passed_over_in_little_room() {
    let deep =
        format!("{}{}", "[{\"a\":".repeat(100_000), "}]".repeat(100_000).replacen('}', "1}", 1));
    let found = found(&format!("[{{\"a\":{deep}}},{{}}]"), 3).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].as_ref().unwrap_err().1, "max-depth");
    assert_eq!(found[1], Ok(0));
}

#[test]
fn what_is_no_json_refuses_the_whole_wherever_it_stands() {
    for (text, pointer) in [
        ("[", "/0"),
        ("[{}", "/0"),
        ("[{},", "/1"),
        ("[{},]", "/1"),
        ("[{}{}]", "/0"),
        ("[{}] 1", ""),
        (r#"[{},{"a":}]"#, "/1/a"),
        // Behind a rule that is broken in the same item:
        (r#"[{"a":1e999,"b":}]"#, "/0"),
        (r#"[{"a":1e999,"b":[1,}]"#, "/0"),
        (r#"[{"a":"\u0000","b":"\q"}]"#, "/0"),
        (r#"[{"a":"\u0000","b":"\u12"}]"#, "/0"),
        ("[{\"a\":\"\\u0000\",\"b\":\"\n\"}]", "/0"),
        (r#"[{"a":"\u0000","b}]"#, "/0"),
        (r#"[{"a":1e999 "b":1}]"#, "/0"),
        (r#"[{"a":1e999,b:1}]"#, "/0"),
        (r#"[{"a":1e999,"b" 1}]"#, "/0"),
        (r#"[{"a":1e999]]"#, "/0"),
        ("{\"a\":}", ""),
        ("", ""),
    ] {
        refused_as_a_whole(text, pointer, "json");
    }
    refused_as_a_whole("{}", "", "array");
    refused_as_a_whole(" 7 ", "", "array");
}

#[test]
fn nothing_is_looked_at_behind_the_last_item_that_may_be() {
    assert_eq!(found("[{},{},{}]", 3).unwrap().len(), 3);
    refused_as_a_whole("[{},{},{},{}]", "", "max-items");
    refused_as_a_whole("[{},{},{},no json", "", "max-items");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn items_are_what_they_are_alone(texts in prop::collection::vec(nearly_json(), 0..5)) {
        let array = format!("[{}]", texts.join(","));
        let alone = |(index, text): (usize, &String)| {
            let found = members(text, &Limits::default());
            found.map(|members| members.len()).map_err(|fault| {
                (format!("/{index}{}", fault.pointer), fault.rule.name())
            })
        };
        let are_json = texts.iter().all(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        match found(&array, 5) {
            Ok(found) if are_json => {
                prop_assert_eq!(found, texts.iter().enumerate().map(alone).collect::<Vec<_>>());
            }
            // Texts that are no JSON alone may be some together.
            found => {
                let is_array = serde_json::from_str::<Vec<IgnoredAny>>(&array).is_ok();
                prop_assert_eq!(found.is_ok(), is_array);
            }
        }
    }
}
